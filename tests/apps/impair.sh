#!/bin/bash
# The wire made a bad one while it runs: sidestack impair, and what it does to a transfer.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
DAEMON_OPTIONS=(--impair "delay=3ms,seed=11")
lib_begin

impair() {
    "$BUILD/sidestack" impair --socket "$WORK/control" "$@"
}

nginx_configuration $WORLD:80
random_file "$WORK/www/file" 512K
want=$(sha256 "$WORK/www/file")
background nginx nginx -c "$WORK/nginx.conf" -e stderr
wait_for_port $WORLD 80

check_equal "as the option says" "$(impair)" delay=3ms,seed=11
seconds=$(on_stack curl -sS -o /dev/null -w '%{time_connect}' http://$WORLD/file)
check_equal "a handshake takes a round trip" "$(awk -v s="$seconds" 'BEGIN { print (s >= 0.006) }')" 1
check_equal "changed while it runs" "$(impair in:corrupt=1%,duplicate=1%,reorder=2%,in:loss=0.5%,seed=4)" \
    delay=3ms,in:loss=0.5%,duplicate=1%,reorder=2%,in:corrupt=1%,seed=4
check_equal "a transfer is whole" "$(on_stack curl -sS http://$WORLD/file | sha256)" "$want"
impair loss=100% >"$WORK/out"
check_equal "nothing gets through" "$(on_stack curl -s -m 1 http://$WORLD/file || echo $?)" 28
check_equal "none again" "$(impair none)" none
check_equal "a good wire" "$(on_stack curl -sS http://$WORLD/file | sha256)" "$want"
check_equal "not understood" "$(impair loss=1%,delay=5 2>&1 || true)" "sidestack impair: not understood: 'delay=5'"
# Whoever may reach the control socket; the directories on the way to it are closed to others.
check_equal "not for others" "$(setpriv --reuid 1234 --clear-groups --inh-caps +dac_override --ambient-caps +dac_override \
    "$BUILD/sidestack" impair --socket "$WORK/control" loss=1% 2>&1 || true)" \
    "sidestack impair: the service says no: Operation not permitted"
