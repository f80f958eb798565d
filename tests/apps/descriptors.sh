#!/bin/bash
# A connection stays whole when its descriptor changes hands: fork, exec, dup, SCM_RIGHTS, programs with and without us.
# time: 90
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

random_file "$WORK/data" 3M
want=$(sha256 "$WORK/data")
port=7000

# handed WAY KIND: KIND is named, where the last holder says both addresses first, or bare, where it only copies.
# Every way gets a port of its own: the one before may still be in TIME_WAIT.
handed() {
    port=$((port + 1))
    background "$1" on_stack $PYTHON "$TOP/tests/apps/descriptors.py" serve "$1" $STACK $port
    wait_for_line "$1" listening
    socat -t 20 - TCP4:$STACK:$port <"$WORK/data" >"$WORK/answer"
    if [ "$2" = named ]; then
        check_equal "$1, addresses" "$(head -n 1 "$WORK/answer")" "$STACK:$port $WORLD"
        tail -n +2 "$WORK/answer" >"$WORK/rest"
        mv "$WORK/rest" "$WORK/answer"
    fi
    check_equal "$1, data" "$(sha256 "$WORK/answer")" "$want"
}
handed by_fork named
handed by_exec named
handed by_exec_cat bare
handed by_exec_bare bare
handed by_exec_bare_and_back named
handed by_subprocess named
handed by_dup named
handed by_message named
handed by_message_bare bare
handed by_closefrom named
handed by_listener named
