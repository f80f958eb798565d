#!/bin/bash
# 1 GiB each way in both roles, every byte compared, while the service's memory stays bounded.
# time: 240
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

size=${SIDESTACK_TEST_SIZE:-1G}
want=$(random_stream "$size" | sha256)
export -f random_stream

# shellcheck disable=SC2016 # expanded by the inner shells
{
    server_receives='socat -d -d -u "TCP4-LISTEN:7000,bind=$1,reuseaddr" - | sha256sum'
    server_sends='random_stream "$2" | socat -d -d -u - "TCP4-LISTEN:7000,bind=$1,reuseaddr"'
    client_receives='socat -u "TCP4:$1:7000" - | sha256sum'
    client_sends='random_stream "$2" | socat -u - "TCP4:$1:7000"'
}

# transfer ADDRESS SERVER-SIDE CLIENT-SIDE: a side is on_stack or env (the kernel)
transfer() {
    local address=$1 server_side=$2 client_side=$3 server start
    background sink "$server_side" bash -o pipefail -c "$server_receives" bash "$address" "$size"
    server=$BACKGROUND_PID
    wait_for_line sink 'listening on'
    start=$SECONDS
    "$client_side" bash -o pipefail -c "$client_sends" bash "$address" "$size" || fail "the client failed"
    wait "$server" || fail "the server failed"
    check_equal "$size, client ($client_side) to server, $((SECONDS - start)) s" \
        "$(sed -n 's/  -$//p' "$WORK/sink.log")" "$want"

    background source "$server_side" bash -o pipefail -c "$server_sends" bash "$address" "$size"
    server=$BACKGROUND_PID
    wait_for_line source 'listening on'
    start=$SECONDS
    check_equal "$size, server to client ($client_side), $((SECONDS - start)) s" \
        "$("$client_side" bash -o pipefail -c "$client_receives" bash "$address" "$size" | cut -d ' ' -f 1)" "$want"
    wait "$server" || fail "the server failed"
}
transfer $WORLD env on_stack
transfer $STACK on_stack env
check_memory_below 65536
