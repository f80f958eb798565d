#!/bin/bash
# A reader that does not read, on either side: the writer stalls, the service's memory stays bounded, nothing is lost.
# time: 90
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

count=4
mib=64
want=$((count * mib * 1048576))

# shellcheck disable=SC2016 # for another bash
with_input=(bash -c 'exec "$@" <"$0"')
program=$TOP/tests/apps/slow.py

# slow ADDRESS RECEIVING-SIDE SENDING-SIDE: a side is on_stack or env (the kernel)
slow() {
    local receiver sender stalled
    rm -f "$WORK/go_receive" "$WORK/go_send"
    mkfifo "$WORK/go_receive" "$WORK/go_send"
    # Opened for both, so that neither side waits for the other.
    exec {go_receive}<>"$WORK/go_receive" {go_send}<>"$WORK/go_send"
    background receive "$2" "${with_input[@]}" "$WORK/go_receive" $PYTHON "$program" receive "$1" 7000 $count
    receiver=$BACKGROUND_PID
    wait_for_line receive listening
    background send "$3" "${with_input[@]}" "$WORK/go_send" $PYTHON "$program" send "$1" 7000 $count $mib
    sender=$BACKGROUND_PID
    wait_for_line receive accepted
    wait_for_line send stalled
    stalled=$(sed -n 's/stalled after \(.*\) KiB/\1/p' "$WORK/send.log")
    [ "$stalled" -lt $((count * mib * 1024)) ] || fail "the writer never stalled"
    note "ok: $count writers ($3) stalled after $stalled KiB"
    check_memory_below 65536
    echo >&"$go_receive"
    echo >&"$go_send"
    wait "$receiver" || fail "the receiver failed"
    wait "$sender" || fail "the sender failed"
    check_equal "what the writers sent" "$(tail -n 1 "$WORK/send.log")" "sent $want"
    check_equal "what the readers got" "$(tail -n 1 "$WORK/receive.log")" "received $want"
    exec {go_receive}>&- {go_send}>&-
}
slow $STACK on_stack env
slow $WORLD env on_stack
