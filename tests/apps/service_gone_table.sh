#!/bin/bash
# Every kind of descriptor, and every call that can wait, when the service is killed: what it says, and after how long.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
names_files
lib_begin
[ "$MODE" = stack ] || exit 0 # the kernel's stack cannot be killed

background echo socat -d -d "TCP4-LISTEN:7000,bind=$WORLD,fork,backlog=100" EXEC:cat
# shellcheck disable=SC2016 # Python's
background sink $PYTHON -c '
import socket, sys, time
listener = socket.create_server((sys.argv[1], 7001))
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind((sys.argv[1], 53))
print("ready", flush=True)
kept = []
while True:
    kept.append(listener.accept())' $WORLD
wait_for_line echo 'listening on'
wait_for_line sink ready
# Nobody answers beyond the gateway; and nobody reads at the name server's port.
ip route add blackhole 10.88.0.0/24
status=0
on_stack $PYTHON "$TOP/tests/apps/service_gone_table.py" $WORLD 7000 7001 10.88.0.9 "$DAEMON_PID" >"$WORK/table" 2>"$WORK/table.log" || status=$?
wait "$DAEMON_PID" || true
DAEMON_PID=
cat "$WORK/table"
check_equal "the table" "$status" 0
slowest=$(sed -n 's/^slowest \([0-9]*\) ms.*/\1/p' "$WORK/table")
[ "$slowest" -lt "${SIDESTACK_GONE_MS:-1000}" ] || fail "one was told after $slowest ms"
