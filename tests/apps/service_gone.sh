#!/bin/bash
# A service that is killed: its connections are reset at once, new sockets fail clearly, and work again after its restart.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0 # the kernel's stack cannot be killed

background echo socat -d -d "TCP4-LISTEN:7000,bind=$WORLD,fork" EXEC:cat
wait_for_line echo 'listening on'
mkfifo "$WORK/go"
exec {go}<>"$WORK/go"
# shellcheck disable=SC2016 # for the other bash
background program on_stack bash -c 'exec "$@" <"$0"' "$WORK/go" $PYTHON "$TOP/tests/apps/service_gone.py" $WORLD 7000
program=$BACKGROUND_PID
wait_for_line program '^connected hello'

kill -KILL "$DAEMON_PID"
started=${EPOCHREALTIME/./}
wait_for_line program '^recv'
note "the reset was seen after less than $(((${EPOCHREALTIME/./} - started) / 1000)) ms"
wait_for_line program '^waiting'
wait "$DAEMON_PID" || true
check_equal "what the program saw" "$(grep -v '^sidestack' "$WORK/program.log")" "connected hello
recv ECONNRESET
send EPIPE
accept True
socket ENETDOWN
socket ENETDOWN
waiting"
check_equal "messages about it" "$(grep -c '^sidestack: no service at' "$WORK/program.log")" 1

ip link delete stack0
start_daemon
echo >&"$go"
wait "$program" || fail "the program failed"
check_equal "after the restart" "$(tail -n 1 "$WORK/program.log")" "connected again"
