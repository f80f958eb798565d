#!/bin/bash
# A service at rest does not wake up; one with open but silent connections uses hardly any processor time.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0

# Of this process, in three seconds: times that it went to sleep, and processor time in ticks of 10 ms.
sleeps() {
    awk '$1 == "voluntary_ctxt_switches:" { print $2 }' "/proc/$DAEMON_PID/status"
}
ticks() {
    awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat"
}
# The one place where time itself is what we look at.
pass_seconds() {
    read -r -t "$1" <> <(:) || true
}
# Both ends of the device announce themselves at first (ND, MLD, ARP): until a second is silent.
wait_for_rest() {
    local before _
    for _ in {1..20}; do
        before=$(sleeps)
        pass_seconds 1
        [ "$(sleeps)" -gt "$before" ] || return 0
    done
    fail "no second without a wake-up in twenty"
}
measure() {
    local sleeps ticks
    sleeps=$(sleeps)
    ticks=$(ticks)
    pass_seconds 3
    sleeps=$(($(sleeps) - sleeps))
    ticks=$(($(ticks) - ticks))
    note "$1: woke $sleeps times, used $ticks ticks"
    [ $sleeps -le "$2" ] || fail "$1: woke $sleeps times in three seconds, more than $2"
    [ $ticks -le 2 ] || fail "$1: used $ticks ticks of processor time in three seconds"
}

# The kernel's end of the device goes on with it for a while.
echo 1 >/proc/sys/net/ipv6/conf/stack0/disable_ipv6
wait_for_rest
measure "no connections" 0

background server $PYTHON -u -c '
import signal, socket, sys
listener = socket.create_server((sys.argv[1], 7000), backlog=100)
print("listening", flush=True)
held = [listener.accept()[0] for _ in range(50)]
print("all here", flush=True)
signal.pause()
' $WORLD
wait_for_line server listening
background clients on_stack $PYTHON -u -c '
import signal, socket, sys
held = [socket.create_connection((sys.argv[1], 7000)) for _ in range(50)]
print("connected", flush=True)
signal.pause()
' $WORLD
wait_for_line clients connected
wait_for_rest
measure "50 silent connections" 0
