#!/bin/bash
# A user passes files to the service that hang as long as he likes, when one asks what they are or closes them (hanging_files.py): others don't notice.
# time: 20
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

lib_begin_attacked
attack hanging_files
