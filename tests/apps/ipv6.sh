#!/bin/bash
# Real programs over IPv6: servers on ::, which take IPv4 as well, and clients; link-local addresses; the stack's own ::1.
# time: 120
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

mkdir -p "$WORK/www"
random_file "$WORK/www/large" 32M
want=$(sha256 "$WORK/www/large")

# nginx on [::] with both families, as its packages have it.
nginx_configuration "[::]:8000 ipv6only=off"
background nginx on_stack nginx -e stderr -c "$WORK/nginx.conf"
nginx=$BACKGROUND_PID
wait_until "nginx does not answer" curl -s -o "$WORK/answer" "http://[$STACK6]:8000/who"
check_equal "nginx sees the client's IPv6 address" "$(curl -sS "http://[$STACK6]:8000/who")" "$WORLD6 "
check_equal "nginx sees the client's IPv4 address, mapped" "$(curl -sS "http://$STACK:8000/who")" "::ffff:$WORLD "
check_equal "32 MB from nginx, IPv6" "$(curl -sS "http://[$STACK6]:8000/large" | sha256)" "$want"
check_equal "32 MB from nginx, IPv4" "$(curl -sS "http://$STACK:8000/large" | sha256)" "$want"
check_equal "32 MB from nginx, the stack's ::1" "$(on_stack curl -sS "http://[::1]:8000/large" | sha256)" "$want"
check_equal "32 MB from nginx, the stack's own address" "$(on_stack curl -sS "http://[$STACK6]:8000/large" | sha256)" "$want"
check_equal "32 MB to nginx" "$(curl -sS -o "$WORK/answer" -w '%{http_code}' -T "$WORK/www/large" \
    "http://[$STACK6]:8000/put/copy") $(sha256 "$WORK/www/put/copy")" "201 $want"
stop "$nginx"

# Clients on the stack.
background kernel_server $PYTHON -u -m http.server -d "$WORK/www" -b :: 8000
wait_for_line kernel_server 'Serving HTTP'
check_equal "curl -6" "$(on_stack curl -6 -sS -w '%{local_ip}' -o "$WORK/copy" "http://[$WORLD6]:8000/large")" $STACK6
check_equal "curl -6, the data" "$(sha256 "$WORK/copy")" "$want"
check_equal "python" "$(on_stack $PYTHON -c 'import sys, urllib.request as r
sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=20).read())' "http://[$WORLD6]:8000/large" | sha256)" "$want"
check_equal "refused" "$(on_stack curl -6 -s "http://[$WORLD6]:8001/" || echo $?)" 7
if [ "$MODE" = stack ]; then
    link=$(ip -6 -o address show dev stack0 scope link | sed 's/.*inet6 \(fe80[^/]*\).*/\1/')
    check_equal "a link-local address" "$(on_stack $PYTHON -c 'import socket, sys
peer = socket.socket(socket.AF_INET6)
peer.connect((sys.argv[1], 8000, 0, 2))
print(peer.getpeername()[3], peer.getsockname()[0].startswith("fe80"))' "$link")" "2 True"
fi

# Servers on the stack, of other makers.
background node on_stack node "$TOP/tests/apps/node.js" serve :: 8002
wait_for_line node "serving on ::"
check_equal "node on ::" "$(curl -sS "http://[$STACK6]:8002/") $(curl -sS "http://$STACK:8002/")" "$WORLD6 ::ffff:$WORLD"
background python on_stack $PYTHON -u -m http.server -d "$WORK/www" -b :: 8003
wait_for_line python 'Serving HTTP'
check_equal "python on ::" "$(curl -sS "http://[$STACK6]:8003/large" | sha256)" "$want"

for server in kernel stack; do
    if [ $server = kernel ]; then
        background iperf3 iperf3 -s -B $WORLD6 --forceflush
        client=(on_stack iperf3 -6 -c "$WORLD6")
    else
        background iperf3 on_stack iperf3 -s -B $STACK6 --forceflush
        client=(iperf3 -6 -c "$STACK6")
    fi
    iperf3=$BACKGROUND_PID
    wait_for_line iperf3 'Server listening'
    for options in "" "-R" "-P 4"; do
        # shellcheck disable=SC2086 # several options
        output=$("${client[@]}" -t 2 $options --json) || fail "iperf3: $output"
        note "iperf3 -6, server on the $server $options: $($PYTHON -c 'import json, sys
print(round(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e6))' <<<"$output") Mbit/s"
    done
    stop "$iperf3"
done
check_memory_below 65536
