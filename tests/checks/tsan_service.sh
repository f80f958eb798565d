#!/bin/bash
# The thread sanitizer finds nothing in the service while users pass it what its threads are for.
# time: 30
set -euo pipefail
TOP=$(cd "$(dirname "$0")/../.." && pwd)
export SIDESTACK_TEST_BUILD=$TOP/build/tsan SIDESTACK_TEST_LIBRARY=$TOP/build/libintercept.so
export SIDESTACK_TEST_WRAPPER="setarch -R" # its map of memory is for addresses that are not random
for name in lingering hanging_files; do
    "$TOP/scripts/isolate" 120 "$TOP/tests/apps/$name.sh" # each makes the same devices
done
