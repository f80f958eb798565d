#!/bin/bash
# 50 000 connections one after another, and 5 000 at once, in either role; the service's memory stays bounded.
# time: 120
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
ulimit -S -n "$(ulimit -H -n)"
lib_begin

gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -o "$WORK/crowd" "$TOP/tests/apps/crowd.c"
background server_on_stack on_stack "$WORK/crowd" serve $STACK 7000
wait_for_line server_on_stack listening
background server_on_kernel "$WORK/crowd" serve $WORLD 7000
wait_for_line server_on_kernel listening
check_equal "a crowd, server on the stack" "$("$WORK/crowd" crowd $STACK 7000 5000)" "5000 open at once
5000 of 5000"
check_equal "a crowd, clients on the stack" "$(on_stack "$WORK/crowd" crowd $WORLD 7000 5000)" "5000 open at once
5000 of 5000"
check_equal "in a row, server on the stack" "$("$WORK/crowd" row $STACK 7000 50000)" "50000 of 50000"
check_equal "in a row, clients on the stack" "$(on_stack "$WORK/crowd" row $WORLD 7000 50000)" "50000 of 50000"
check_memory_below 131072
