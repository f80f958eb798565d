#!/bin/bash
# Several addresses and routes: where packets go and which address they come from is what the kernel says with the same ones.
# time: 90
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

ADDRESSES=(10.77.0.2/24 10.77.0.3/24 10.79.0.2/16 192.168.9.1/31 fd01::2/64 fd01::3/64 fd02::2/48 2001:db8:1::2/64
    2001:db8:2:1::2/64)
ROUTES=("10.78.0.0/24 via 10.77.0.5" "10.80.0.0/16 via 10.79.0.9" "10.80.1.0/24 via 10.77.0.1" "fd08::/32 via fd01::5"
    "2001:db8:8::/48 via 2001:db8:1::9")
GATEWAYS=(10.77.0.1 fd01::1)

# A bridge with the world, the stack, R (a router to 10.78.0.1 and fd08::1), and K, the kernel with the stack's addresses but
# on a link of its own.
for name in P R K; do
    ip netns add $name
    ip netns exec $name sysctl -q net.ipv6.conf.default.accept_dad=0
done
sysctl -q net.ipv6.conf.default.accept_dad=0
ip link add bridge0 type bridge
ip tuntap add dev stack0 mode tap
ip link set stack0 master bridge0
ip link add to-r type veth peer name to-w netns R
ip link set to-r master bridge0
for device in bridge0 stack0 to-r; do
    ip link set $device up
done
ip address add $WORLD/24 dev bridge0
ip address add fd01::1/64 dev bridge0
ip -n R address add 10.77.0.5/24 dev to-w
ip -n R address add fd01::5/64 dev to-w
ip -n R link set lo up
ip -n R link set to-w up
ip -n R address add 10.78.0.1/24 dev lo
ip -n R address add fd08::1/128 dev lo
ip -n R route add fd00::/8 dev to-w
ip -n K link set lo up
ip -n K link add to-w type veth peer name to-k
ip -n K link set to-w up
ip -n K link set to-k up
for address in "${ADDRESSES[@]}"; do
    ip -n K address add "$address" dev to-w
done
options=()
for address in "${ADDRESSES[@]}"; do
    options+=(--address "$address")
done
for route in "${ROUTES[@]}"; do
    # shellcheck disable=SC2086 # words
    ip -n K route add $route
    options+=(--route "$route")
done
for gateway in "${GATEWAYS[@]}"; do
    ip -n K route add default via "$gateway"
    options+=(--gateway "$gateway")
done

mkfifo "$WORK/ready"
# shellcheck disable=SC2086 # the wrapper is a command with options
env "${SANITIZER_OPTIONS[@]}" $DAEMON_WRAPPER "$BUILD/sidestackd" --socket "$WORK/control" --netif tap:stack0 "${options[@]}" \
    --ready-fd 3 3>"$WORK/ready" 2>"$WORK/sidestackd.log" </dev/null &
DAEMON_PID=$!
IFS= read -r -N 1 -t 20 _ <"$WORK/ready" || fail "sidestackd did not start"
STACK_ENVIRONMENT=("${SANITIZER_OPTIONS[@]/%/:detect_leaks=0}" SIDESTACK_SOCKET="$WORK/control"
    LD_PRELOAD="$PRELOAD${PRELOAD:+ }$LIBRARY")

check_equal "the addresses that are listed" \
    "$(on_stack hostname -I | tr ' ' '\n' | grep . | grep -v '^fe80:' | sort)" \
    "$(printf '%s\n' "${ADDRESSES[@]%/*}" | sort)"

cat >"$WORK/sources.py" <<'END'
import socket
import sys
for peer in sys.argv[1:]:
    with socket.socket(socket.AF_INET6 if ":" in peer else socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect((peer, 9))
            print(peer, s.getsockname()[0])
        except OSError as error:
            print(peer, error)
END
peers=(10.77.0.9 10.77.0.2 10.77.0.3 10.79.200.1 10.79.0.2 192.168.9.0 192.168.9.1 8.8.8.8 10.78.0.1 10.80.7.7 10.80.1.1
    127.0.0.1 127.9.9.9 fd01::9 fd01::2 fd01::3 fd02::9 fd02:0:0:7::9 2001:db8:1::9 2001:db8:2:1::9 2001:db8:2:7::9
    2001:4860::8888 fd77::1 fd08::1 2001:db8:8::1 ::1)
check_equal "sources as the kernel chooses them" "$(on_stack $PYTHON "$WORK/sources.py" "${peers[@]}")" \
    "$(ip netns exec K $PYTHON "$WORK/sources.py" "${peers[@]}")"

mkdir "$WORK/www"
random_file "$WORK/www/data" 1M
want=$(sha256 "$WORK/www/data")
background far ip netns exec R $PYTHON -u -m http.server -d "$WORK/www" -b :: 8000
background own on_stack $PYTHON -u -m http.server -d "$WORK/www" -b :: 8000
wait_for_line far 'Serving HTTP'
wait_for_line own 'Serving HTTP'
check_equal "a download by a route" "$(on_stack curl -sS http://10.78.0.1:8000/data | sha256)" "$want"
check_equal "a download by an IPv6 route" "$(on_stack curl -sS "http://[fd08::1]:8000/data" | sha256)" "$want"
for address in 10.77.0.2 10.77.0.3 '[fd01::2]' '[fd01::3]'; do
    check_equal "a download from $address" "$(curl -sS "http://$address:8000/data" | sha256)" "$want"
    check_equal "a download from $address within" "$(on_stack curl -sS "http://$address:8000/data" | sha256)" "$want"
done
stop_daemon
