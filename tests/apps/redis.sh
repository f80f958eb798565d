#!/bin/bash
# redis-server on the stack with redis-benchmark on the kernel, and the other way round.
# time: 600
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# The whole default run: 20 commands, 100 000 times each, 50 clients; the other way round, and with sanitizers, less often. Each must
# report a rate.

# benchmark REQUESTS ADDRESS [COMMAND-PREFIX]
benchmark() {
    local requests=$1 address=$2 output
    shift 2
    [ "$BUILD" = "$TOP/build" ] || requests=3000
    output=$("$@" redis-benchmark -h "$address" -p 6379 -n "$requests" --csv 2>&1) || fail "redis-benchmark: $output"
    if grep -i error <<<"$output"; then
        fail "redis-benchmark met errors"
    fi
    check_equal "redis-benchmark against $address, commands done" "$(grep -c '^"[A-Z].*","[0-9.]*"' <<<"$output")" 20
}

# session ADDRESS [COMMAND-PREFIX]: some commands by hand, large values among them
session() {
    local address=$1
    shift
    check_equal "ping" "$("$@" redis-cli -h "$address" ping)" PONG
    check_equal "set a large value" "$("$@" redis-cli -h "$address" -x set large <"$WORK/value")" OK
    check_equal "get it" "$("$@" redis-cli -h "$address" --raw get large | head -c 8000000 | sha256)" "$value"
}
random_file "$WORK/value" 8000000
value=$(sha256 "$WORK/value")

options=(--save '' --appendonly no --port 6379 --protected-mode no --dir "$WORK")
background server_on_stack on_stack redis-server "${options[@]}" --bind $STACK
server=$BACKGROUND_PID
wait_for_port $STACK 6379
session $STACK
benchmark 100000 $STACK
stop "$server"

background server_on_kernel redis-server "${options[@]}" --bind $WORLD
wait_for_port $WORLD 6379
session $WORLD on_stack
benchmark 20000 $WORLD on_stack
check_equal "redis-cli's own address" \
    "$(on_stack redis-cli -h $WORLD client list | sed -n 's/.* addr=\([^:]*\):.*/\1/p')" $STACK
check_memory_below 65536
