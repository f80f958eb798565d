#!/bin/bash
# Nothing of a preloaded program reaches the kernel's network: not UDP, and nothing when there is no service.
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
check_equal "UDP and raw sockets" "$(attempt $PYTHON -c '
import errno, socket
for family, kind in ((socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_INET6, socket.SOCK_DGRAM),
                     (socket.AF_INET, socket.SOCK_RAW)):
    try:
        socket.socket(family, kind)
        print("a socket")
    except OSError as error:
        print(errno.errorcode[error.errno])
')" "EPROTONOSUPPORT
EPROTONOSUPPORT
EPROTONOSUPPORT"
check_equal "no service: exit status" "$(attempt env SIDESTACK_SOCKET=/nowhere \
    curl -s http://$WORLD:8000/file 2>"$WORK/message" || echo $?)" 7
check_equal "no service: messages" "$(grep -c '^sidestack: no service at /nowhere' "$WORK/message")" 1
check_equal "programs that have no Internet socket, without a service" \
    "$(attempt env SIDESTACK_SOCKET=/nowhere bash -c 'echo fine; exec cat /dev/null' 2>&1)" fine
