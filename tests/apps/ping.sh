#!/bin/bash
# The distribution's ping (a copy without file capabilities, which would make it pass the preload by) and traceroute.
# time: 90
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# A second hop: F behind W.
ip netns add F
ip link add to-f type veth peer name to-w2 netns F
ip address add 10.78.0.1/24 dev to-f
ip address add fd78::1/64 dev to-f nodad
ip -n F address add 10.78.0.2/24 dev to-w2
ip -n F address add fd78::2/64 dev to-w2 nodad
ip link set to-f up
ip -n F link set to-w2 up
ip -n F route add default via 10.78.0.1
ip -n F route add default via fd78::1
# Linux sends few ICMP errors a second, and traceroute wants many.
sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
ip netns exec F sysctl -q net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
if [ "$MODE" = kernel ]; then
    ip -n P route add default via $WORLD
    ip -n P route add default via $WORLD6
    ip netns exec P sysctl -q net.ipv4.ping_group_range='0 2147483647'
fi
cp "$(command -v ping)" "$WORK/ping"
cp "$(command -v traceroute)" "$WORK/traceroute"

# try_ping WHAT WANTED OPTION...: packets received
try_ping() {
    local what=$1 wanted=$2
    shift 2
    on_stack timeout 20 "$WORK/ping" -n -i 0.05 -W 5 "$@" >"$WORK/ping.log" || true
    check_equal "ping, $what" "$(grep -o '[0-9]* received' "$WORK/ping.log")" "$wanted received"
}
for address in $WORLD $WORLD6 10.78.0.2 fd78::2 127.0.0.1 ::1 $STACK $STACK6; do
    try_ping "$address" 5 -c 5 "$address"
done
check_equal "ping, TTL of the answer" "$(on_stack "$WORK/ping" -n -c 1 10.78.0.2 | grep -o 'ttl=[0-9]*')" ttl=63
check_equal "ping, hop limit of the answer" "$(on_stack "$WORK/ping" -n -c 1 fd78::2 | grep -o 'ttl=[0-9]*')" ttl=63
try_ping "no data" 3 -c 3 -s 0 $WORLD
try_ping "fragments" 3 -c 3 -s 5000 $WORLD
try_ping "fragments, IPv6" 3 -c 3 -s 5000 $WORLD6
try_ping "100 at once" 100 -c 100 -f $WORLD
try_ping "time exceeded" 0 -c 1 -t 1 10.78.0.2
check_equal "ping, who says so" "$(grep -o "From $WORLD.*exceeded" "$WORK/ping.log")" \
    "From $WORLD icmp_seq=1 Time to live exceeded"
try_ping "time exceeded, IPv6" 0 -c 1 -t 1 fd78::2
check_equal "ping, who says so, IPv6" "$(grep -c "^From $WORLD6 icmp_seq=1 Time exceeded: Hop limit" "$WORK/ping.log")" 1

# The world pings the stack.
for address in $STACK $STACK6; do
    check_equal "ping of $address" "$(ping -n -i 0.05 -c 5 -W 5 "$address" | grep -o '[0-9]* received')" "5 received"
    check_equal "ping of $address, fragments" \
        "$(ping -n -i 0.05 -c 3 -s 5000 -W 5 "$address" | grep -o '[0-9]* received')" "3 received"
done

# try_traceroute WHAT FIRST SECOND OPTION...: the two hops
try_traceroute() {
    local what=$1 first=$2 second=$3
    shift 3
    check_equal "traceroute $what to $second" \
        "$(on_stack timeout 30 "$WORK/traceroute" -n -q 2 -w 5 "$@" "$second" | awk 'NR > 1 { print $2 }' | paste -s -d ' ')" \
        "$first $second"
}
try_traceroute "by UDP" $WORLD 10.78.0.2 -U
try_traceroute "by UDP, other ports," $WORLD 10.78.0.2
try_traceroute "by UDP" $WORLD6 fd78::2 -U
# One probe at a time: with more an error may be told by send(), and then poll() says nothing of it (docs/differences.md).
try_traceroute "by ICMP" $WORLD 10.78.0.2 -I -N 1
try_traceroute "by ICMP" $WORLD6 fd78::2 -I -N 1
