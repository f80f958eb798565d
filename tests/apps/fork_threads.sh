#!/bin/bash
# Threads that make connections while the same process forks, 3000 times: every child can use the stack at once.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

forks=3000
gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread -I"$TOP" -o "$WORK/fork_threads" "$TOP/tests/apps/fork_threads.c"
background server $PYTHON "$TOP/tests/apps/many.py" serve $WORLD 7000
wait_for_line server listening
check_equal "forks and threads" "$(on_stack timeout 50 "$WORK/fork_threads" $WORLD 7000 $forks 2>"$WORK/figures.log")" \
    "$forks children, 0 failed
threads' connections: some, 0 failed
descriptors: as before"
cat "$WORK/figures.log"
check_memory_below 65536
