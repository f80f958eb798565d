#!/bin/bash
# time: 180
# No shell script of ours gives shellcheck cause to complain.
set -euo pipefail
cd "$(dirname "$0")/../.."

mapfile -t scripts < <(grep -r -l -I -E -m 1 '^#!/bin/(ba)?sh|^# shellcheck shell=' .ci scripts tests | sort)
[ ${#scripts[@]} -gt 10 ]
shellcheck "${scripts[@]}"
echo "ok: ${#scripts[@]} scripts"
