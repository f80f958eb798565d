#!/bin/bash
# IPv6 addresses, routes, name servers and domains by router advertisements from radvd, and by stateless DHCPv6 from dnsmasq.
# time: 120
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

# The world is a router, between the stack's link and F, which has fd02::2.
make_world() {
    sysctl -q net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
    ip netns add P
    ip netns add F
    ip tuntap add dev stack0 mode tap
    ip address add fd01::1/64 dev stack0 nodad
    ip link set stack0 up
    ip link add to-f type veth peer name to-w netns F
    ip address add fd02::1/64 dev to-f nodad
    ip link set to-f up
    ip -n F address add fd02::2/64 dev to-w nodad
    ip -n F link set to-w up
    ip -n F route add default via fd02::1
}
make_world
STACK_ENVIRONMENT=("${SANITIZER_OPTIONS[@]/%/:detect_leaks=0}" SIDESTACK_SOCKET="$WORK/control"
    LD_PRELOAD="$PRELOAD${PRELOAD:+ }$LIBRARY")

# router FLAGS LIFETIME: with these lines for the interface, and a prefix that is valid so long
router() {
    cat >"$WORK/radvd.conf" <<END
interface stack0 {
    AdvSendAdvert on;
    MinRtrAdvInterval 3;
    MaxRtrAdvInterval 4;
    AdvDefaultLifetime 1800;
    $1
    prefix fd01::/64 { AdvOnLink on; AdvAutonomous on; AdvValidLifetime $2; AdvPreferredLifetime $2; };
};
END
    background radvd radvd --nodaemon --config "$WORK/radvd.conf" --pidfile "$WORK/radvd.pid" --logmethod stderr -d 1
}

daemon() {
    mkfifo "$WORK/ready"
    # shellcheck disable=SC2086 # the wrapper is a command with options
    env "${SANITIZER_OPTIONS[@]}" $DAEMON_WRAPPER "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 \
        --mac 02:00:00:00:00:77 "$@" --ready-fd 3 3>"$WORK/ready" 2>"$WORK/sidestackd.log" </dev/null &
    DAEMON_PID=$!
    PID_OF[sidestackd]=$DAEMON_PID
    IFS= read -r -N 1 -t 40 _ <"$WORK/ready" || fail "sidestackd did not start"
    rm "$WORK/ready"
}

addresses() {
    on_stack hostname -I | tr ' ' '\n' | grep . | grep -v '^fe80:' || true
}

mkdir "$WORK/www"
random_file "$WORK/www/data" 1M
background far ip netns exec F $PYTHON -u -m http.server -d "$WORK/www" -b :: 8000
wait_for_line far 'Serving HTTP'
want=$(sha256 "$WORK/www/data")

router "RDNSS fd01::53 fd01::54 { AdvRDNSSLifetime 600; }; DNSSL one.example two.example { AdvDNSSLLifetime 600; };" 3600
daemon --slaac
check_equal "the address" "$(addresses)" fd01::ff:fe00:77
wait_for_line sidestackd 'name servers: fd01::53, fd01::54; domains: one.example, two.example'
note "ok: name servers and domains"
"$BUILD/sidestack" netif --socket "$WORK/control" >"$WORK/netif"
for line in "inet6 fd01::ff:fe00:77/64 ra valid for .* preferred for " "default (IPv6) via fe80:.* ra for 00:[0-9:]*$" \
    "fe80:.* router$" "name servers: fd01::53 fd01::54"; do
    grep -q "$line" "$WORK/netif" || fail "netif has no '$line': $(cat "$WORK/netif")"
done
check_equal "a download through the router" "$(on_stack curl -sS "http://[fd02::2]:8000/data" | sha256)" "$want"
stop_daemon

# Without being asked to, the stack believes no router.
daemon --address fd01::7/64
timeout 20 tcpdump -q -i stack0 -c 1 'icmp6 and ip6[40] == 134' >/dev/null 2>&1 || fail "no router advertisement"
check_equal "the address that was given" "$(addresses)" fd01::7
stop_daemon
stop "${PID_OF[radvd]}"

# The rest by DHCPv6.
background dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --log-dhcp --log-facility=- --port=53 \
    --no-resolv --no-hosts --local=/example/ --address=/web.three.example/fd02::2 \
    --interface=stack0 --bind-interfaces --dhcp-range=fd01::,ra-stateless,64 --dhcp-leasefile="$WORK/leases" \
    '--dhcp-option=option6:dns-server,[fd01::1]' --dhcp-option=option6:domain-search,three.example --enable-ra \
    --ra-param=stack0,4,600
wait_for_line dnsmasq started
daemon --slaac
check_equal "the address" "$(addresses)" fd01::ff:fe00:77
wait_for_line dnsmasq DHCPINFORMATION-REQUEST
wait_for_line sidestackd 'name servers: fd01::1.*; domains: three.example'
note "ok: name servers and domains by DHCPv6"
check_equal "a download by a name" "$(on_stack curl -sS http://web:8000/data | sha256)" "$want"
stop_daemon
stop "${PID_OF[dnsmasq]}"

# A prefix that is no longer announced.
router "" 12
daemon --slaac --address fd09::1/64
check_equal "the addresses" "$(addresses | sort)" "fd01::ff:fe00:77
fd09::1"
kill -KILL "${PID_OF[radvd]}" # it would take everything back, if it were asked to end
wait "${PID_OF[radvd]}" 2>/dev/null || true
one_is_left() { [ "$(addresses)" = fd09::1 ]; }
wait_until "the address does not run out" one_is_left
note "ok: the address ran out with its prefix"
