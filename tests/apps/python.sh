#!/bin/bash
# Python's http.server and urllib, each on the stack with the other on the kernel.
# time: 60
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

mkdir "$WORK/www"
random_file "$WORK/www/large" 32M
want=$(sha256 "$WORK/www/large")

# fetch ADDRESS [COMMAND-PREFIX]
fetch() {
    local address=$1
    shift
    check_equal "urllib from $address" \
        "$("$@" $PYTHON -c 'import sys, urllib.request as r
sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=20).read())' "http://$address:8000/large" | sha256)" "$want"
    check_equal "a refused connection to $address" \
        "$("$@" $PYTHON -c 'import sys, urllib.request as r
try:
    r.urlopen(sys.argv[1], timeout=20)
except Exception as e:
    print(repr(e.reason))' "http://$address:8001/")" "ConnectionRefusedError(111, 'Connection refused')"
}

background server_on_stack on_stack $PYTHON -u -m http.server -d "$WORK/www" -b $STACK 8000
server=$BACKGROUND_PID
wait_for_line server_on_stack 'Serving HTTP'
fetch $STACK
check_equal "20 clients at once" "$(for _ in {1..20}; do
    curl -sS http://$STACK:8000/large | sha256 &
done | grep -c "$want")" 20
stop "$server"

background server_on_kernel $PYTHON -u -m http.server -d "$WORK/www" -b $WORLD 8000
wait_for_line server_on_kernel 'Serving HTTP'
fetch $WORLD on_stack
check_memory_below 131072 # twenty transfers at once may queue 4 MiB each
