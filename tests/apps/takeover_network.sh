#!/bin/bash
# What a network told the running service is the next one's, too: a lease, and what came with it; routers, their prefixes, addresses made from them. Nobody is asked
# for it again, but the lease is renewed in time.
# time: 90
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

# The world is a router, between the stack's link and F, which has 10.78.0.2 and fd02::2.
sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
ip netns add P
ip netns add F
ip tuntap add dev stack0 mode tap
ip address add $WORLD/24 dev stack0
ip address add fd01::1/64 dev stack0 nodad
ip link set stack0 up
ip link add to-f type veth peer name to-w netns F
ip address add 10.78.0.1/24 dev to-f
ip address add fd02::1/64 dev to-f nodad
ip link set to-f up
ip -n F address add 10.78.0.2/24 dev to-w
ip -n F address add fd02::2/64 dev to-w nodad
ip -n F link set to-w up
ip -n F route add default via 10.78.0.1
ip -n F route add default via fd02::1
STACK_ENVIRONMENT=("${SANITIZER_OPTIONS[@]/%/:detect_leaks=0}" SIDESTACK_SOCKET="$WORK/control" LD_PRELOAD="$PRELOAD${PRELOAD:+ }$LIBRARY")

background dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --log-dhcp --log-facility=- --port=0 --interface=stack0 --bind-interfaces --no-ping \
    --dhcp-leasefile="$WORK/leases" --dhcp-authoritative --dhcp-range=10.77.0.50,10.77.0.60,2m --dhcp-option=option:T1,8 --dhcp-option=option:mtu,1400 \
    --dhcp-option=option:dns-server,10.77.0.9 --dhcp-option=option:domain-search,one.example --dhcp-option=option:classless-static-route,10.78.0.0/24,$WORLD
wait_for_line dnsmasq started
cat >"$WORK/radvd.conf" <<'END_RADVD'
interface stack0 {
    AdvSendAdvert on;
    MaxRtrAdvInterval 1000;
    AdvDefaultLifetime 3000;
    prefix fd01::/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime 4000; AdvPreferredLifetime 3600; };
    RDNSS fd01::53 { AdvRDNSSLifetime 2000; };
};
END_RADVD

daemon() {
    local old=$DAEMON_PID
    rm -f "$WORK/ready"
    mkfifo "$WORK/ready"
    # shellcheck disable=SC2086 # the wrapper is a command with options
    env "${SANITIZER_OPTIONS[@]}" $DAEMON_WRAPPER "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 --dhcp --slaac "$@" \
        --ready-fd 3 3>"$WORK/ready" 2>>"$WORK/sidestackd.log" </dev/null &
    DAEMON_PID=$!
    PID_OF[sidestackd]=$DAEMON_PID
    IFS= read -r -N 1 -t 40 _ <"$WORK/ready" || fail "sidestackd did not start"
    [ -z "$old" ] || wait "$old" || fail "the old service ended with status $?"
}
# what it knows, without the times that run
knows() {
    "$BUILD/sidestack" netif --socket "$WORK/control" | sed -E 's/( valid| preferred| for [0-9:]+)//g; /(RX|TX|packets|bytes|reachable|stale|delay|probe)/d' # neighbours are asked whether they are there
}

background radvd radvd --nodaemon --config "$WORK/radvd.conf" --pidfile "$WORK/radvd.pid" --logmethod stderr -d 1
: >"$WORK/sidestackd.log"
daemon
wait_for_line sidestackd 'name servers: 10.77.0.9, fd01::53'
before=$(knows)
note "$before"

background far ip netns exec F $PYTHON "$TOP/tests/apps/takeover.py" serve 10.78.0.2 7000
background far6 ip netns exec F $PYTHON "$TOP/tests/apps/takeover.py" serve fd02::2 7000
wait_for_line far ready
wait_for_line far6 ready
background stream on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream 10.78.0.2 7000 6 20000
background stream6 on_stack $PYTHON "$TOP/tests/apps/takeover.py" stream fd02::2 7000 6 20000
wait_for_line stream flows
wait_for_line stream6 flows
kill -KILL "${PID_OF[radvd]}" # in order it would say that it is no router any more
for _ in 1 2 3; do
    daemon --takeover
    check_equal "what the new service knows of the network" "$(knows)" "$before"
done
for name in stream stream6; do
    wait_for_line $name '^done'
    note "ok: $name: $(grep '^done' "$WORK/$name.log")"
done
check_equal "failures of servers" "$(cat "$WORK/far.log" "$WORK/far6.log" | grep -c '^failed' || true)" 0
deadline=$((SECONDS + 30))
until [ "$(grep -c DHCPACK "$WORK/dnsmasq.log")" -ge 2 ]; do
    [ $SECONDS -lt $deadline ] || fail "the lease is not renewed"
    pause
done
check_equal "leases that were asked for as if there was none" "$(grep -c DHCPDISCOVER "$WORK/dnsmasq.log")" 1
stop_daemon
wait_for_line dnsmasq DHCPRELEASE
note "ok: the lease was renewed, and given back at the end"
