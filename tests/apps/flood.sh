#!/bin/bash
# While SYNs pour in that nobody means, others get in, a stream goes on, and what is remembered of them has a bound.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0

# statistic NAME
statistic() {
    "$BUILD/sidestack" stats --socket "$WORK/control" | awk -v name="$1" '$1 == name { value = $2 } END { print value + 0 }'
}

background server on_stack $PYTHON "$TOP/tests/apps/many.py" serve $STACK 7000
wait_for_line server listening
background sink on_stack socat -u TCP4-LISTEN:7001,reuseaddr "OPEN:$WORK/got,creat"
wait_for_port $STACK 7000
random_file "$WORK/data" 40M
background flood $PYTHON "$TOP/tests/apps/flood.py" $STACK 7000 10 8000
cookies_sent() { [ "$(statistic TcpExtSyncookiesSent)" -gt 100 ]; }
wait_until "no SYN was answered with a cookie" cookies_sent
socat -u "OPEN:$WORK/data" TCP4:$STACK:7001,retry=50,interval=0.1
check_equal "connections during the flood" "$($PYTHON "$TOP/tests/apps/many.py" connect $STACK 7000 200)" "200 of 200 connections echoed"
[ "$(statistic TcpExtSyncookiesRecv)" -ge 200 ] || fail "they did not bring cookies back: $(statistic TcpExtSyncookiesRecv)"
[ "$(statistic HalfOpen)" -le 1024 ] || fail "too many handshakes are remembered"
wait_for_exit "${PID_OF[sink]}" 10
check_equal "the stream" "$(sha256 "$WORK/got")" "$(sha256 "$WORK/data")"
wait_for_line flood SYNs
note "ok: $(cat "$WORK/flood.log"), $(statistic TcpExtSyncookiesSent) cookies"
check_memory_below 32768
