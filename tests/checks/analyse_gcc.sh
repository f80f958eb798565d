#!/bin/bash
# gcc -fanalyzer has nothing to say of intercept, service and stack (make analyse: of what changed since it last looked).
# time: 300
set -euo pipefail
cd "$(dirname "$0")/../.."
exec make -s -k analyse-gcc
