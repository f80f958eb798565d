#!/bin/bash
# Nothing of a preloaded program reaches the kernel's network, nor does anything when there is no service.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0

background server $PYTHON -u -m http.server -d "$WORK" -b $WORLD 8000
background server6 $PYTHON -u -m http.server -d "$WORK" -b $WORLD6 8006
wait_for_line server 'Serving HTTP'
wait_for_line server6 'Serving HTTP'
echo hello >"$WORK/file"

# Here the program would reach the server through the kernel, if it could.
attempt() {
    env "${STACK_ENVIRONMENT[@]}" "$@"
}
check_equal "curl through the stack, in the world's own namespace" \
    "$(attempt curl -sS -o "$WORK/answer" -w '%{local_ip}' http://$WORLD:8000/file)" $STACK
check_equal "the same on IPv6" \
    "$(attempt curl -sS -o "$WORK/answer" -w '%{local_ip}' "http://[$WORLD6]:8006/file")" $STACK6
check_equal "UDP comes from the stack as well" "$(attempt $PYTHON -c "
import socket
for there in ('$WORLD', '$WORLD6'):
    with socket.socket(socket.AF_INET6 if ':' in there else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((there, 9))
        print(udp.getsockname()[0])
")" "$STACK
$STACK6"
check_equal "no service: exit status" "$(attempt env SIDESTACK_SOCKET=/nowhere \
    curl -s http://$WORLD:8000/file 2>"$WORK/message" || echo $?)" 7
check_equal "no service: messages" "$(grep -c '^sidestack: no service at /nowhere' "$WORK/message")" 1
check_equal "programs that have no Internet socket, without a service" \
    "$(attempt env SIDESTACK_SOCKET=/nowhere bash -c 'echo fine; exec cat /dev/null' 2>&1)" fine
