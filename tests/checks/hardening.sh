#!/bin/bash
# What we build is position-independent and hardened: full RELRO, stack protector, FORTIFY, no executable stack.
set -euo pipefail
cd "$(dirname "$0")/../.."

status=0
# require FILE WHAT TEXT PATTERN
require() {
    if grep -q -e "$4" <<<"$3"; then
        echo "ok: $1: $2"
    else
        echo "FAILED: $1: no $2"
        status=1
    fi
}
for file in build/libintercept.so build/sidestackd build/sidestack build/sidestack-*; do
    headers=$(readelf -W -l "$file")
    dynamic=$(readelf -W -d "$file")
    symbols=$(nm -D "$file")
    require "$file" "position-independent code" "$(readelf -W -h "$file")" 'Type: *DYN'
    require "$file" "RELRO" "$headers" GNU_RELRO
    require "$file" "immediate binding" "$dynamic" 'BIND_NOW\|FLAGS.*NOW'
    require "$file" "stack that is not executable" "$headers" 'GNU_STACK.* RW '
    require "$file" "stack protector" "$symbols" __stack_chk_fail
    if [ "$file" != build/libintercept.so ]; then
        require "$file" "PIE flag" "$dynamic" 'FLAGS_1.*PIE'
        require "$file" "FORTIFY" "$symbols" '_chk@'
    fi
    if grep -q TEXTREL <<<"$dynamic"; then
        echo "FAILED: $file: text relocations"
        status=1
    fi
done
exit $status
