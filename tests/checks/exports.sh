#!/bin/bash
# The library exports the hooks and nothing else, and each hook stands in the version script.
set -euo pipefail
cd "$(dirname "$0")/../.."

exported=$(nm -D --defined-only build/libintercept.so | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | sort)
wanted=$(sed -n '/global:/,/local:/p' intercept/exports.map | sed 's/global://; s/local:.*//; s/#.*//; s|/\*.*\*/||' |
    tr -s ' \t;' '\n' | grep . | sort)
[ -n "$wanted" ]
diff <(echo "$wanted") <(echo "$exported") || {
    echo "FAILED: < what intercept/exports.map lists, > what the library exports"
    exit 1
}
echo "ok: $(wc -l <<<"$exported") hooks exported"
