#!/bin/bash
# A new service takes the place of the running one, several times, while streams of known bytes, datagrams and requests flow: nothing is lost or doubled.
# time: 100
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0 # the kernel's stack is not replaced

# take_over OPTION...: start a new one beside the running one. Return: the new one's status when it did not become it.
take_over() {
    local old=$DAEMON_PID
    rm -f "$WORK/ready"
    mkfifo "$WORK/ready"
    # shellcheck disable=SC2086 # the wrapper is a command with options
    env "${SANITIZER_OPTIONS[@]}" $DAEMON_WRAPPER "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 \
        --address $STACK/24 --gateway $WORLD --address $STACK6/64 --gateway $WORLD6 \
        "${DAEMON_OPTIONS[@]}" --takeover --ready-fd 3 "$@" 3>"$WORK/ready" 2>>"$WORK/sidestackd.log" </dev/null &
    DAEMON_PID=$!
    PID_OF[sidestackd]=$DAEMON_PID
    IFS= read -r -N 1 -t 20 _ <"$WORK/ready" || fail "the new service did not take over"
    wait "$old" || fail "the old service ended with status $?"
}

background world $PYTHON "$TOP/tests/apps/takeover.py" serve $WORLD 7000
background inside on_stack $PYTHON "$TOP/tests/apps/takeover.py" serve 0.0.0.0 7000
background udp socat UDP4-LISTEN:7001,bind=$WORLD,fork EXEC:cat
background udp_inside on_stack socat UDP4-RECVFROM:7001,fork EXEC:cat
wait_for_line world ready
wait_for_line inside ready
wait_for_udp $WORLD 7001

SECONDS_LONG=8
background out_bulk on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream $WORLD 7000 $SECONDS_LONG 65536
background out_small on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream $WORLD 7000 $SECONDS_LONG 100
background in_bulk $PYTHON "$TOP/tests/apps/takeover.py" stream $STACK 7000 $SECONDS_LONG 65536
background local on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream 127.0.0.1 7000 $SECONDS_LONG 5000
background out6 on_stack $PYTHON "$TOP/tests/apps/takeover.py" datagrams $WORLD 7001 $SECONDS_LONG
for name in out_bulk out_small in_bulk local out6; do
    wait_for_line "$name" flows
done

for _ in 1 2 3 4 5; do
    take_over
    sleep 0.7 # bytes are to flow between two of them
done
take_over --mtu 1400 --log-level debug --busy-poll 0
sleep 0.5
take_over

for name in out_bulk out_small in_bulk local; do
    wait_for_line "$name" '^done'
    grep '^done' "$WORK/$name.log" | while read -r _ sent received; do
        note "ok: $name: $sent bytes sent and $received received, each where it belongs"
    done
done
wait_for_line out6 '^done'
note "datagrams: $(grep '^done' "$WORK/out6.log")"
check_equal "failures of servers" "$(cat "$WORK/world.log" "$WORK/inside.log" | grep -c '^failed' || true)" 0
wait_for_line world 'served.*'
check_equal "the service says so" "$(grep -c 'info: took over from process' "$WORK/sidestackd.log")" 7
