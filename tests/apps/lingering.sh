#!/bin/bash
# A user passes the last descriptors of sockets whose closing waits for an hour (lingering.py): others don't notice.
# time: 20
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

lib_begin_attacked
attack lingering
