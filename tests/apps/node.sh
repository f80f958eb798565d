#!/bin/bash
# Node's http server and its fetch, each on the stack with the other on the kernel.
# time: 60
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

program=$TOP/tests/apps/node.js
expect() {
    printf '%s\n' "address $1" 'get true' 'post true' 'many 50 1' 'refused ECONNREFUSED'
}

background server_on_stack on_stack node "$program" serve $STACK 8000
server=$BACKGROUND_PID
wait_for_line server_on_stack "serving on $STACK"
check_equal "fetch on the kernel, server on the stack" "$(node "$program" fetch http://$STACK:8000)" "$(expect $WORLD)"
check_equal "curl, server on the stack" "$(curl -sS http://$STACK:8000/)" $WORLD
stop "$server"

background server_on_kernel node "$program" serve $WORLD 8000
wait_for_line server_on_kernel "serving on $WORLD"
check_equal "fetch on the stack, server on the kernel" "$(on_stack node "$program" fetch http://$WORLD:8000)" \
    "$(expect $STACK)"
check_memory_below 65536
