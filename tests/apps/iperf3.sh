#!/bin/bash
# iperf3 as client and as server on the stack: both directions, one stream and four.
# time: 90
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# run WHAT COMMAND...: its summary must show data received
run() {
    local what=$1 output rate
    shift
    output=$("$@" --json) || fail "$what: $output"
    rate=$($PYTHON -c 'import json, sys
print(round(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e6))' <<<"$output") || fail "$what: $output"
    [ "$rate" -gt 0 ] || fail "$what: no data came"
    note "ok: $what: $rate Mbit/s"
}

background server_on_kernel iperf3 -s -4 -B $WORLD --forceflush
server=$BACKGROUND_PID
wait_for_line server_on_kernel 'Server listening'
for options in "" "-R" "-P 4" "-P 4 -R" "--bidir"; do
    # shellcheck disable=SC2086 # several options
    run "client on the stack $options" on_stack iperf3 -4 -c $WORLD -t 2 $options
done
stop "$server"

background server_on_stack on_stack iperf3 -s -4 -B $STACK --forceflush
server=$BACKGROUND_PID
wait_for_line server_on_stack 'Server listening'
for options in "" "-R" "-P 4" "-P 4 -R" "--bidir"; do
    # shellcheck disable=SC2086 # several options
    run "server on the stack $options" iperf3 -4 -c $STACK -t 2 $options
done
stop "$server"
