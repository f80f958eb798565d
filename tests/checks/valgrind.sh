#!/bin/bash
# valgrind finds nothing in the service while real programs use it, and no memory is left when it ends.
# time: 180
if [ -z "${SIDESTACK_TEST_WRAPPER:-}" ]; then
    SIDESTACK_TEST_WRAPPER="valgrind -q --error-exitcode=99 --leak-check=full --suppressions=$(realpath "$(dirname "$0")/../valgrind/suppressions")"
    SIDESTACK_TEST_WRAPPER+=" --errors-for-leak-kinds=definite,indirect,possible"
    export SIDESTACK_TEST_WRAPPER
fi
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

random_file "$WORK/data" 2M
want=$(sha256 "$WORK/data")
background server_on_stack on_stack $PYTHON -u -m http.server -d "$WORK" -b $STACK 8000
server=$BACKGROUND_PID
background server_on_kernel $PYTHON -u -m http.server -d "$WORK" -b $WORLD 8000
wait_for_line server_on_stack 'Serving HTTP'
wait_for_line server_on_kernel 'Serving HTTP'

for _ in 1 2 3; do
    check_equal "from the stack" "$(curl -sS http://$STACK:8000/data | sha256)" "$want"
    check_equal "from the kernel" "$(on_stack curl -sS http://$WORLD:8000/data | sha256)" "$want"
    check_equal "refused" "$(on_stack curl -s http://$WORLD:8001/ || echo $?)" 7
    # A client that goes in the middle of a transfer.
    curl -sS --max-filesize 1000000 -r 0-1500000 http://$STACK:8000/data 2>&1 | head -c 1000 >/dev/null || true
done
stop "$server"

# The library, in programs that are clean themselves.
valgrind=(valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite)
background sink socat -d -d -u "TCP4-LISTEN:7000,bind=$WORLD" CREATE:"$WORK/sink"
sink=$BACKGROUND_PID
wait_for_line sink 'listening on'
on_stack "${valgrind[@]}" nc -N $WORLD 7000 <"$WORK/data" 2>&1 || fail "valgrind complained of nc"
wait "$sink"
check_equal "nc under valgrind" "$(sha256 "$WORK/sink")" "$want"
background cat_on_stack on_stack "${valgrind[@]}" socat -d -d "TCP4-LISTEN:7001,bind=$STACK" EXEC:cat,nofork
wait_for_line cat_on_stack 'listening on'
server=$BACKGROUND_PID
check_equal "socat under valgrind" "$(socat -t 20 - TCP4:$STACK:7001 <"$WORK/data" | sha256)" "$want"
wait "$server" || fail "valgrind complained of socat"
check_equal "curl under valgrind" "$(on_stack "${valgrind[@]}" curl -sS http://$WORLD:8000/data | sha256)" "$want"

if grep '^==' "$WORK/sidestackd.log"; then
    fail "valgrind complained of the service"
fi
