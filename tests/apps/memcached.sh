#!/bin/bash
# memcached on the stack (threads, which gave up root) with clients on the kernel, and the other way round.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# serve NAME ADDRESS COMMAND-PREFIX
serve() {
    background "$1" "$3" memcached -v -u nobody -t 4 -m 64 -U 0 -I 4m -l "$2" -p 11211
    server=$BACKGROUND_PID
    wait_for_port "$2" 11211
}

# check ADDRESS [COMMAND-PREFIX]: 20 clients at once, small values in one burst, and one large value each
check() {
    local address=$1
    shift
    check_equal "20 clients at once of $address" "$("$@" $PYTHON "$TOP/tests/apps/memcached.py" "$address" 11211 20)" \
        "20 clients: 2000 small values, 20 large values, 0 wrong"
}
serve server_on_stack $STACK on_stack
check $STACK
stop "$server"
serve server_on_kernel $WORLD env
check $WORLD on_stack
check_memory_below 131072
