#!/bin/bash
# haproxy on the stack before an nginx on the stack as well, reloaded every other second under load: no request is lost.
# time: 90
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# haproxy insists on a UDP socket for each name server that it finds, and the stack has none yet; no name is looked up here.
mount --bind /dev/null /etc/resolv.conf

nginx_configuration $STACK:8080
random_file "$WORK/www/large" 32M
echo hello >"$WORK/www/small"
want=$(sha256 "$WORK/www/large")
cat >"$WORK/haproxy.cfg" <<END
global
    stats socket $WORK/haproxy.sock level admin expose-fd listeners
    nbthread 2
    hard-stop-after 10s
    log stderr format raw local0 warning
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
    option forwardfor
frontend front
    bind $STACK:80
    default_backend back
frontend plain
    mode tcp
    bind $STACK:81
    default_backend plain_back
backend back
    server one $STACK:8080 check inter 200ms
backend plain_back
    mode tcp
    server one $STACK:8080
END

background nginx on_stack nginx -c "$WORK/nginx.conf" -e stderr
wait_for_port $STACK 8080
# A master and a worker; at a reload (SIGUSR2) the new worker gets the old one's listening sockets over a Unix socket.
background haproxy on_stack haproxy -W -db -f "$WORK/haproxy.cfg" -p "$WORK/haproxy.pid"
haproxy=$BACKGROUND_PID
wait_for_port $STACK 80

check_all() {
    check_equal "small, $1" "$(curl -sS http://$STACK/small)" hello
    check_equal "large, $1" "$(curl -sS http://$STACK/large | sha256)" "$want"
    check_equal "large, not as HTTP, $1" "$(curl -sS http://$STACK:81/large | sha256)" "$want"
    check_equal "addresses, $1" "$(curl -sS http://$STACK/who)" "$STACK $WORLD"
}
check_all "at first"

background load wrk -t 2 -c 32 -d 60 -H 'Connection: close' http://$STACK/small
load=$BACKGROUND_PID
workers() {
    ps -o pid= --ppid "$haproxy" | sort | tr -d ' '
}
# reload: and wait until the old worker has gone
reload() {
    local old
    old=$(workers)
    kill -USR2 "$haproxy"
    for worker in $old; do
        wait_for_exit "$worker" 20 || fail "haproxy's old worker $worker stays"
    done
}
for _ in 1 2 3; do
    reload
    ! wait_for_exit "$load" 1.5 || fail "the load ended before the reloads did"
done
kill -INT "$load"
wait "$load" || fail "wrk failed"
grep 'Requests/sec' "$WORK/load.log"
if grep -e 'Socket errors' -e 'Non-2xx' "$WORK/load.log"; then
    fail "wrk met errors"
fi
note "ok: three reloads under load"
check_all "after three reloads"

# A server that is away, and comes back: haproxy's own checks see both.
state() {
    echo 'show servers state back' | socat -t 5 - "UNIX-CONNECT:$WORK/haproxy.sock" | awk '$4 == "one" { print $6 }'
}
# wait_for_state 0 (down) or 2 (up)
state_is() {
    [ "$(state)" = "$1" ]
}
wait_for_state() {
    wait_until "haproxy does not see the server's state $1" state_is "$1"
}
kill "$(cat "$WORK/nginx.pid")"
wait_for_state 0
check_equal "no server" "$(curl -sS -o /dev/null -w '%{http_code}' http://$STACK/small)" 503
background nginx_again on_stack nginx -c "$WORK/nginx.conf" -e stderr
wait_for_state 2
check_all "when the server is back"
stop "$haproxy"
check_memory_below 65536
