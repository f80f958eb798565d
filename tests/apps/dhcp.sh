#!/bin/bash
# An address, routes, an MTU and name servers by DHCP from dnsmasq; the lease is renewed, and given back at the end.
# time: 90
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

# The world has a server, and a router to 10.78.0.0/24, where R is.
make_world() {
    ip netns add P
    ip netns add R
    ip tuntap add dev stack0 mode tap
    ip link add bridge0 type bridge
    ip link set stack0 master bridge0
    ip link add to-r type veth peer name to-w netns R
    ip link set to-r master bridge0
    for device in bridge0 stack0 to-r; do
        ip link set $device up
    done
    ip address add $WORLD/24 dev bridge0
    ip -n R address add 10.77.0.5/24 dev to-w
    ip -n R address add 10.78.0.1/24 dev lo
    ip -n R link set lo up
    ip -n R link set to-w up
}
make_world
STACK_ENVIRONMENT=("${SANITIZER_OPTIONS[@]/%/:detect_leaks=0}" SIDESTACK_SOCKET="$WORK/control"
    LD_PRELOAD="$PRELOAD${PRELOAD:+ }$LIBRARY")

server() {
    background dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --log-dhcp --log-facility=- --port=53 \
        --no-resolv --no-hosts --local=/example/ --address=/web.two.example/$WORLD \
        --interface=bridge0 --bind-interfaces --no-ping --dhcp-leasefile="$WORK/leases" --dhcp-authoritative \
        --dhcp-range=10.77.0.50,10.77.0.60,2m --dhcp-option=option:T1,5 \
        --dhcp-option=option:dns-server,10.77.0.1,10.77.0.9 --dhcp-option=option:domain-search,one.example,two.example \
        --dhcp-option=option:mtu,1400 \
        --dhcp-option=option:classless-static-route,10.78.0.0/24,10.77.0.5,0.0.0.0/0,$WORLD
    wait_for_line dnsmasq started
}

# daemon OPTION...: until it is ready; false when it is not.
daemon() {
    mkfifo "$WORK/ready"
    # shellcheck disable=SC2086
    env "${SANITIZER_OPTIONS[@]}" $DAEMON_WRAPPER "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 \
        --mac 02:00:00:00:00:77 "$@" --ready-fd 3 3>"$WORK/ready" 2>"$WORK/sidestackd.log" </dev/null &
    DAEMON_PID=$!
    PID_OF[sidestackd]=$DAEMON_PID
    IFS= read -r -N 1 -t 40 _ <"$WORK/ready" || fail "sidestackd did not start"
    rm "$WORK/ready"
}

server
daemon --dhcp --hostname bob --address 10.99.0.1/24
leased=$(awk '$2 == "02:00:00:00:00:77" { print $3 }' "$WORK/leases")
[ -n "$leased" ] || fail "the server has no lease for us"
check_equal "the name that the server was told" "$(awk '{ print $4 }' "$WORK/leases")" bob
check_equal "the addresses of the stack" "$(on_stack hostname -I | tr ' ' '\n' | grep -F .)" "10.99.0.1
$leased"
wait_for_line sidestackd "name servers: 10.77.0.1, 10.77.0.9; domains: one.example, two.example"
"$BUILD/sidestack" netif --socket "$WORK/control" >"$WORK/netif"
for line in "inet $leased/24 dhcp valid for 00:0[12]:[0-5][0-9]" "inet 10.99.0.1/24 static" "10.78.0.0/24 via 10.77.0.5 dhcp" \
    "name servers: 10.77.0.1 10.77.0.9" "domains: one.example two.example"; do
    grep -q "$line" "$WORK/netif" || fail "netif has no '$line': $(cat "$WORK/netif")"
done
check_equal "the MTU" "$(on_stack ifconfig stack0 | grep -o 'mtu [0-9]*')" "mtu 1400"

mkdir "$WORK/www"
random_file "$WORK/www/data" 1M
background server $PYTHON -u -m http.server -d "$WORK/www" 8000
background far ip netns exec R $PYTHON -u -m http.server -d "$WORK/www" 8000
wait_for_line server 'Serving HTTP'
wait_for_line far 'Serving HTTP'
check_equal "a download from a neighbour" "$(on_stack curl -sS http://$WORLD:8000/data | sha256)" "$(sha256 "$WORK/www/data")"
check_equal "a download by the route" "$(on_stack curl -sS http://10.78.0.1:8000/data | sha256)" "$(sha256 "$WORK/www/data")"
check_equal "a download by a name that DHCP's server and search list know" \
    "$(on_stack curl -sS http://web:8000/data | sha256)" "$(sha256 "$WORK/www/data")"
grep -q "^$leased " "$WORK/server.log" || fail "the connection did not come from the leased address"

# T1 is 5 seconds: the server hears of us again.
wait_until "the lease is not renewed" has_lines "$WORK/dnsmasq.log" "DHCPACK(bridge0) $leased" 3
check_equal "the changes that were logged" "$(grep -c 'the network says' "$WORK/sidestackd.log")" 1
stop_daemon
wait_for_line dnsmasq "DHCPRELEASE(bridge0) $leased"
note "ok: the address was given back"

# Somebody has the next address already.
ip -n R address add "$leased/24" dev to-w
daemon --dhcp
wait_for_line dnsmasq "DHCPDECLINE(bridge0) $leased"
other=$(on_stack hostname -I | tr ' ' '\n' | grep -F .)
[ "$other" != "$leased" ] || fail "the stack took an address that another has"
check_equal "a download from the other address" "$(on_stack curl -sS http://$WORLD:8000/data | sha256)" \
    "$(sha256 "$WORK/www/data")"
stop_daemon

# Stopped while it waits for a server that is not there.
stop "${PID_OF[dnsmasq]}"
: >"$WORK/sidestackd.log" # here, so that what the one before said is gone
"$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 --dhcp 2>>"$WORK/sidestackd.log" &
DAEMON_PID=$!
PID_OF[sidestackd]=$DAEMON_PID
wait_for_line sidestackd 'asking the network'
stop_daemon
note "ok: it can be stopped while it waits"
