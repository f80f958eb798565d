#!/bin/bash
# time: 120
# asan: service
# What the tools say of a running service: ss beside the kernel's ss for the same connections, stats, netif, kill; who may see what.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0
sidestack="$BUILD/sidestack"
export SIDESTACK_SOCKET="$WORK/control"

# Servers and a client on the stack, and their ends on the kernel's side.
cat >"$WORK/programs.py" <<'END'
import socket, sys, time
def say(text):
    print(text, flush=True)
if sys.argv[1] == "stack":
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("", 5353))
    dual = socket.socket(socket.AF_INET6)
    dual.bind(("::", 9999))
    dual.listen(7)
    listener = socket.create_server(("10.77.0.2", 9000))
    connections = [socket.create_connection(("10.77.0.1", 7777)) for _ in range(5)]
    aborted = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for one in aborted:
        one.connect(("10.77.0.1", 4444))
    connections[1].setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    accepted, _ = listener.accept()
    connections[0].recv(1, socket.MSG_PEEK)
    say("ready")
    for one in aborted:  # a call that waits, and one that comes later
        try:
            one.recv(1)
        except OSError as error:
            try:
                peer = one.getpeername()
            except OSError as nobody:
                peer = nobody.errno
            one.sendto(b"again", ("10.77.0.1", 4444))
            say(f"{error}, peer {peer}")
    for connection in connections[1:]:
        try:
            connection.recv(1)
        except OSError as error:
            say(error)
else:
    listener = socket.create_server(("10.77.0.1", 7777))
    say("listening")
    connections = [listener.accept()[0] for _ in range(5)]
    connections[0].send(b"hello")
    while True:
        try:
            client = socket.create_connection(("10.77.0.2", 9000))
            break
        except OSError:
            time.sleep(0.02)
    time.sleep(1000)
END
background kernel $PYTHON "$WORK/programs.py" kernel
wait_for_line kernel listening
background stack on_stack $PYTHON "$WORK/programs.py" stack
wait_for_line stack ready

# The same connections, ours looked at from the other end.
connections() {
    "$@" | awk '{ print $1, $(NF - 1), $NF }' | sort
}
connections "$sidestack" ss -Htn state established | awk '{ print $1, $2, $3 }' >"$WORK/ours"
connections ss -Htn state established src $WORLD dst $STACK | awk '{ print $1, $3, $2 }' | sort >"$WORK/theirs"
check_equal "connections" "$(cut -d ' ' -f 2- "$WORK/ours" | sort)" "$(cut -d ' ' -f 2- "$WORK/theirs" | sort)"
check_equal "how many" "$(wc -l <"$WORK/ours")" 6

columns() {
    "$@" | awk 'NR == 1' | tr -s ' ' | sed 's/ $//'
}
check_equal "columns" "$(columns "$sidestack" ss -tan)" "State Recv-Q Send-Q Local Address:Port Peer Address:Port"
check_equal "columns of all" "$(columns "$sidestack" ss -anp)" \
    "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process"
check_equal "listening, backlog" "$("$sidestack" ss -Htln 'sport = :9999' | xargs)" "LISTEN 0 7 *:9999 *:*"
check_equal "bytes that wait, as the kernel would count them" \
    "$("$sidestack" ss -Htn dport = :7777 | awk '$2 != 0 { print $2 }')" 5
"$sidestack" ss -tnm >"$WORK/memory"
grep -q 'skmem:(r[1-9][0-9]*,w0)' "$WORK/memory" || fail "no memory: $(cat "$WORK/memory")"
check_equal "UDP" "$("$sidestack" ss -Huan sport = :5353 | xargs)" "UNCONN 0 0 0.0.0.0:5353 0.0.0.0:*"
check_equal "the holder" "$("$sidestack" ss -Htlnp sport = :9999 | grep -o '"python3",pid=[0-9]*')" \
    "\"python3\",pid=${PID_OF[stack]}"
check_equal "a keep-alive timer" "$("$sidestack" ss -Htno | grep -c 'timer:(keepalive,[0-9a-z]*,0)')" 1
check_equal "filters" "$("$sidestack" ss -Htan '( dport = :7777 or sport = :9999 ) and not src 127.0.0.0/8' | wc -l)" 6
"$sidestack" ss -tin dport = :7777 >"$WORK/figures"
grep -q 'cubic wscale:.* rtt:.* mss:.* cwnd:' "$WORK/figures" || fail "no figures"
"$sidestack" ss -s >"$WORK/summary"
grep -q '^TCP: *8 (estab 6, listening 2,' "$WORK/summary" || fail "the summary: $(cat "$WORK/summary")"
check_equal "JSON" "$("$sidestack" ss -tan --json | jq -r 'select(.state == "listening") | .local.port' | sort | xargs)" \
    "9000 9999"
if "$sidestack" ss 'sport = nonsense' 2>"$WORK/error"; then fail "nonsense was understood"; fi
grep -q "'nonsense' is no port" "$WORK/error" || fail "$(cat "$WORK/error")"

# Counters.
check_equal "connections that were opened" "$("$sidestack" stats --json | jq -r '.tcp.TcpActiveOpens')" 5
check_equal "connections that came" "$("$sidestack" stats | awk '$1 == "TcpPassiveOpens" { print $2 }')" 1
XDG_RUNTIME_DIR="$WORK" "$sidestack" stats -d >/dev/null
check_equal "since the last call" "$(XDG_RUNTIME_DIR="$WORK" "$sidestack" stats -d | grep -c TcpActiveOpens || true)" 0
check_equal "every tenth of a second" "$("$sidestack" stats 0.1 3 | wc -l)" 4

# The network.
"$sidestack" netif >"$WORK/netif"
for line in "inet $STACK/24 static" "inet6 $STACK6/64 static" "default via $WORLD static" "$WORLD .* reachable" \
    "wire: stack0;.* impairment: none"; do
    grep -q "$line" "$WORK/netif" || fail "netif has no '$line': $(cat "$WORK/netif")"
done
check_equal "netif --json" "$("$sidestack" netif --json | jq -r '.interfaces[1].addresses[0].address')" $STACK

# Echo requests from the stack, to the kernel and to itself, by name and by address. It runs itself with the library that
# lies beside it, which is not the sanitized one.
pinger="$(dirname "$LIBRARY")/sidestack"
"$pinger" ping -c 3 -i 0.05 $WORLD >"$WORK/ping"
check_equal "replies" "$(grep -c "^64 bytes from $WORLD: icmp_seq=[123] ttl=64 time=[0-9.]* ms$" "$WORK/ping")" 3
grep -q '^3 packets transmitted, 3 received, 0% packet loss, time [0-9]*ms$' "$WORK/ping" || fail "$(cat "$WORK/ping")"
grep -q '^rtt min/avg/max/mdev = [0-9.]*/[0-9.]*/[0-9.]*/[0-9.]* ms$' "$WORK/ping" || fail "$(cat "$WORK/ping")"
check_equal "a reply of IPv6" "$("$pinger" ping -q -6 -c 1 -s 3000 $WORLD6 | grep -c '^1 packets transmitted, 1 received')" 1
check_equal "a reply of localhost" "$("$pinger" ping -c 1 localhost | grep -c '^64 bytes from 127.0.0.1')" 1
status=0
"$pinger" ping -c 1 -W 0.1 10.77.0.99 >/dev/null || status=$?
check_equal "nobody replies" $status 1

# Prometheus's format, once and over HTTP.
"$sidestack" metrics >"$WORK/metrics"
$PYTHON -c '
import sys
from prometheus_client.parser import text_string_to_metric_families
values = {}
for family in text_string_to_metric_families(open(sys.argv[1]).read()):
    assert family.type in ("counter", "gauge"), family
    assert family.documentation and family.samples, family
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in values, key
        values[key] = sample.value
assert values["sidestack_up", ()] == 1
assert values["sidestack_tcp_active_opens_total", ()] == 5, values
assert values["sidestack_tcp_connections", (("state", "established"),)] == 6
assert values["sidestack_control_requests_total", (("operation", "connect"),)] == 7
assert values["sidestack_info", (("name", "default"), ("version", sys.argv[2]))] == 1
' "$WORK/metrics" "$("$sidestack" --version | cut -d ' ' -f 2)"
note "ok: the metrics"
background metrics "$sidestack" metrics --listen "unix:$WORK/metrics.sock"
wait_for_line metrics "at unix:"
check_equal "over a Unix socket" "$(curl -sS -D "$WORK/head" --unix-socket "$WORK/metrics.sock" http://x/metrics | grep '^sidestack_up ')" \
    "sidestack_up 1"
grep -qi '^content-type: text/plain; version=0.0.4; charset=utf-8' "$WORK/head" || fail "$(cat "$WORK/head")"
check_equal "elsewhere" "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$WORK/metrics.sock" http://x/secret)" 404
stop "$BACKGROUND_PID"
[ ! -e "$WORK/metrics.sock" ] || fail "the socket was left behind"
background metrics "$sidestack" metrics --listen $WORLD:9464
wait_for_line metrics "at $WORLD:9464"
check_equal "over TCP" "$(curl -sS http://$WORLD:9464/metrics | grep -c '^sidestack_tcp_connections{')" 11
if "$sidestack" metrics --listen nonsense 2>/dev/null; then fail "nonsense was understood"; fi

# Users: somebody else sees nothing of these, and can end none.
chmod 711 "$WORK"
chmod 666 "$WORK/control"
somebody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
check_equal "somebody else's view" "$("${somebody[@]}" "$sidestack" ss -Han | wc -l)" 0
id=$("$sidestack" ss -tn --json dport = :7777 | jq -r .id | head -n 1)
if "${somebody[@]}" "$sidestack" kill -q id "$id" 2>/dev/null; then fail "somebody else ended a connection"; fi
check_equal "nothing was ended" "$("$sidestack" ss -Htn dport = :7777 | wc -l)" 5

# The end of one, and of all.
check_equal "a dry run" "$("$sidestack" kill -n dst $WORLD:7777 | wc -l)" 5
background sink socat -u "UDP4-RECV:4444,bind=$WORLD" -
wait_for_udp $WORLD 4444
check_equal "UDP" "$("$sidestack" kill -u dst $WORLD:4444 | cut -d ' ' -f 1,2,4 | xargs)" "udp ESTAB $WORLD:4444 udp ESTAB $WORLD:4444"
wait_for_line stack 'abort, peer 107'
wait_for_line sink againagain
"$sidestack" kill -q dst $WORLD:7777
wait_for_line stack 'Software caused connection abort'
check_equal "what is left" "$("$sidestack" ss -Htn state established dst $WORLD:7777 | wc -l)" 0
peers_ended() { [ "$(ss -Htn state established sport = :7777 | wc -l)" = 0 ]; }
wait_until "the peer's connections did not end" peers_ended
note "ok: the peer heard of it"
