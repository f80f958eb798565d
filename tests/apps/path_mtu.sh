#!/bin/bash
# A path whose middle takes smaller packets than both its ends: what the stack sends arrives, because it believes the router.
# time: 60
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# FAR is behind W, by a link for packets of 1300 bytes.
FAR=10.78.0.2
FAR6=fd78::2
ip netns add far
ip link add to-far type veth peer name to-w netns far
ip address add 10.78.0.1/24 dev to-far
ip address add fd78::1/64 dev to-far nodad
ip link set to-far mtu 1300 up
ip -n far address add $FAR/24 dev to-w
ip -n far address add $FAR6/64 dev to-w nodad
ip -n far link set to-w up
ip -n far link set lo up
ip -n far route add $STACK via 10.78.0.1
ip -n far -6 route add $STACK6 via fd78::1
sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
if [ "$MODE" = kernel ]; then
    ip -n P route add default via $WORLD
    ip -n P -6 route add default via $WORLD6
fi

random_file "$WORK/file" 16M
for to in $FAR $FAR6; do
    background "sink$to" nsenter --net=/run/netns/far -- $PYTHON -u -c '
import hashlib, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], 7000), family=family)
print("listening")
connection, digest = listener.accept()[0], hashlib.sha256()
while data := connection.recv(1 << 20):
    digest.update(data)
print(digest.hexdigest())' "$to"
    wait_for_line "sink$to" listening
    check_equal "the path's MTU, as a program sees it, to $to" "$(on_stack $PYTHON -c '
import socket, sys
with socket.create_connection((sys.argv[1], 7000)) as connection, open(sys.argv[2], "rb") as file:
    connection.sendfile(file)
    if ":" in sys.argv[1]:
        print(connection.getsockopt(socket.IPPROTO_IPV6, 24)) # IPV6_MTU
    else:
        print(connection.getsockopt(socket.IPPROTO_IP, 14)) # IP_MTU
' "$to" "$WORK/file")" 1300
    wait_for_line "sink$to" "$(sha256 "$WORK/file")"
    note "ok: 16 MB to $to"
done
