#!/bin/bash
# Each call site of the library in a program fails once: the program gets an errno that program.c has for the call, the next
# try goes well, and no byte is lost.
# time: 180
# asan: both
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
[ "${SIDESTACK_TEST_ON:-stack}" = stack ] || exit 0
exec "$top/tests/faults/faults.sh" library 0 1 2
