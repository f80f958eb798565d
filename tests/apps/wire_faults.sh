#!/bin/bash
# What may happen to the wire: its device goes down, is removed and made again, gets another address, another MTU. Connections outlive it all.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
SIDESTACK_TEST_USER=nobody # it attaches to the new device with no power at all
lib_begin
[ "$MODE" = stack ] || exit 0 # these are faults of sidestack's own wire

background echo socat -d -d "TCP4-LISTEN:7000,bind=$WORLD,fork" EXEC:cat
wait_for_line echo 'listening on'
mkfifo "$WORK/to" "$WORK/from"
exec {to}<>"$WORK/to" {from}<>"$WORK/from"
in_p env "${STACK_ENVIRONMENT[@]}" socat - TCP4:$WORLD:7000 <&"$to" >&"$from" 2>"$WORK/connection.log" &
PIDS+=($!)
# say WORD: what is written comes back
say() {
    local answer
    echo "$1" >&"$to"
    IFS= read -r -t 20 answer <&"$from" || fail "no answer: $1"
    check_equal "the connection" "$answer" "$1"
}
# idle: it does nothing, and so takes no time
check_idle() {
    local before after
    before=$(awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat")
    for _ in {1..25}; do
        pause
    done
    after=$(awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat")
    [ $((after - before)) -lt 10 ] || fail "$1: it took $((after - before)) ticks of processor time to wait half a second"
    note "ok: $1: idle"
}
say 'at first'

ip link set stack0 down
echo 'while the link was down' >&"$to"
check_idle 'link down'
ip link set stack0 up
ip address replace $WORLD6/64 dev stack0 nodad
IFS= read -r -t 20 answer <&"$from" || fail "nothing after the link was up again"
check_equal "the connection" "$answer" 'while the link was down'

ip link delete stack0
wait_for_line sidestackd 'the device is gone'
echo 'while the device was gone' >&"$to"
check_idle 'device removed'
ip tuntap add dev stack0 mode tap
ip address add $WORLD/24 dev stack0
ip link set stack0 up
wait_for_line sidestackd 'the device is back'
IFS= read -r -t 20 answer <&"$from" || fail "nothing after the device was back"
check_equal "the connection" "$answer" 'while the device was gone'
say 'with another device'
check_idle 'device back'

ip link set stack0 mtu 1200
random_file "$WORK/file" 3000000
background upload socat -u TCP4-LISTEN:7001,bind=$WORLD,reuseaddr "CREATE:$WORK/came"
listening() { ss -Hltn "sport = :7001" | grep -q LISTEN; }
wait_until "nothing listens" listening
on_stack timeout 40 socat -u "OPEN:$WORK/file" TCP4:$WORLD:7001
wait "${PID_OF[upload]}" || true
check_equal "3 MB with an MTU of 1200 at the other end" "$(sha256 "$WORK/came")" "$(sha256 "$WORK/file")"
ip address add 10.77.0.77/24 dev stack0
ip address delete 10.77.0.77/24 dev stack0
say 'at last'
