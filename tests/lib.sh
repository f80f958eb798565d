# shellcheck shell=bash
# lib.sh - for tests with real programs: a world, a stack beside it, programs on both.
#
#   W, the test's own namespace: the kernel's TCP/IP at $WORLD and $WORLD6, and sidestackd with one end of the TAP device.
#   P, where the programs on the stack run: nothing but lo, and that is down. What gets out comes from the stack, $STACK and
#   $STACK6.
#
# A test is a script in tests/apps that includes this file and calls lib_begin first. Its own comment lines say
#   "# time: N", the seconds that it may need (its limit, which ends what hangs, is a multiple: tests/run), and "# asan: service" or "# asan: both", that it runs also with the sanitized
# service, or service and library. SIDESTACK_TEST_USER=NAME: the service becomes that user. SIDESTACK_TEST_ON=kernel runs it
# without sidestack, P being tied to W by a veth pair: so one sees that the test itself is right. Run a test by hand as it is:
# tests/apps/curl.sh.

set -Eeuo pipefail
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -z "${SIDESTACK_ISOLATED:-}" ]; then
    exec "$TOP/scripts/isolate" 600 "$0" "$@"
fi

WORLD=10.77.0.1
STACK=10.77.0.2
WORLD6=fd77::1
STACK6=fd77::2
HANG=60 # seconds after which something that is waited for is taken to hang
MODE=${SIDESTACK_TEST_ON:-stack}   # stack, or kernel
BUILD=${SIDESTACK_TEST_BUILD:-$TOP/build}
LIBRARY=${SIDESTACK_TEST_LIBRARY:-$BUILD/libintercept.so}
PRELOAD=${SIDESTACK_TEST_PRELOAD:-} # what must be loaded before the library: a sanitizer's runtime
DAEMON_WRAPPER=${SIDESTACK_TEST_WRAPPER:-} # valgrind and its options
export PYTHON=/usr/bin/python3 # not what else PATH may have
WORK=$(mktemp -d)
trap lib_end EXIT
DAEMON_OPTIONS=() # more of them; a test sets this before lib_begin
DAEMON_PID=
PIDS=()
declare -A PID_OF=()
# Sanitizers write what they find to files, which nothing else may make; leaks are ours only in the service.
SANITIZER_OPTIONS=(ASAN_OPTIONS="log_path=$WORK/sanitizer" TSAN_OPTIONS="log_path=$WORK/sanitizer" UBSAN_OPTIONS="log_path=$WORK/sanitizer:print_stacktrace=1")

note() {
    printf '%s\n' "$*"
}

complain() {
    printf 'FAILED: %s\n' "$*" >&2
}

fail() {
    complain "$@"
    exit 1
}

# check_equal WHAT GOT WANTED
check_equal() {
    [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
    note "ok: $1"
}

# on_stack COMMAND...: run it in P, with its Internet sockets on the stack. A function that starts a program in the
# background uses `background`.
on_stack() {
    nsenter --net=/run/netns/P -- env "${STACK_ENVIRONMENT[@]}" "$@"
}

# in_p COMMAND...: run it in P without the library.
in_p() {
    nsenter --net=/run/netns/P -- "$@"
}

# background NAME COMMAND...: start it; its output goes to $WORK/NAME.log, its process id to BACKGROUND_PID. COMMAND may
# begin with on_stack. It is stopped at the end of the test.
background() {
    local name=$1
    shift
    if [ "$1" = on_stack ]; then
        shift
        set -- nsenter --net=/run/netns/P -- env "${STACK_ENVIRONMENT[@]}" "$@"
    fi
    : >"$WORK/$name.log" # here, so that what an earlier program of this name said is gone
    "$@" >>"$WORK/$name.log" 2>&1 </dev/null &
    BACKGROUND_PID=$!
    PIDS+=("$BACKGROUND_PID")
    PID_OF[$name]=$BACKGROUND_PID
}

# pause: for a moment, between two looks at something that cannot be waited for.
pause() {
    read -r -t 0.02 <> <(:) || true
}

# wait_until COMPLAINT COMMAND...: until the command succeeds; it is what waits, or a look at what cannot be waited for.
wait_until() {
    local complaint=$1 deadline=$((SECONDS + HANG))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || fail "$complaint (in $HANG seconds)"
        pause
    done
}

# has_lines FILE PATTERN COUNT: whether at least so many lines of it match
has_lines() {
    [ "$(grep -c -e "$2" "$1")" -ge "$3" ]
}

# wait_for_line NAME PATTERN: until the background program's output has a line that matches.
wait_for_line() {
    local deadline=$((SECONDS + HANG)) ended=
    until grep -q -e "$2" "$WORK/$1.log"; do
        [ -z "$ended" ] || fail "$1 ended and never said '$2'"
        [ $SECONDS -lt $deadline ] || fail "$1 did not say '$2' in $HANG seconds"
        # One that has just ended may still have said it.
        kill -0 "${PID_OF[$1]}" 2>/dev/null || ended=1
        pause
    done
}

# wait_for_port ADDRESS PORT: until something in W can connect there. That costs the server one connection.
wait_for_port() {
    wait_until "nothing listens on $1 port $2" timeout 2 bash -c "exec 2>/dev/null 3<>/dev/tcp/$1/$2"
}

# wait_for_udp ADDRESS PORT: until a datagram from W (an empty one) is not refused there any more.
wait_for_udp() {
    $PYTHON -c '
import socket, sys, time
family, kind, protocol, _, address = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=socket.SOCK_DGRAM)[0]
deadline = time.monotonic() + int(sys.argv[3])
while time.monotonic() < deadline:
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        probe.settimeout(0.2)  # for the refusal
        try:
            probe.send(b"")
            probe.recv(1)
        except TimeoutError:
            sys.exit(0)
        except OSError:
            time.sleep(0.02)
sys.exit(1)' "$1" "$2" "$HANG" || fail "nothing listens on $1 port $2 (UDP)"
}

# wait_for_exit PID SECONDS
wait_for_exit() {
    timeout "$2" tail --pid="$1" -s 0.05 -f /dev/null
}

# stop PID: ask it to end, and wait for that.
stop() {
    kill "$1" 2>/dev/null || return 0
    if ! wait_for_exit "$1" 10; then
        kill -KILL "$1" 2>/dev/null
        fail "process $1 did not end when it was asked to"
    fi
}

# The service's memory now and at its highest, in KiB.
daemon_memory() {
    awk '$1 == "VmRSS:" { print $2 }' "/proc/$DAEMON_PID/status"
}
daemon_memory_peak() {
    awk '$1 == "VmHWM:" { print $2 }' "/proc/$DAEMON_PID/status"
}

# check_memory_below KIB: what the service used at most since it started. Sanitizers and valgrind use much themselves.
check_memory_below() {
    if [ "$MODE" = kernel ] || [ -n "$DAEMON_WRAPPER$PRELOAD" ] || [ "$BUILD" != "$TOP/build" ]; then
        return 0
    fi
    local peak
    peak=$(daemon_memory_peak)
    [ "$peak" -lt "$1" ] || fail "the service's memory reached $peak KiB, more than $1"
    note "ok: the service's memory stayed below $1 KiB ($peak)"
}

# random_stream SIZE, random_file PATH SIZE: SIZE as head -c takes it; always the same bytes.
random_stream() {
    openssl enc -aes-128-ctr -pass pass:sidestack -nosalt -pbkdf2 </dev/zero 2>/dev/null | head -c "$1" || true
}
random_file() {
    random_stream "$2" >"$1"
}

sha256() {
    sha256sum "$@" | cut -d ' ' -f 1
}

# nginx_configuration LISTEN: $WORK/nginx.conf for an nginx that serves $WORK/www there.
nginx_configuration() {
    mkdir -p "$WORK/www/put"
    cat >"$WORK/nginx.conf" <<END
daemon off;
worker_processes 3;
pid $WORK/nginx.pid;
error_log stderr;
user root;
events { worker_connections 512; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path $WORK/body;
    client_max_body_size 0;
    server {
        listen $1;
        root $WORK/www;
        location /put/ { dav_methods PUT; }
        location /who { return 200 "\$remote_addr \$http_x_forwarded_for"; }
    }
}
END
}

# ssh_configuration: keys, $WORK/sshd_config for a server, and SSH for the client of a server at port 2222. Settings
# that the machine has for either play no part.
ssh_configuration() {
    mkdir -p /run/sshd "$WORK/ssh"
    chmod 700 "$WORK/ssh"
    ssh-keygen -q -t ed25519 -N '' -f "$WORK/ssh/host"
    ssh-keygen -q -t ed25519 -N '' -f "$WORK/ssh/user"
    cat >"$WORK/sshd_config" <<END
HostKey $WORK/ssh/host
AuthorizedKeysFile $WORK/ssh/user.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
LogLevel VERBOSE
END
    # shellcheck disable=SC2034 # for the test
    SSH=(ssh -F none -i "$WORK/ssh/user" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
        -o LogLevel=ERROR -o BatchMode=yes -o IdentitiesOnly=yes -p 2222 -l root)
}

# names_files: resolv.conf, hosts and nsswitch.conf of this test's own, in its own mount namespace, with a name server in W. Before lib_begin.
names_files() {
    mkdir "$WORK/etc"
    cat >"$WORK/etc/resolv.conf" <<END
nameserver $WORLD
search search1.test search2.test
options timeout:1 attempts:2
END
    cat >"$WORK/etc/hosts" <<END
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
10.66.6.6 filed filed-alias
10.66.6.7 filed
fd66::6 filed6
END
    echo 'hosts: files mdns4_minimal [NOTFOUND=return] dns' >"$WORK/etc/nsswitch.conf"
    for file in resolv.conf hosts nsswitch.conf; do
        mount --bind "$WORK/etc/$file" /etc/$file
    done
}

# names_server: start it in W.
names_server() {
    background names_server $PYTHON "$TOP/tests/apps/names_server.py" $WORLD $WORLD6
    wait_for_line names_server ready
}

start_daemon() {
    mkfifo "$WORK/ready"
    ip tuntap add dev stack0 mode tap
    ip address add $WORLD/24 dev stack0
    ip address add $WORLD6/64 dev stack0 nodad
    ip link set stack0 up
    # shellcheck disable=SC2086 # the wrapper is a command with options, and makes calls of its own
    env "${SANITIZER_OPTIONS[@]}" $DAEMON_WRAPPER "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 \
        --address $STACK/24 --gateway $WORLD --address $STACK6/64 --gateway $WORLD6 \
        ${DAEMON_WRAPPER:+--sandbox off} ${SIDESTACK_TEST_USER:+--user "$SIDESTACK_TEST_USER"} "${DAEMON_OPTIONS[@]}" --ready-fd 3 3>"$WORK/ready" 2>"$WORK/sidestackd.log" </dev/null &
    DAEMON_PID=$!
    PID_OF[sidestackd]=$DAEMON_PID
    IFS= read -r -N 1 -t "$HANG" _ <"$WORK/ready" || fail "sidestackd did not start"
    rm "$WORK/ready"
}

# take_over OPTION...: start a new service in the running one's place.
take_over() {
    local old=$DAEMON_PID
    rm -f "$WORK/ready"
    mkfifo "$WORK/ready"
    # shellcheck disable=SC2086 # the wrapper is a command with options
    env "${SANITIZER_OPTIONS[@]}" $DAEMON_WRAPPER "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 \
        --address $STACK/24 --gateway $WORLD --address $STACK6/64 --gateway $WORLD6 \
        ${DAEMON_WRAPPER:+--sandbox off} ${SIDESTACK_TEST_USER:+--user "$SIDESTACK_TEST_USER"} \
        "${DAEMON_OPTIONS[@]}" --takeover --ready-fd 3 "$@" 3>"$WORK/ready" 2>>"$WORK/sidestackd.log" </dev/null &
    DAEMON_PID=$!
    PID_OF[sidestackd]=$DAEMON_PID
    IFS= read -r -N 1 -t "$HANG" _ <"$WORK/ready" || fail "the new service did not take over"
    wait "$old" || fail "the old service ended with status $?"
}

# flow BYTES: until so many more have come out of the stack, or nothing has come for a second: what sent them has ended.
flow() {
    local begin now last=-1 deadline=0
    begin=$(sed -n 's/^ *stack0: *\([0-9]*\).*/\1/p' /proc/net/dev)
    while now=$(sed -n 's/^ *stack0: *\([0-9]*\).*/\1/p' /proc/net/dev); [ "$now" -lt $((begin + $1)) ]; do
        [ "$now" = "$last" ] || deadline=$((SECONDS + 2))
        [ $SECONDS -lt $deadline ] || return 0
        last=$now
        pause
    done
}

# Ask the service to end: it must do so by itself and with exit status 0. Return: 1 when it did not.
stop_daemon() {
    local pid=$DAEMON_PID status=0
    [ -n "$pid" ] || return 0
    DAEMON_PID=
    if ! kill "$pid" 2>/dev/null; then
        wait "$pid" || status=$?
        complain "sidestackd died during the test, with status $status"
        return 1
    fi
    if ! wait_for_exit "$pid" 30; then
        complain "sidestackd did not end on SIGTERM"
        return 1
    fi
    wait "$pid" || status=$?
    if [ $status -ne 0 ]; then
        complain "sidestackd ended with status $status"
        return 1
    fi
}

lib_begin() {
    trap 'echo "FAILED: ${BASH_SOURCE[0]##*/} line $LINENO: $BASH_COMMAND" >&2' ERR
    trap 'exit 130' INT TERM HUP
    ip netns add P
    if [ "$MODE" = kernel ]; then
        STACK_ENVIRONMENT=(SIDESTACK_SOCKET="$WORK/control")
        ip link add to-p type veth peer name to-w netns P
        ip address add $WORLD/24 dev to-p
        ip address add $WORLD6/64 dev to-p nodad
        ip link set to-p up
        ip -n P address add $STACK/24 dev to-w
        ip -n P address add $STACK6/64 dev to-w nodad
        ip -n P link set to-w up
        ip -n P link set lo up
    else
        STACK_ENVIRONMENT=("${SANITIZER_OPTIONS[@]/%/:detect_leaks=0}" SIDESTACK_SOCKET="$WORK/control"
            LD_PRELOAD="$PRELOAD${PRELOAD:+ }$LIBRARY")
        start_daemon
    fi
}

# protocol_version: of what programs and the service say to each other
protocol_version() {
    sed -n 's/^#define PROTOCOL_VERSION \([0-9]*\).*/\1/p' "$TOP/service/protocol.h"
}

# lib_begin_attacked OPTION...: lib_begin, with a service that every user may use; OPTION are further ones of it
lib_begin_attacked() {
    echo "socket-mode = 0666" >"$WORK/settings"
    DAEMON_OPTIONS=(--config "$WORK/settings" "$@")
    chmod 755 "$WORK"
    lib_begin
}

# attack PROGRAM ARGUMENT...: tests/apps/PROGRAM.py against the service: its control socket, process and version of the protocol, a user who runs nothing
# else (the kernel counts by user what is on its way between processes), ARGUMENT, and what another user's programs on the stack begin with
attack() {
    local program=$1
    shift
    ATTACKER=$((100000 + RANDOM))
    $PYTHON "$TOP/tests/apps/$program.py" "$WORK/control" "$DAEMON_PID" "$(protocol_version)" "$ATTACKER" "$@" \
        nsenter --net=/run/netns/P -- env "${STACK_ENVIRONMENT[@]}"
}

# The end of every test, good or bad: programs, service, files.
lib_end() {
    local status=$? pid log
    trap - ERR EXIT
    set +e
    for pid in "${PIDS[@]}"; do
        kill "$pid" 2>/dev/null
    done
    for pid in "${PIDS[@]}"; do
        wait_for_exit "$pid" 5 || kill -KILL "$pid" 2>/dev/null
    done
    stop_daemon || status=1
    for log in "$WORK"/sanitizer.*; do
        [ -e "$log" ] || continue
        complain "a sanitizer found something"
        head -n 60 "$log"
        status=1
    done
    # This one writes to standard error, whatever it is told, and ends the process.
    if grep -h 'runtime error: ' "$WORK"/*.log 2>/dev/null; then
        complain "the undefined behaviour sanitizer found something"
        status=1
    fi
    if [ $status -ne 0 ]; then
        for log in "$WORK"/*.log; do
            [ -s "$log" ] || continue
            printf -- '--- %s\n' "${log##*/}"
            tail -n 30 "$log"
        done
    fi
    rm -rf "$WORK"
    exit $status
}
