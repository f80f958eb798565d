#!/bin/bash
# The clock of the day jumps, back and forward: connections, keep-alive and the DHCP lease go on, and stamps show the new time.
# time: 40
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0 # these are faults of the service

gcc -std=gnu17 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -shared -fPIC -o "$WORK/clock.so" "$TOP/tests/apps/clock_jumps.c"
head -c 8 /dev/zero >"$WORK/shift"
# jump DAYS: so far off is the service's clock from now on
jump() {
    $PYTHON -c 'import struct, sys
with open(sys.argv[1], "r+b") as file:
    file.write(struct.pack("q", int(sys.argv[2]) * 86400))' "$WORK/shift" "$1"
}

ip netns add P
ip tuntap add dev stack0 mode tap
ip address add $WORLD/24 dev stack0
ip link set stack0 up
STACK_ENVIRONMENT=(SIDESTACK_SOCKET="$WORK/control" LD_PRELOAD="$LIBRARY")
background dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --log-dhcp --log-facility=- --port=0 --interface=stack0 --bind-interfaces \
    --no-ping --dhcp-leasefile="$WORK/leases" --dhcp-authoritative --dhcp-range=10.77.0.50,10.77.0.60,2m --dhcp-option=option:T1,3
wait_for_line dnsmasq started
mkfifo "$WORK/ready"
env CLOCK_SHIFT="$WORK/shift" LD_PRELOAD="$WORK/clock.so" "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 --dhcp \
    --pcap "$WORK/frames.pcap" --ready-fd 3 3>"$WORK/ready" 2>"$WORK/sidestackd.log" </dev/null &
DAEMON_PID=$!
PID_OF[sidestackd]=$DAEMON_PID
IFS= read -r -N 1 -t "$HANG" _ <"$WORK/ready" || fail "sidestackd did not start"

background echo socat -d -d "TCP-LISTEN:7000,bind=$WORLD,reuseaddr,fork" SYSTEM:cat
background stamped on_stack $PYTHON -c '
import socket, struct, sys, time
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
udp.bind(("", 7001))
print("ready", flush=True)
while True:
    data, control, _, _ = udp.recvmsg(100, 100)
    seconds = struct.unpack_from("q", control[0][2])[0]
    print(data.decode(), "days:", round((seconds - time.time()) / 86400), flush=True)
'
wait_for_line echo 'listening on'
wait_for_line stamped ready
address=$(awk '{ print $3 }' "$WORK/leases")
mkfifo "$WORK/to" "$WORK/from"
exec {to}<>"$WORK/to" {from}<>"$WORK/from"
# A connection that asks its peer each second, and ends with the second question that is not answered.
in_p env "${STACK_ENVIRONMENT[@]}" socat - TCP4:$WORLD:7000,keepalive,keepidle=1,keepintvl=1,keepcnt=2 <&"$to" >&"$from" 2>"$WORK/connection.log" &
PIDS+=($!)
say() {
    local answer
    echo "$1" >&"$to"
    IFS= read -r -t "$HANG" answer <&"$from" || fail "no answer: $1"
    check_equal "the connection" "$answer" "$1"
}
renewals() {
    grep -c 'DHCPREQUEST' "$WORK/dnsmasq.log"
}
# capture_is_off DAYS: the last frame of the capture is. It may be cut off, being written.
capture_is_off() {
    local stamp
    stamp=$(tcpdump -nn -tt -r "$WORK/frames.pcap" 2>/dev/null | tail -n 1 | cut -d . -f 1) || true
    [ $((stamp - EPOCHSECONDS - $1 * 86400)) -gt -3600 ] && [ $((stamp - EPOCHSECONDS - $1 * 86400)) -lt 3600 ]
}

say 'at first'
for days in -400 4000 0; do
    jump $days
    say "$days days off"
    echo -n "$days" >/dev/udp/"$address"/7001
    wait_for_line stamped "^$days days: $days\$"
    wait_until "the capture's stamps are not $days days off" capture_is_off $days
    before=$(renewals)
    wait_until "the lease is not renewed" has_lines "$WORK/dnsmasq.log" DHCPREQUEST $((before + 1))
    say "$days days off, and the lease was renewed"
done
check_equal "the address" "$(awk '{ print $3 }' "$WORK/leases")" "$address"
jump -4000
stop_daemon || exit 1
note "ok: it ends"
