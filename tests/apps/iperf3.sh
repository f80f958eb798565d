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

# How many datagrams found SO_RCVBUF full, in W and on the stack (or in P), since the beginning.
count_full() {
    {
        cat /proc/net/snmp /proc/net/snmp6
        if [ "$MODE" = kernel ]; then
            in_p cat /proc/net/snmp /proc/net/snmp6
        else
            SIDESTACK_SOCKET="$WORK/control" "$BUILD/sidestack" stats
        fi
    } | awk '
        $1 == "Udp:" && !column { for (column = 1; $column != "RcvbufErrors"; column++) continue; next }
        $1 == "Udp:" { sum += $column; column = 0 }
        $1 ~ /^Udp6?RcvbufErrors$/ { sum += $2 }
        END { print sum + 0 }'
}

# datagrams WHAT HOW_MANY COMMAND...: they come in order. A few (less than fit SO_RCVBUF) come all; of many none is lost but those
# that found SO_RCVBUF full, because the receiver waited for a processor: these are counted. (The kernel alone loses as many on a busy machine.)
datagrams() {
    local what=$1 many=$2 output result full
    shift 2
    full=$(count_full)
    output=$("$@" -u -l 1200 --json) || fail "$what: $output"
    full=$(($(count_full) - full))
    result=$($PYTHON -c 'import json, sys
end = json.load(sys.stdin)["end"]
total, full = end["sum"], int(sys.argv[1])
few = total["packets"] < 80
unordered = sum(stream["udp"]["out_of_order"] for stream in end["streams"])
print("few" if few else "many" if total["packets"] > 500 else total["packets"],
      "lost", max(0, total["lost_packets"] - (0 if few else full)), "out of order", unordered)' $full <<<"$output") ||
        fail "$what: $output"
    check_equal "$what: $many datagrams" "$result" "$many lost 0 out of order 0"
}

# run_datagrams WHAT COMMAND...: less than fit SO_RCVBUF, as fast as they can be sent; and for a second.
run_datagrams() {
    local what=$1
    shift
    datagrams "$what" few "$@" -b 0 -n 60000
    datagrams "$what" many "$@" -b 20M -t 1
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
