#!/bin/bash
# Wires besides TAP devices that the service opens: descriptors of all kinds, a VDE switch, slirp for a user without privileges.
# time: 120
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0
stop_daemon
ip link del stack0

nginx_configuration 80
random_file "$WORK/www/large" 8M
want=$(sha256 "$WORK/www/large")
ip link set lo up
background nginx nginx -c "$WORK/nginx.conf" -e stderr
wait_for_port 127.0.0.1 80

# serve_on COMMAND...: start a daemon, or something that starts one, and wait until it is ready.
serve_on() {
    mkfifo "$WORK/ready"
    env "${SANITIZER_OPTIONS[@]}" "$@" 3>"$WORK/ready" >"$WORK/sidestackd.log" 2>&1 </dev/null &
    DAEMON_PID=$!
    PID_OF[sidestackd]=$DAEMON_PID
    IFS= read -r -N 1 -t 20 _ <"$WORK/ready" || fail "the service did not start: $(cat "$WORK/sidestackd.log")"
    rm "$WORK/ready"
}
OPTIONS=("$BUILD/sidestackd" --socket "$WORK/control" --address "$STACK/24" --gateway "$WORLD" --ready-fd 3)

# check_transfers WHAT ADDRESS
check_transfers() {
    check_equal "$1: a download" "$(on_stack curl -sS --max-time 60 "http://$2/large" | sha256)" "$want"
    check_equal "$1: an upload" \
        "$(on_stack curl -sS --max-time 60 -o "$WORK/out" -w '%{http_code}' -T "$WORK/www/large" "http://$2/put/$1")" 201
    check_equal "$1: what was uploaded" "$(sha256 "$WORK/www/put/$1")" "$want"
}

# cpu_ticks: of the service
cpu_ticks() {
    awk '{ print $14 + $15 }' "/proc/$1/stat"
}

for kind in tap tap-plain packet seqpacket dgram stream; do
    serve_on $PYTHON "$TOP/tests/apps/wires.py" $kind $WORLD/24 "${OPTIONS[@]}"
    check_transfers "$kind" $WORLD
    if [[ $kind = seqpacket || $kind = stream ]]; then
        kill -USR1 $DAEMON_PID
        wait_for_line sidestackd 'the other end is gone, and with it the network'
        check_equal "$kind: who connects then" "$(on_stack curl -s --connect-timeout 0.3 http://$WORLD/ || echo $?)" 28
        service=$(pgrep -P $DAEMON_PID sidestackd)
        before=$(cpu_ticks "$service")
        read -r -t 0.5 <> <(:) || true
        [ $(($(cpu_ticks "$service") - before)) -lt 20 ] || fail "$kind: the service spins"
        check_equal "$kind: said once" "$(grep -c 'the other end' "$WORK/sidestackd.log")" 1
    fi
    stop_daemon
    ip link del stack0 2>/dev/null || true
done

check_equal "a descriptor that is not open" "$("${OPTIONS[@]}" --netif fd:77 2>&1 3>&- | grep error: || true)" \
    "sidestackd: error: fd:77: it is not open: Bad file descriptor"
check_equal "a descriptor that is no wire" "$("${OPTIONS[@]}" --netif fd:0 2>&1 </dev/null 3>&- | grep error: || true)" \
    "sidestackd: error: fd:0: it is neither a TAP device nor a socket: Socket operation on non-socket"

# libvdeplug loads its modules with RTLD_DEEPBIND, which a sanitizer's runtime refuses.
[ "$BUILD" = "$TOP/build" ] || exit 0

# ---- a VDE switch, which ends and comes back ----

start_switch() {
    rm -rf "$WORK/switch" "$WORK/switch.pid"
    vde_switch -d -p "$WORK/switch.pid" -s "$WORK/switch" -t stack0
    until [ -s "$WORK/switch.pid" ]; do pause; done # some time after it is in the background
    SWITCH=$(cat "$WORK/switch.pid")
    PIDS+=("$SWITCH")
    until [ -e "$WORK/switch/ctl" ] && ip address add $WORLD/24 dev stack0 2>/dev/null; do pause; done
    ip link set stack0 up
}
start_switch
serve_on "${OPTIONS[@]}" --netif "vde:$WORK/switch"
check_transfers vde $WORLD
kill -KILL "$SWITCH"
wait_for_line sidestackd 'the other end is gone; frames are lost until it is back'
check_equal "without a switch" "$(on_stack curl -s --connect-timeout 0.3 http://$WORLD/ || echo $?)" 28
wait_for_exit "$SWITCH" 10
ip link del stack0 2>/dev/null || true
start_switch
wait_for_line sidestackd 'the other end is back'
check_transfers vde-again $WORLD
stop_daemon
kill "$SWITCH" 2>/dev/null || true
check_equal "no switch there" "$("${OPTIONS[@]}" --netif "vde:$WORK/nothing" 2>&1 3>&- | grep -c 'connecting to the VDE network' || true)" 1

# ---- slirp, all of it as a user ----

chmod 711 "$WORK"
mkdir "$WORK/user"
cp "$BUILD/sidestackd" "$LIBRARY" "$WORK/user" # the tree may be root's
chown nobody "$WORK/user"
AS_NOBODY=(setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs)
chmod -R a+rX "$WORK/www"
serve_on "${AS_NOBODY[@]}" "$WORK/user/sidestackd" --socket "$WORK/user/control" --netif vde:slirp:// --dhcp --ready-fd 3
STACK_ENVIRONMENT=("${STACK_ENVIRONMENT[@]/#SIDESTACK_SOCKET=*/SIDESTACK_SOCKET=$WORK/user/control}")
STACK_ENVIRONMENT=("${STACK_ENVIRONMENT[@]/#LD_PRELOAD=*/LD_PRELOAD=$WORK/user/libintercept.so}")
check_equal "slirp, as a user: small" "$(on_stack "${AS_NOBODY[@]}" curl -sS --max-time 60 http://10.0.2.2/who | cut -d ' ' -f 1)" 127.0.0.1
check_equal "slirp, as a user: large" "$(on_stack "${AS_NOBODY[@]}" curl -sS --max-time 60 http://10.0.2.2/large | sha256)" "$want"
stop_daemon

# ---- the demonstrations ----

SIDESTACK_TEST_BUILD=$BUILD "$TOP/scripts/demo-user" >"$WORK/demo-user.log" 2>&1 || fail "demo-user: $(cat "$WORK/demo-user.log")"
check_equal "demo-user ran as a user without capabilities" "$(grep -c 'CapEff:.0000000000000000' "$WORK/demo-user.log")" 1
SIDESTACK_TEST_BUILD=$BUILD "$TOP/scripts/demo-machines" >"$WORK/demo-machines.log" 2>&1 ||
    fail "demo-machines: $(cat "$WORK/demo-machines.log")"
check_equal "demo-machines: two machines reached the third" "$(grep -c 'hello from m1' "$WORK/demo-machines.log")" 2
