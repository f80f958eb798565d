#!/bin/bash
# SIGHUP with other addresses: new ones are there at once, old ones are not, and connections of those that stay go on.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
lib_begin
stop_daemon
conf=$WORK/stack.conf
# settings ADDRESS...
settings() {
    printf '%s\n' 'netif = tap:stack0' "gateway = $WORLD" "gateway = $WORLD6" "$@" >"$conf"
}
reloads=0
reload() {
    settings "$@"
    kill -HUP "$DAEMON_PID"
    reloads=$((reloads + 1))
    wait_until "no reload" has_lines "$WORK/sidestackd.log" 'info: reloaded' $reloads
}
addresses() {
    "$BUILD/sidestack" netif --socket "$WORK/control" --json |
        jq -r '.interfaces[1].addresses[] | select(.origin == "static") | .address' | paste -s -d ' '
}
# is_there ADDRESS: does it answer?
is_there() {
    ping -c 1 -W "$2" "$1" >/dev/null 2>&1 && echo yes || echo no
}
settings "address = $STACK/24" "address = $STACK6/64" 'address = 10.77.0.9/24'
mkfifo "$WORK/ready"
env "${SANITIZER_OPTIONS[@]}" "$BUILD/sidestackd" --socket "$WORK/control" --config "$conf" --ready-fd 3 3>"$WORK/ready" 2>"$WORK/sidestackd.log" </dev/null &
DAEMON_PID=$!
PID_OF[sidestackd]=$DAEMON_PID
IFS= read -r -N 1 -t 20 _ <"$WORK/ready" || fail "sidestackd did not start"
check_equal "at first" "$(addresses)" "$STACK 10.77.0.9 $STACK6"

background echo socat TCP4-LISTEN:7000,bind=$WORLD,fork EXEC:cat
background echo6 socat "TCP6-LISTEN:7000,bind=[$WORLD6],fork" EXEC:cat
wait_for_port $WORLD 7000
wait_for_port $WORLD6 7000
cat >"$WORK/talk.py" <<'PROGRAM'
import socket, sys
connections = [socket.create_connection((peer, 7000)) for peer in sys.argv[1:]]
for line in sys.stdin:
    for connection in connections:
        connection.sendall(line.encode())
        assert connection.recv(100).decode() == line
    print("heard", line, end="", flush=True)
PROGRAM
mkfifo "$WORK/talk"
nsenter --net=/run/netns/P -- env "${STACK_ENVIRONMENT[@]}" $PYTHON "$WORK/talk.py" $WORLD $WORLD6 <"$WORK/talk" >"$WORK/talk.log" 2>&1 &
PID_OF[talk]=$!
PIDS+=("${PID_OF[talk]}")
exec 8>"$WORK/talk"
echo one >&8
wait_for_line talk 'heard one'

ip address add 10.85.0.1/16 dev stack0
ip address add fd85::1/64 dev stack0 nodad
ip address add fd86::1/48 dev stack0 nodad
reload "address = $STACK/24" "address = $STACK6/64" 'address = 10.85.0.2/16' 'address = fd85::2/64' 'address = fd86::2/48'
check_equal "then" "$(addresses)" "$STACK 10.85.0.2 $STACK6 fd85::2 fd86::2"
for address in $STACK $STACK6 10.85.0.2 fd85::2 fd86::2; do
    check_equal "$address" "$(is_there "$address" 5)" yes
done
ip neighbour flush dev stack0
check_equal "10.77.0.9" "$(is_there 10.77.0.9 0.3)" no
check_equal "its source" "$(on_stack $PYTHON -c '
import socket
for family, peer in (socket.AF_INET, "10.85.3.4"), (socket.AF_INET6, "fd86:0:0:7::9"):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.connect((peer, 1))
    print(s.getsockname()[0])' | paste -s -d ' ')" "10.85.0.2 fd86::2"
echo two >&8
wait_for_line talk 'heard two'

# The same address with another prefix; an IPv6 network that is gone is not on the link any more.
reload "address = $STACK/24" "address = $STACK6/64" 'address = 10.85.0.2/24' 'address = fd86::2/64'
check_equal "at last" "$(addresses)" "$STACK 10.85.0.2 $STACK6 fd86::2"
check_equal "routes" "$("$BUILD/sidestack" netif --socket "$WORK/control" | awk '/^routes/ { on = 1; next } /^[a-z]/ { on = 0 } on && /kernel/ { print $1 }' | sort | paste -s -d ' ')" \
    "10.77.0.0/24 10.85.0.0/24 fd77::/64 fd86::/64"
check_equal "fd85::2" "$(is_there fd85::2 0.3)" no
echo three >&8
wait_for_line talk 'heard three'

# Too many: those from before hold.
mapfile -t many < <(for ((i = 1; i <= 17; i++)); do echo "address = 10.90.$i.2/24"; done)
settings "${many[@]}"
kill -HUP "$DAEMON_PID"
wait_for_line sidestackd 'address.* stays'
check_equal "as before" "$(addresses)" "$STACK 10.85.0.2 $STACK6 fd86::2"
echo four >&8
wait_for_line talk 'heard four'
exec 8>&-
