#!/bin/bash
# iperf3 as client and as server on the stack: both directions, one stream and four; the same on IPv6, and datagrams.
# time: 180
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

# run_datagrams WHAT COMMAND...: all of them must come, in order
run_datagrams() {
    local what=$1 output result
    shift
    output=$("$@" -u -b 20M -l 1200 -t 1 --json) || fail "$what: $output"
    result=$($PYTHON -c 'import json, sys
total = json.load(sys.stdin)["end"]["sum"]
print("some" if total["packets"] > 1500 else "few", "lost", total["lost_packets"])' <<<"$output") || fail "$what: $output"
    check_equal "$what: datagrams" "$result" "some lost 0"
}

# serve NAME ADDRESS FAMILY [COMMAND-PREFIX]
serve() {
    local name=$1 address=$2 family=$3
    shift 3
    background "$name" "$@" iperf3 -s "$family" -B "$address" --forceflush
    server=$BACKGROUND_PID
    wait_for_line "$name" 'Server listening'
}

# measure WHAT ADDRESS FAMILY [COMMAND-PREFIX]
measure() {
    local what=$1 address=$2 family=$3 options
    shift 3
    for options in "" "-R" "-P 4" "-P 4 -R" "--bidir"; do
        # shellcheck disable=SC2086 # several options
        run "$what $options" "$@" iperf3 "$family" -c "$address" -t 1 $options
    done
    run_datagrams "$what" "$@" iperf3 "$family" -c "$address"
    run_datagrams "$what -R" "$@" iperf3 "$family" -c "$address" -R
}

serve server_on_kernel $WORLD -4
measure "client on the stack" $WORLD -4 on_stack
stop "$server"
serve server_on_stack $STACK -4 on_stack
measure "server on the stack" $STACK -4
stop "$server"
serve server_on_kernel_6 $WORLD6 -6
measure "client on the stack, IPv6" $WORLD6 -6 on_stack
stop "$server"
serve server_on_stack_6 $STACK6 -6 on_stack
measure "server on the stack, IPv6" $STACK6 -6
stop "$server"
