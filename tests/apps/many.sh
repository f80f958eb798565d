#!/bin/bash
# A thousand connections at once in either role, again and again; the service's memory stays bounded.
# time: 120
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
ulimit -S -n "$(ulimit -H -n)"
lib_begin

count=1000
program=$TOP/tests/apps/many.py
background server_on_stack on_stack $PYTHON "$program" serve $STACK 7000
wait_for_line server_on_stack listening
background server_on_kernel $PYTHON "$program" serve $WORLD 7000
wait_for_line server_on_kernel listening
for round in 1 2 3; do
    check_equal "round $round, server on the stack" "$($PYTHON "$program" connect $STACK 7000 $count)" \
        "$count of $count connections echoed"
    check_equal "round $round, clients on the stack" "$(on_stack $PYTHON "$program" connect $WORLD 7000 $count)" \
        "$count of $count connections echoed"
done
check_memory_below 65536
