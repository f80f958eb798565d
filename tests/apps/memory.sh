#!/bin/bash
# What the library costs a process that uses it fully, and a forked child that does: less than 64 KiB of private memory.
# time: 30
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0

background server $PYTHON "$TOP/tests/apps/many.py" serve $WORLD 7000
wait_for_line server listening
on_stack $PYTHON "$TOP/tests/apps/memory.py" $WORLD 7000 >"$WORK/figures"
cat "$WORK/figures"
check_equal "processes with less than 64 KiB" "$(awk '$2 > 0 && $2 < 64' "$WORK/figures" | wc -l)" 2
