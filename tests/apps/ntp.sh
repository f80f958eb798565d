#!/bin/bash
# chrony as time server and client, each on the stack with the other on the kernel. Nobody sets a clock.
# time: 90
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# serve NAME ADDRESS [COMMAND-PREFIX]
serve() {
    local name=$1 address=$2
    shift 2
    printf '%s\n' 'local stratum 5' 'allow 0/0' 'allow ::/0' 'cmdport 0' 'port 123' "bindaddress $address" \
        "pidfile $WORK/$name.pid" 'user root' >"$WORK/$name.conf"
    background "$name" "$@" chronyd -d -x -f "$WORK/$name.conf"
    server=$BACKGROUND_PID
    wait_for_line "$name" 'Disabled control of system clock'
}

# ask ADDRESS [COMMAND-PREFIX]: what the server's time is
ask() {
    local address=$1 output
    shift
    output=$("$@" chronyd -d -x -Q -t 20 'cmdport 0' "pidfile $WORK/client.pid" 'user root' \
        "server $address iburst maxsamples 2" 2>&1) || fail "no time from $address: $output"
    # Both ends have the same clock, so that a sample is off by no more than the delay of the way.
    grep -q -E 'System clock wrong by -?0\.0[0-9]+ seconds' <<<"$output" || fail "time from $address: $output"
    note "ok: the time from $address"
}
for family in 4 6; do
    [ $family = 4 ] && pair=("$WORLD" "$STACK") || pair=("$WORLD6" "$STACK6")
    serve "server_on_kernel$family" "${pair[0]}"
    ask "${pair[0]}" on_stack
    stop "$server"
    serve "server_on_stack$family" "${pair[1]}" on_stack
    ask "${pair[1]}"
    stop "$server"
done
