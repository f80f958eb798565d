#!/bin/bash
# A takeover that does not get to its end, whoever fails at whichever step: the running service goes on, and loses nothing.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0 # the kernel's stack is not replaced

constant() {
    printf '#include "service/protocol.h"\n#include <stdio.h>\nint main(void) { printf("%%d\\n", (int)(%s)); }\n' "$1" >"$WORK/constant.c"
    gcc -D_GNU_SOURCE -I "$TOP" -o "$WORK/constant" "$WORK/constant.c"
    "$WORK/constant"
}
PROTOCOL_VERSION=$(constant PROTOCOL_VERSION)
PROTOCOL_TAKEOVER=$(constant PROTOCOL_TAKEOVER)
PROTOCOL_SIZE=$(constant 'sizeof(struct protocol_message)')
export PROTOCOL_VERSION PROTOCOL_TAKEOVER PROTOCOL_SIZE

background world $PYTHON "$TOP/tests/apps/takeover.py" serve $WORLD 7000
wait_for_line world ready
background stream on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream $WORLD 7000 8 5000
background waiting on_stack socat -u TCP4-LISTEN:7002 -
wait_for_line stream flows

for step in asked received ready commit garbage out_of_turn; do
    lines=$(grep -c 'did not take over' "$WORK/sidestackd.log" || true)
    timeout 20 $PYTHON "$TOP/tests/apps/takeover_fails.py" "$WORK/control" $step >"$WORK/$step" || fail "$step: $(cat "$WORK/$step")"
    wait_until "$step: the service says nothing" has_lines "$WORK/sidestackd.log" 'did not take over' $((lines + 1))
    note "ok: $step: $(tr '\n' ' ' <"$WORK/$step")$(tail -n 1 "$WORK/sidestackd.log")"
done

# A whole service whose settings can't be, and one that is killed while it builds.
expect_refusal() {
    local status=0
    timeout 20 env "${SANITIZER_OPTIONS[@]}" "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 --address $STACK/24 --takeover "$@" \
        2>"$WORK/refused.log" || status=$?
    [ $status -ne 0 ] || fail "it took over"
    note "ok: $(grep -m 1 error: "$WORK/refused.log")"
}
expect_refusal --pcap /nonexistent/file
SIDESTACK_SOCKET=$WORK/control expect_refusal --socket "$WORK/nobody"

wait_for_line stream '^done'
note "ok: stream: $(tail -n 1 "$WORK/stream.log")"
wait_for_line world '^served'
echo hello | socat -u - TCP4:$STACK:7002
wait_for_line waiting hello
