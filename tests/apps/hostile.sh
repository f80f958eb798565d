#!/bin/bash
# Programs that mean ill: a user's processes do to the service what they can (hostile.py), and other users don't notice.
# time: 120
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

echo "socket-mode = 0666" >"$WORK/settings"
DAEMON_OPTIONS=(--config "$WORK/settings" --user-sockets 1000 --max-sockets 2000)
chmod 755 "$WORK"
lib_begin
background echo socat -d -d "TCP-LISTEN:7000,bind=$WORLD,reuseaddr,fork" SYSTEM:cat
wait_for_line echo 'listening on'
user=$((100000 + RANDOM)) # one that runs nothing else: the kernel counts by user what is on its way between processes
version=$(sed -n 's/^#define PROTOCOL_VERSION \([0-9]*\).*/\1/p' "$TOP/service/protocol.h")
[ "$BUILD" = "$TOP/build" ] || export HOSTILE_SLOWEST_MS=5000 HOSTILE_MEMORY_KIB=1000000 # the sanitizers' own
$PYTHON "$TOP/tests/apps/hostile.py" "$WORK/control" "$DAEMON_PID" "$version" $WORLD 7000 "$user" \
    nsenter --net=/run/netns/P -- env "${STACK_ENVIRONMENT[@]}"
[ -n "${HOSTILE_ONLY:-}" ] || check_equal "who had too many sockets is told in the log" "$(grep -c "quota: user $user has" "$WORK/sidestackd.log" | sed 's/^[1-9].*/some/')" some

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
check_equal "a user asks 1200 times where 500 in a second are allowed" "$(setpriv --reuid="$user" --regid="$user" --clear-groups \
    env SIDESTACK_SOCKET="$WORK/control" $PYTHON "$WORK/ask.py" "$version")" "in time"
