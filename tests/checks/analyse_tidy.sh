#!/bin/bash
# clang-tidy has nothing to say of intercept, service and stack, each function looked at by itself (make analyse follows calls; of what changed since it last looked).
# time: 300
set -euo pipefail
cd "$(dirname "$0")/../.."
exec make -s -k TIDY=shallow analyse-tidy
