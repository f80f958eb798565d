#!/bin/bash
# time: 90
# asan: service
# sidestack capture: several at once, filters, one program's frames, a file that tshark reads without complaint, a reader that does not read.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0
sidestack="$BUILD/sidestack"
export SIDESTACK_SOCKET="$WORK/control"
nginx_configuration $STACK:8080
random_file "$WORK/www/file" 300K
background nginx on_stack nginx -c "$WORK/nginx.conf"
wait_for_port $STACK 8080

captures_open() {
    "$sidestack" stats --json | jq .capture.CapturesOpen
}
captures_are() {
    [ "$(captures_open)" = "$1" ]
}
wait_for_captures() {
    wait_until "there are not $1 captures" captures_are "$1"
}
# frames FILE [FILTER]: how many; tshark must have nothing to complain about.
frames() {
    tshark -n -r "$1" ${2:+-Y "$2"} 2>"$WORK/tshark.err" | wc -l
    grep -v 'Running as user' "$WORK/tshark.err" && fail "tshark complains of $1"
    return 0
}

background all "$sidestack" capture "$WORK/all.pcapng"
background some "$sidestack" capture -s 100 "$WORK/some.pcapng" tcp port 8080 and src $STACK
background nginx_only "$sidestack" capture --program nginx "$WORK/nginx.pcapng"
background python_only "$sidestack" capture --program python3 "$WORK/python.pcapng"
background counted "$sidestack" capture -c 3 "$WORK/counted.pcapng" tcp
wait_for_captures 5
curl -sf -o "$WORK/got" http://$STACK:8080/file
on_stack $PYTHON -c '
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for _ in range(7):
        s.sendto(b"hello", ("10.77.0.1", 9))' # discard: answered with an error
wait_for_exit "${PID_OF[counted]}" 20
for name in all some nginx_only python_only; do
    stop "${PID_OF[$name]}"
done
wait_for_captures 0
cmp "$WORK/got" "$WORK/www/file"

check_equal "as many as wanted" "$(frames "$WORK/counted.pcapng")" 3
all=$(frames "$WORK/all.pcapng" 'tcp.port == 8080')
check_equal "all of nginx's" "$(frames "$WORK/nginx.pcapng")" "$all"
check_equal "the SYN comes first" "$(frames "$WORK/nginx.pcapng" 'frame.number == 1 && tcp.flags.syn == 1')" 1
# The device may be left to cut a train of datagrams: then it is one frame.
check_equal "all of python's" "$(tshark -n -r "$WORK/python.pcapng" -Y 'udp.dstport == 9' -T fields -e udp.length 2>/dev/null |
    awk '{ bytes += $1 - 8 } END { print bytes }')" 35
check_equal "nobody else's" "$(frames "$WORK/python.pcapng" 'not udp')" 0
check_equal "what the filter says" "$(frames "$WORK/some.pcapng")" "$(frames "$WORK/all.pcapng" 'tcp.srcport == 8080')"
check_equal "cut" "$(frames "$WORK/some.pcapng" 'frame.cap_len > 100')" 0
check_equal "directions" "$(frames "$WORK/all.pcapng" 'frame.packet_flags_direction == 2 && tcp')" \
    "$(frames "$WORK/all.pcapng" 'tcp.srcport == 8080')"
check_equal "expert's errors" "$(frames "$WORK/all.pcapng" '_ws.expert.severity == "Error"')" 0
grep -q '^sidestack capture: 3 frames, 0 dropped' "$WORK/counted.log" || fail "$(cat "$WORK/counted.log")"

# One connection by its number, to a pipe.
mkfifo "$WORK/hold"
background holder $PYTHON -c '
import socket, sys
s = socket.create_connection(("10.77.0.2", 8080))
print("ready", flush=True)
open(sys.argv[1]).read()
s.send(b"GET /who HTTP/1.0\r\n\r\n")
print(len(s.recv(1000)), flush=True)' "$WORK/hold"
wait_for_line holder ready
id=$("$sidestack" ss --json state established sport = :8080 | jq .id)
"$sidestack" capture -q --id "$id" - >"$WORK/one.pcapng" &
capture=$!
wait_for_captures 1
curl -sf -o /dev/null http://$STACK:8080/file # another one
: >"$WORK/hold"
wait_for_exit "${PID_OF[holder]}" 20
stop $capture
port=$(tshark -n -r "$WORK/one.pcapng" -T fields -e tcp.stream 2>/dev/null | sort -u | wc -l)
[ "$port" -ge 1 ] || fail "nothing of the connection"
note "ok: a connection by its number"

# A reader that does not read costs frames of its own, and nothing else.
random_file "$WORK/www/large" 100M
"$sidestack" capture -q - | (: <"$WORK/hold") &
wait_for_captures 1
curl -sf -o "$WORK/got" --max-time 60 http://$STACK:8080/large
cmp "$WORK/got" "$WORK/www/large"
dropped=$("$sidestack" stats --json | jq .capture.CaptureDropped)
[ "$dropped" -gt 100 ] || fail "$dropped frames were dropped: was it read?"
note "ok: a reader that does not read"
: >"$WORK/hold"
wait_for_captures 0
check_memory_below 60000

# Who may, and what makes no sense.
chmod 711 "$WORK"
chmod 666 "$WORK/control"
if setpriv --reuid 65534 --regid 65534 --clear-groups "$sidestack" capture - 2>"$WORK/error" | cat >"$WORK/stolen"; then
    fail "somebody else may capture"
fi
check_equal "somebody else has nothing" "$(wc -c <"$WORK/stolen")" 0
if "$sidestack" capture "$WORK/x" no such filter 2>"$WORK/error"; then fail "nonsense was understood"; fi
grep -q "^sidestack capture: filter 'no such filter': " "$WORK/error" || fail "$(cat "$WORK/error")"
