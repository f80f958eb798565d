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
check_equal "after the restart" "$(sed '1,/^waiting/d' "$WORK/program.log")" "old recv b''
old accept ENETDOWN
old recvfrom ENETDOWN
old sendto ENETDOWN
old name ENETDOWN
connected again"

# Who was told to waits; who was told by the service takes a socket of the host's.
cat >"$WORK/new.py" <<'END'
import os, socket, sys
if sys.argv[1] == "told":
    socket.socket()
    print("has one", flush=True)
    sys.stdin.readline()
print("asks", flush=True)
s = socket.socket()
name = os.readlink(f"/proc/self/fd/{s.fileno()}")
try:
    s.bind(("127.0.0.1", 0))
    print("bound", s.getsockname()[0], s.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN))
except OSError as error:
    print(error)
END
kill -KILL "$DAEMON_PID"
wait "$DAEMON_PID" || true
ip link delete stack0
background waits on_stack env SIDESTACK_ON_DEATH=wait $PYTHON "$WORK/new.py" asked
waits=$BACKGROUND_PID
wait_for_line waits '^asks'
DAEMON_OPTIONS=(--on-death host)
start_daemon
wait "$waits" || fail "the one that waits failed"
check_equal "it waits" "$(tail -n 1 "$WORK/waits.log")" "bound 127.0.0.1 2"

# shellcheck disable=SC2016 # for the other bash
background told on_stack bash -c 'exec "$@" <"$0"' "$WORK/go" $PYTHON "$WORK/new.py" told
told=$BACKGROUND_PID
wait_for_line told '^has one'
kill -KILL "$DAEMON_PID"
wait "$DAEMON_PID" || true
DAEMON_PID=
in_p ip link set lo up
echo >&"$go"
wait "$told" || fail "the one that goes to the host failed"
check_equal "it goes to the host" "$(tail -n 1 "$WORK/told.log")" "bound 127.0.0.1 2"
