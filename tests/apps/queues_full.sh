#!/bin/bash
# Queues that are full, and kernel memory that is short for what the service writes: streams of known bytes, both ways, lose none. The queue of the
# TAP device is made so short that the kernel drops; then one write in ten to the device, and to programs, fails, and the next one with it.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0 # these are faults of the service

gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -shared -fPIC -o "$WORK/full.so" "$TOP/tests/apps/queues_full.c"
head -c 12 /dev/zero >"$WORK/full"
# refuse EVERY: from now on
refuse() {
    $PYTHON -c 'import struct, sys
with open(sys.argv[1], "r+b") as file:
    file.write(struct.pack("I", int(sys.argv[2])))' "$WORK/full" "$1"
}
# refused: how many writes to the device, and to programs
refused() {
    $PYTHON -c 'import struct, sys; print(*struct.unpack("II", open(sys.argv[1], "rb").read()[4:]))' "$WORK/full"
}
DAEMON_WRAPPER="env QUEUES_FULL=$WORK/full LD_PRELOAD=$WORK/full.so"
lib_begin
DAEMON_WRAPPER=

background world $PYTHON "$TOP/tests/apps/takeover.py" serve $WORLD 7000
background inside on_stack $PYTHON "$TOP/tests/apps/takeover.py" serve 0.0.0.0 7000
wait_for_line world ready
wait_for_line inside ready

# streams NAME EVERY: at once, of known bytes both ways; when they flow, that much is refused
streams() {
    local name
    background out_bulk on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream $WORLD 7000 3 65536
    background out_small on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream $WORLD 7000 3 100
    background in_bulk $PYTHON "$TOP/tests/apps/takeover.py" stream $STACK 7000 3 65536
    background local on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream 127.0.0.1 7000 3 5000
    for name in out_bulk out_small in_bulk local; do
        wait_for_line $name flows
    done
    refuse "$2"
    for name in out_bulk out_small in_bulk local; do
        wait_for_line $name '^done'
        note "ok: $1: $name: $(grep '^done' "$WORK/$name.log") bytes, each where it belongs"
    done
    refuse 0
}
# counter NAME: of the service
counter() {
    "$BUILD/sidestack" stats --socket "$WORK/control" --json | jq "[.. | objects | .$1? // empty] | add"
}
dropped_by_kernel() {
    ip -s -j link show stack0 | jq '.[0].stats64.tx.dropped'
}

ip link set stack0 txqueuelen 2
before=$(dropped_by_kernel)
streams 'a queue of two frames' 0
[ "$(dropped_by_kernel)" -gt "$before" ] || fail "the kernel dropped nothing"
note "ok: the kernel dropped $(($(dropped_by_kernel) - before)) frames"
ip link set stack0 txqueuelen 1000

full=$(counter RelayProgramFull)
dropped=$(counter DroppedOut)
streams 'writes that fail' 10
read -r wire pairs < <(refused)
[ "$wire" -gt 20 ] || fail "only $wire writes to the device were refused"
[ "$pairs" -gt 20 ] || fail "only $pairs writes to programs were refused"
note "ok: $wire writes to the device and $pairs to programs were refused"
# Each frame is counted that the device did not take.
check_equal 'frames that were dropped' $(($(counter DroppedOut) - dropped)) "$wire"
[ "$(counter RelayProgramFull)" -gt "$full" ] || fail "no pair was ever full"
note "ok: a pair was full $(($(counter RelayProgramFull) - full)) times"
streams 'afterwards' 0
check_equal "failures of servers" "$(cat "$WORK/world.log" "$WORK/inside.log" | grep -c '^failed' || true)" 0
