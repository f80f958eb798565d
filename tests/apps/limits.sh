#!/bin/bash
# When the service has no descriptor left, a program is told so or waits for its connection, and the service sleeps.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
ulimit -n 256 # of the service: 140 sockets, 28 programs
lib_begin
[ "$MODE" = stack ] || exit 0
program=$TOP/tests/apps/limits.py

# check_asleep WHEN: the service uses hardly any processor.
check_asleep() {
    local before after
    before=$(awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat")
    read -r -t 1 <> <(:) || true
    after=$(awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat")
    [ $((after - before)) -lt 20 ] || fail "$1: the service used $((after - before)) % of a processor"
    note "ok: $1: the service sleeps"
}

wait_for_line sidestackd "limits: 256 open files"
check_equal "too many sockets" "$(on_stack $PYTHON "$program" fill)" "True ENFILE"

mkfifo "$WORK/orders"
exec 9<>"$WORK/orders"
background server on_stack bash -c "exec $PYTHON $program serve $STACK 7000 <$WORK/orders"
wait_for_line server listening
background clients $PYTHON "$program" connect $STACK 7000 200
wait_for_line clients 60
check_asleep "while connections wait for a descriptor"
echo >&9
wait_for_line clients "were answered"
check_equal "connections that had to wait" "$(tail -n 1 "$WORK/clients.log")" "200 of 200 were answered, 0 failed"
stop "${PID_OF[server]}"

# Not even the reserve is left.
prlimit --pid "$DAEMON_PID" --nofile=12:256
for _ in 1 2 3; do
    on_stack timeout 10 $PYTHON -c 'import socket; socket.socket()' 2>"$WORK/refused" && fail "there was a socket"
done
note "ok: without any descriptor: $(tail -n 1 "$WORK/refused")"
check_asleep "without any descriptor"
prlimit --pid "$DAEMON_PID" --nofile=256:256
check_equal "and with them again" "$(on_stack $PYTHON "$program" fill)" "True ENFILE"
