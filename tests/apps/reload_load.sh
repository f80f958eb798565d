#!/bin/bash
# SIGHUP and changes of rules, routes, impairment, limits and name servers, a hundred times under load in both directions: no request
# fails and no byte is lost.
# time: 120
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
RELOADS=100
conf=$WORK/stack.conf
echo 'log-level = info' >"$conf"
DAEMON_OPTIONS=(--config "$conf")
lib_begin

nginx_configuration 8080
random_file "$WORK/www/small" 3K
random_file "$WORK/www/large" 5M
background server on_stack nginx -c "$WORK/nginx.conf"
wait_for_port $STACK 8080
sed "s|$WORK/nginx.pid|$WORK/world.pid|; s|$WORK/body|$WORK/world-body|" "$WORK/nginx.conf" >"$WORK/world.conf"
background world nginx -c "$WORK/world.conf" -e stderr
wait_for_port $WORLD 8080

# A stream each way that lasts as long as the reloads do, and says whether each byte was the right one.
cat >"$WORK/stream.py" <<'PROGRAM'
import os, socket, sys, threading
block = bytes(range(256)) * 256
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def send():
    while not os.path.exists(sys.argv[3]):
        peer.sendall(block)
    peer.shutdown(socket.SHUT_WR)
sender = threading.Thread(target=send)
sender.start()
total = 0
while chunk := peer.recv(65536):
    start = total % 256
    assert chunk == (block + block[:256])[start:start + len(chunk)]
    total += len(chunk)
sender.join()
print("echoed", total, "good" if total % len(block) == 0 and total > 0 else "bad")
PROGRAM
background echo socat TCP4-LISTEN:7000,bind=$WORLD,fork EXEC:cat
wait_for_port $WORLD 7000
background stream on_stack $PYTHON "$WORK/stream.py" $WORLD 7000 "$WORK/over"
stream=$BACKGROUND_PID

# requests NAME COMMAND...: run it again and again until the reloads are over; it must succeed each time
requests() {
    local name=$1 rounds=0
    shift
    until [ -e "$WORK/over" ]; do
        "$@" >"$WORK/$name.log" 2>&1 || return 1
        ! grep -E 'Failed requests: *[1-9]|Non-2xx|Socket errors' "$WORK/$name.log" || return 1
        rounds=$((rounds + 1))
    done
    echo "rounds: $rounds" >>"$WORK/$name.log"
}
load() {
    requests "$@" &
    PIDS+=($!)
    PID_OF[$1]=$!
}
load connections on_stack ab -q -n 300 -c 4 "http://$WORLD:8080/small"
load kept ab -q -k -n 1000 -c 4 "http://$STACK:8080/small"
load download on_stack curl -sS --fail --max-time 60 -o "$WORK/got" http://$WORLD:8080/large
load wrk wrk -t 1 -c 8 -d 1 http://$STACK:8080/small

log=$WORK/sidestackd.log
for ((i = 1; i <= RELOADS; i++)); do
    {
        printf '%s\n' "dns = 10.77.0.$((i % 200 + 1))" "route = 10.8.$i.0/24 via $WORLD" "max-sockets = $((5000 + i))" "busy-poll = $((i % 2 * 50))"
        printf 'rule = %s\n' "reject program=nobody$i" "blackhole address=10.9.$i.0/24" "host program=other port=$i"
        [ $((i % 2)) = 0 ] || echo 'rule = stack address=10.0.0.0/8'
        [ $((i % 3)) = 0 ] || echo "impair = delay=$((i % 4))00us"
        [ $((i % 10)) != 0 ] || echo 'rule = nonsense'
    } >"$conf"
    kill -HUP "$DAEMON_PID"
    wait_until "reload $i is not told of" has_lines "$log" 'info: reloaded\|everything stays as it was' $i
done
touch "$WORK/over"
check_equal "reloads of good and bad files" "$(grep -c 'info: reloaded' "$log") $(grep -c 'everything stays as it was' "$log")" "90 10"
for name in connections kept download wrk; do
    wait "${PID_OF[$name]}" || fail "$name: $(cat "$WORK/$name.log")"
    note "ok: $name ($(tail -n 1 "$WORK/$name.log"))"
done
check_equal "the last download" "$(sha256 "$WORK/got")" "$(sha256 "$WORK/www/large")"
wait "$stream" || fail "$(cat "$WORK/stream.log")"
grep 'good' "$WORK/stream.log"
