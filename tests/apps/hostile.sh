#!/bin/bash
# Programs that mean ill: a user's processes do to the service what they can (hostile.py), and other users don't notice.
# time: 120
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

lib_begin_attacked --user-sockets 1000 --max-sockets 2000
background echo socat -d -d "TCP-LISTEN:7000,bind=$WORLD,reuseaddr,fork" SYSTEM:cat
wait_for_line echo 'listening on'
[ "$BUILD" = "$TOP/build" ] || export HOSTILE_SLOWEST_MS=5000 HOSTILE_MEMORY_KIB=1000000 # the sanitizers' own
attack hostile $WORLD 7000
[ -n "${HOSTILE_ONLY:-}" ] || check_equal "who had too many sockets is told in the log" "$(grep -c "quota: user $ATTACKER has" "$WORK/sidestackd.log" | sed 's/^[1-9].*/some/')" some

# ---- requests in a second ----

printf '%s\n' "socket-mode = 0666" "user-requests = 500" >"$WORK/settings"
kill -HUP "$DAEMON_PID"
wait_for_line sidestackd 'reloaded .*user-requests'
cat >"$WORK/ask.py" <<'END'
import os, socket, struct, sys, time
control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
control.connect(os.environ["SIDESTACK_SOCKET"])
begin = time.monotonic()
for _ in range(1200):
    control.send(struct.pack("<IHHi", 0x7373746B, int(sys.argv[1]), 16, 0) + bytes(312))
    assert struct.unpack_from("<i", control.recv(1000), 8)[0] == 0
print("at once" if time.monotonic() - begin < 1.3 else "in time")
END
check_equal "a user asks 1200 times where 500 in a second are allowed" "$(setpriv --reuid="$ATTACKER" --regid="$ATTACKER" --clear-groups \
    env SIDESTACK_SOCKET="$WORK/control" $PYTHON "$WORK/ask.py" "$(protocol_version)")" "in time"
