#!/bin/bash
# What the service may do to the machine while it serves: another user's rights, no capability, the calls of its sandbox.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

# field NAME PID: a line of /proc/PID/status, blanks as one
field() {
    sed -n "s/^$1:[[:blank:]]*//p" "/proc/$2/status" | xargs
}

# check_confined PID UID CAPABILITIES SECCOMP
check_confined() {
    check_equal "user and group" "$(field Uid "$1") $(field Gid "$1")" "$2 $2 $2 $2 $2 $2 $2 $2"
    check_equal "other groups" "$(field Groups "$1")" ""
    check_equal "capabilities: effective" "$(field CapEff "$1")" "$3"
    check_equal "capabilities: permitted" "$(field CapPrm "$1")" "$3"
    check_equal "capabilities: bounding" "$(field CapBnd "$1")" 0000000000000000
    check_equal "capabilities: inheritable and ambient" "$(field CapInh "$1") $(field CapAmb "$1")" "0000000000000000 0000000000000000"
    check_equal "no new privileges" "$(field NoNewPrivs "$1")" 1
    check_equal "seccomp" "$(field Seccomp "$1")" "$4"
}
NONE=0000000000000000
PTRACE=0000000000080000
NOBODY=65534

random_file "$WORK/data" 1M
want=$(sha256 "$WORK/data")
chmod 755 "$WORK"

# works WHAT: a program on the stack reaches the world
works() {
    check_equal "$1" "$(on_stack curl -sS --max-time 20 http://$WORLD:8000/data | sha256)" "$want"
}

# ---- root's service, no such user as sidestack ----

grep -v ^sidestack: /etc/passwd >"$WORK/passwd"
mount --bind "$WORK/passwd" /etc/passwd
lib_begin
background world $PYTHON -u -m http.server -d "$WORK" -b $WORLD 8000
wait_for_line world 'Serving HTTP'
check_confined "$DAEMON_PID" 0 $NONE 2
works "without privilege"
stop_daemon

# again OPTION...: the service once more, with these
again() {
    ip tuntap del dev stack0 mode tap
    DAEMON_OPTIONS=("$@")
    start_daemon
    PIDS=("$HTTP_PID")
}
HTTP_PID=$BACKGROUND_PID

# ---- a user that is named ----

: >"$WORK/wire.pcap"
echo "rule = stack user=root" >"$WORK/settings"
again --user nobody --pcap "$WORK/wire.pcap" --config "$WORK/settings"
check_confined "$DAEMON_PID" $NOBODY $NONE 2
check_equal "whose the control socket is" "$(stat -c '%u %g %a' "$WORK/control")" "0 $NOBODY 660"
works "as another user"
check_equal "the capture goes on" "$([ "$(stat -c %s "$WORK/wire.pcap")" -gt 1000000 ] && echo yes)" yes
echo "rule = stack user=daemon" >"$WORK/settings"
kill -HUP "$DAEMON_PID"
wait_for_line sidestackd 'reloaded .*changed rule'
echo "rule = stack program=curl" >"$WORK/settings"
kill -HUP "$DAEMON_PID"
wait_for_line sidestackd 'start it again'
works "after two reloads"
stop_daemon

# ---- rules by program: what it takes to see other users' ----

echo "rule = reject program=curl error=EHOSTDOWN" >"$WORK/settings"
again --user nobody --config "$WORK/settings"
check_confined "$DAEMON_PID" $NOBODY $PTRACE 2
check_equal "a rule sees root's program" "$(on_stack curl -s http://$WORLD:8000/data || echo $?)" 7
stop_daemon

# ---- the user that the package makes ----

echo "sidestack:x:4711:4711::/:/usr/sbin/nologin" >>"$WORK/passwd"
again
check_confined "$DAEMON_PID" 4711 $NONE 2
works "as the package's user"
stop_daemon

# ---- without the sandbox ----

again --sandbox off --user nobody
check_confined "$DAEMON_PID" $NOBODY $NONE 0
works "without the sandbox"
stop_daemon

# ---- who has no privilege gives up what there is ----

cp "$BUILD/sidestackd" "$BUILD/libintercept.so" /run
chmod 755 /run
mkdir -m 777 /run/user
nobody=(setpriv "--reuid=$NOBODY" "--regid=$NOBODY" --clear-groups --inh-caps=-all)
/usr/bin/python3 -c '
import os, socket, subprocess, sys
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
os.set_inheritable(ours.fileno(), True)
os.execvp(sys.argv[1], [a.replace("FD", str(ours.fileno())) for a in sys.argv[1:]])' \
    "${nobody[@]}" /run/sidestackd --socket /run/user/own --netif fd:FD --address 10.79.0.1/24 2>"$WORK/own.log" </dev/null &
own=$!
PIDS+=("$own")
PID_OF[own]=$own
wait_for_line own started
check_equal "a user's service: seccomp, no new privileges" "$(field Seccomp $own) $(field NoNewPrivs $own) $(field CapEff $own)" \
    "2 1 $NONE"
stop $own
check_equal "it removes its control socket" "$(ls /run/user)" ""
check_equal "only root becomes another user" \
    "$({ "${nobody[@]}" /run/sidestackd --user daemon --socket /run/user/own 2>&1 || true; } | grep -c 'only root can become')" 1
check_equal "a user that there is not" "$({ /run/sidestackd --user nosuchuser --check 2>&1 || true; } | grep -c 'expected the name of a user')" 1
