#!/bin/bash
# Threads that do everything with sockets at once, while the process forks, and when it can't reach the service any more.
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread -o "$WORK/threads" "$TOP/tests/apps/threads.c"
background server $PYTHON "$TOP/tests/apps/many.py" serve $WORLD 7000
wait_for_line server listening
check_equal "threads" "$(on_stack timeout 50 "$WORK/threads" $WORLD 7000 $STACK 2>"$WORK/calls.log")" "own: 0 failed
shared: 0 failed
names: 0 failed
dropped: 0 failed"
