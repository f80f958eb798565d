#!/bin/bash
# Signals, cancellation of threads and exit() at any moment of a socket call: nothing fails, hangs or is left over.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread -I"$TOP" -o "$WORK/storm" "$TOP/tests/apps/storm.c"
background server $PYTHON "$TOP/tests/apps/many.py" serve $WORLD 7000
wait_for_line server listening
check_equal "a storm" "$(on_stack timeout 50 "$WORK/storm" $WORLD 7000 2>"$WORK/figures.log")" \
    "signals: 0 connections failed, 0 handlers
cancel: 0 failed, no descriptors left
exit: 0 processes failed"
cat "$WORK/figures.log"
check_memory_below 65536
