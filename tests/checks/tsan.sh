#!/bin/bash
# The thread sanitizer finds nothing in the library, in threaded programs that use it in every way.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
LIBRARY=$BUILD/tsan/libintercept.so
SANITIZER_OPTIONS+=(TSAN_OPTIONS="log_path=$WORK/sanitizer second_deadlock_stack=1 suppressions=$WORK/suppressions")
# libc's list of the resolver's settings is under a lock of libc's own, which the sanitizer doesn't see.
echo "race:libc_dynarray_emplace_enlarge" >"$WORK/suppressions"
lib_begin

background server $PYTHON "$TOP/tests/apps/many.py" serve $WORLD 7000
wait_for_line server listening

# race_free NAME ARGUMENT...: tests/apps/NAME.c, with the sanitizer. Its map of memory is for addresses that are not random.
race_free() {
    local name=$1 status=0
    shift
    gcc -std=gnu17 -D_GNU_SOURCE -O1 -g -fsanitize=thread -Wall -Wextra -Werror -I"$TOP" -o "$WORK/$name" "$TOP/tests/apps/$name.c"
    on_stack setarch -R "$WORK/$name" "$@" >"$WORK/$name.log" 2>&1 || status=$?
    check_equal "$name" "$status" 0
    if grep -v ' 0 failed' "$WORK/$name.log" | grep 'failed'; then
        fail "$name: something failed"
    fi
}

race_free threads $WORLD 7000 $STACK
race_free fork_threads $WORLD 7000 100
