#!/bin/bash
# Who may do what on a stack that several users share: the control socket, ports, raw and ping sockets, others' sockets, the wire.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

cat >"$WORK/settings" <<END
socket-mode = 0666
END
DAEMON_OPTIONS=(--config "$WORK/settings")
LIBRARY=/run/libintercept.so # where everyone may read it
cp "$BUILD/sidestack" "$BUILD/sidestack-capture" "${SIDESTACK_TEST_LIBRARY:-$BUILD/libintercept.so}" /run
chmod 755 /run "$WORK"
lib_begin
check_equal "the control socket's mode" "$(stat -c %a "$WORK/control")" 666

# as USER COMMAND...: on the stack, in no other group than the user's own
as() {
    local user=$1
    shift
    on_stack setpriv --reuid="$user" --regid="$user" --clear-groups --inh-caps=-all "$@"
}
# tool_as USER COMMAND...: of sidestack
tool_as() {
    local user=$1
    shift
    setpriv --reuid="$user" --regid="$user" --clear-groups --inh-caps=-all env SIDESTACK_SOCKET="$WORK/control" /run/sidestack "$@" 2>&1
}
# reload SETTING...: besides the mode
reload() {
    local before
    before=$(grep -c 'reloaded ' "$WORK/sidestackd.log" || true)
    printf '%s\n' "socket-mode = 0666" "$@" >"$WORK/settings"
    kill -HUP "$DAEMON_PID"
    wait_until "the settings were not reloaded" has_lines "$WORK/sidestackd.log" 'reloaded ' $((before + 1))
}
cat >"$WORK/try.py" <<'END'
"""Try each thing that takes a right: one word of what came of it each."""
import errno, socket
def attempt(what, *arguments):
    try:
        with socket.socket(*arguments[:3]) as s:
            if len(arguments) > 3:
                s.bind(("", arguments[3]))
            return f"{what}=ok"
    except OSError as error:
        return f"{what}={errno.errorcode[error.errno]}"
TCP, UDP = (socket.AF_INET, socket.SOCK_STREAM, 0), (socket.AF_INET, socket.SOCK_DGRAM, 0)
TCP6 = (socket.AF_INET6, socket.SOCK_STREAM, 0)
print(attempt("tcp", *TCP, 80), attempt("udp", *UDP, 1023), attempt("tcp6", *TCP6, 81), attempt("high", *TCP, 1024),
      attempt("raw", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
      attempt("ping", socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP))
END
NOBODY=65534
DAEMON_USER=1

# ---- ports, raw and ping sockets: as Linux has it, and as the settings say ----

check_equal "root" "$(on_stack $PYTHON "$WORK/try.py")" "tcp=ok udp=ok tcp6=ok high=ok raw=ok ping=ok"
check_equal "another user" "$(as $NOBODY $PYTHON "$WORK/try.py")" "tcp=EACCES udp=EACCES tcp6=EACCES high=ok raw=EPERM ping=ok"
reload "allow-ports = root,nobody" "allow-raw = nobody" "allow-ping = none"
check_equal "a user who is named" "$(as $NOBODY $PYTHON "$WORK/try.py")" "tcp=ok udp=ok tcp6=ok high=ok raw=ok ping=EACCES"
check_equal "one who is not" "$(as $DAEMON_USER $PYTHON "$WORK/try.py")" "tcp=EACCES udp=EACCES tcp6=EACCES high=ok raw=EPERM ping=EACCES"
reload "allow-ports = @nogroup" "allow-raw = @daemon" "privileged-ports = 81"
check_equal "by the group" "$(as $NOBODY $PYTHON "$WORK/try.py")" "tcp=ok udp=ok tcp6=ok high=ok raw=EPERM ping=ok"
check_equal "by another group, and ports that are for all" "$(as $DAEMON_USER $PYTHON "$WORK/try.py")" \
    "tcp=EACCES udp=ok tcp6=ok high=ok raw=ok ping=ok"
check_equal "by one more group that a user is in" \
    "$(on_stack setpriv --reuid=$NOBODY --regid=$NOBODY --groups=$DAEMON_USER --inh-caps=-all $PYTHON "$WORK/try.py" | grep -o raw=ok)" raw=ok
reload

# Who becomes another user loses the rights of the one before, with the same connection to the service.
check_equal "after setuid() in a process" "$(on_stack $PYTHON -c '
import errno, os, socket
s = socket.socket()
s.bind(("", 82))
with socket.socket() as before:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    try:
        before.bind(("", 83))
    except OSError as error:
        print(errno.errorcode[error.errno])')" EACCES

# ---- others' sockets ----

cat >"$WORK/listen.py" <<'END'
import socket, sys, time
listener = socket.create_server(("", int(sys.argv[1])))
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(b"alive\n")
    connection.close()
END
background of_root on_stack $PYTHON "$WORK/listen.py" 7001
wait_for_line of_root listening
background of_nobody on_stack setpriv --reuid=$NOBODY --regid=$NOBODY --clear-groups --inh-caps=-all $PYTHON "$WORK/listen.py" 7002
wait_for_line of_nobody listening
# ports_of USER: of the sockets that the user sees
ports_of() {
    { tool_as "$1" ss -H -l -t -n | grep -o -E ':700[0-9]' || true; } | sort | tr -d '\n'
}
check_equal "root sees all" "$(ports_of 0)" :7001:7002
check_equal "a user sees their own" "$(ports_of $NOBODY)" :7002
check_equal "another sees none" "$(ports_of $DAEMON_USER)" ""
tool_as $NOBODY kill sport = :7001 >/dev/null || true
check_equal "a user can't end another's" "$(socat -t 20 - TCP4:$STACK:7001 </dev/null)" alive
# The number of a socket is no secret: ask for it all the same.
cat >"$WORK/kill.py" <<'END'
import os, socket, struct, sys
control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
control.connect(os.environ["SIDESTACK_SOCKET"])
for number in range(1, 64):
    numbers = struct.pack("<Q", number)
    control.send(struct.pack("<IHHiI4i", 0x7373746b, int(sys.argv[1]), int(sys.argv[2]), 0, 0, 0, 0, 0, 0) + bytes(32) +
                 struct.pack("<I", 8) + numbers.ljust(256, b"\0"))
    result = struct.unpack_from("<i", control.recv(4096), 8)[0]
    if result not in (-2, -1, -95):
        sys.exit(f"{number}: {result}")
    if result == -1:
        print("EPERM")
END
operation=$(sed -n '/^enum protocol_operation/,/^}/p' "$TOP/service/protocol.h" | grep -o -E '^    PROTOCOL_[A-Z_]+' |
    grep -n PROTOCOL_KILL | cut -d : -f 1)
check_equal "by its number neither" \
    "$(as $DAEMON_USER env -u LD_PRELOAD $PYTHON "$WORK/kill.py" "$(protocol_version)" "$operation" | sort -u)" EPERM
check_equal "both live" "$(socat -t 20 - TCP4:$STACK:7001 </dev/null) $(socat -t 20 - TCP4:$STACK:7002 </dev/null)" "alive alive"

# ---- the wire ----

check_equal "who may not record it" "$(tool_as $NOBODY capture /dev/null | grep -c allow-admin || true)" 1
check_equal "nor impair it" "$(tool_as $NOBODY impair loss=50% | grep -c -i 'permitted' || true)" 1
reload "allow-admin = @nogroup"
check_equal "who may is named" "$(tool_as $NOBODY impair delay=1ms >/dev/null && echo yes)" yes
check_equal "and sees all" "$(ports_of $NOBODY)" :7001:7002
check_equal "root is not, then" "$(ports_of 0)" :7001:7002 # whose service it is
reload

# ---- a descriptor is the right to what it stands for ----

check_equal "a descriptor of root's in another user's process" "$(on_stack $PYTHON -c '
import os, socket, sys
listener = socket.create_server(("", 84))
ours, theirs = socket.socketpair()
if os.fork() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
    got = socket.socket(fileno=fds[0])
    got.listen(7)
    got.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    print(got.getsockname()[1], got.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), flush=True)
    os._exit(0)
socket.send_fds(ours, [b"x"], [listener.fileno()])
os.wait()')" "84 1"

# ---- the control socket ----

reload
stop_daemon
ip tuntap del dev stack0 mode tap
DAEMON_OPTIONS=(--socket-group daemon)
PIDS=()
start_daemon
check_equal "whose the control socket is" "$(stat -c '%U %G %a' "$WORK/control")" "root daemon 660"
check_equal "a member of the group" "$(as $DAEMON_USER $PYTHON "$WORK/try.py" | grep -o high=ok)" high=ok
check_equal "everyone else" "$(as $NOBODY $PYTHON "$WORK/try.py" 2>/dev/null | grep -o -E 'high=[A-Z]*')" high=ENETDOWN
