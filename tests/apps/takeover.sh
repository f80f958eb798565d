#!/bin/bash
# A new service takes the place of the running one, several times, while streams of known bytes, datagrams and requests flow: nothing is lost or doubled.
# time: 100
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
DAEMON_OPTIONS=(--rule 'reject program=nobody' --rule 'blackhole address=192.0.2.0/24') # about none of these
lib_begin
[ "$MODE" = stack ] || exit 0 # the kernel's stack is not replaced

background world $PYTHON "$TOP/tests/apps/takeover.py" serve $WORLD 7000
background inside on_stack $PYTHON "$TOP/tests/apps/takeover.py" serve 0.0.0.0 7000
background udp socat UDP4-LISTEN:7001,bind=$WORLD,fork EXEC:cat
background echo socat TCP4-LISTEN:7003,bind=$WORLD,fork EXEC:cat
background udp_inside on_stack $PYTHON "$TOP/tests/apps/takeover.py" echo 0.0.0.0 7001
wait_for_line world ready
wait_for_line inside ready
wait_for_line udp_inside ready
wait_for_udp $WORLD 7001
wait_for_port $WORLD 7003

SECONDS_LONG=8
background out_bulk on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream $WORLD 7000 $SECONDS_LONG 65536
background out_small on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream $WORLD 7000 $SECONDS_LONG 100
background in_bulk $PYTHON "$TOP/tests/apps/takeover.py" stream $STACK 7000 $SECONDS_LONG 65536
background local on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream 127.0.0.1 7000 $SECONDS_LONG 5000
background corks on_stack $PYTHON "$TOP/tests/apps/takeover.py" corks $WORLD 7003 $SECONDS_LONG
background out6 on_stack $PYTHON "$TOP/tests/apps/takeover.py" datagrams $WORLD 7001 $SECONDS_LONG
background strangers $PYTHON "$TOP/tests/apps/takeover.py" strangers $STACK 7001 $SECONDS_LONG
for name in out_bulk out_small in_bulk local corks out6 strangers; do
    wait_for_line "$name" flows
done
background many_udp $PYTHON "$TOP/tests/apps/takeover.py" echo $WORLD 7002
wait_for_line many_udp ready
background late on_stack $PYTHON "$TOP/tests/apps/takeover.py" late $WORLD 7002 "$WORK/taken-over"
wait_for_line late ready

for _ in 1 2 3 4 5; do
    take_over
    touch "$WORK/taken-over" # the rules are asked about its datagrams, and who sends them was said to another service
    flow 10000000
done
take_over --mtu 1400 --log-level debug --busy-poll 0
flow 10000000
take_over

for name in out_bulk out_small in_bulk local corks; do
    wait_for_line "$name" '^done'
    grep '^done' "$WORK/$name.log" | while read -r _ sent received; do
        note "ok: $name: $sent bytes sent and $received received, each where it belongs"
    done
done
wait_for_line late "^done 300"
for name in out6 strangers; do
    wait_for_line $name '^done'
    check_equal "datagrams whose echo did not come" "$(grep -c "^lost" "$WORK/$name.log" || true)" 0
    note "datagrams: $(grep "^done" "$WORK/$name.log")"
done
check_equal "failures of servers" "$(cat "$WORK/world.log" "$WORK/inside.log" | grep -c '^failed' || true)" 0
wait_for_line world 'served.*'
check_equal "the service says so" "$(grep -c 'info: took over from process' "$WORK/sidestackd.log")" 7
