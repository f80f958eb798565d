#!/bin/bash
# Node's cluster module on the stack: processes that hand connections and listening sockets to each other.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# serve POLICY: round (the primary accepts) or shared (the workers do)
serve() {
    local server i
    background "$1" on_stack node "$TOP/tests/apps/cluster.js" $STACK 8000 "$1"
    server=$BACKGROUND_PID
    wait_for_line "$1" serving
    for i in {1..60}; do
        curl -sS "http://$STACK:8000/" &
    done | cat >"$WORK/answers"
    check_equal "addresses as the workers see them, $1" "$(cut -d ' ' -f 1,2 "$WORK/answers" | sort | uniq -c | tr -s ' ')" \
        " 60 $WORLD $STACK"
    note "$(cut -d ' ' -f 3 "$WORK/answers" | sort -u | wc -l) workers answered"
    for i in 1 2; do
        curl -sS -o /dev/null "http://$STACK:8000/end" || fail "a worker that ends"
    done
    check_equal "after two workers ended, $1" "$(curl -sS "http://$STACK:8000/" | cut -d ' ' -f 1,2)" "$WORLD $STACK"
    check_equal "connections passed on, $1" "$(for i in {1..10}; do
        echo "hello $i" | socat -t 20 - "TCP4:$STACK:8001" &
    done | sort -V)" "$(for i in {1..10}; do echo "$WORLD hello $i"; done)"
    stop "$server"
}
serve round
serve shared
check_memory_below 65536
