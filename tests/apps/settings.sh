#!/bin/bash
# The daemon's settings, from a file and the command line: MTU, MAC address, no offload, a capture of every frame.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
cat >"$WORK/sidestackd.conf" <<END
; what the command line says wins
mtu = 9000
mac = 02:00:00:00:00:09
offload = off
pcap = $WORK/capture
END
DAEMON_OPTIONS=(--config "$WORK/sidestackd.conf" --mtu 1400 --log-level debug)
lib_begin

mkdir "$WORK/www"
random_file "$WORK/www/data" 3M
background server $PYTHON -u -m http.server -d "$WORK/www" -b $WORLD 8000
wait_for_line server 'Serving HTTP'
check_equal "a download" "$(on_stack curl -sS http://$WORLD:8000/data | sha256)" "$(sha256 "$WORK/www/data")"
check_equal "the stack's MAC address" "$(ip neighbour show $STACK | sed -n 's/.*lladdr \([^ ]*\).*/\1/p')" 02:00:00:00:00:09
stop_daemon

frames() {
    tcpdump -nn -r "$WORK/capture" "$@" 2>/dev/null
}
check_equal "what the SYN offers" "$(frames -v "src $STACK and tcp[tcpflags] == tcp-syn" | grep -o 'mss [0-9]*')" "mss 1360"
check_equal "frames longer than the MTU" "$(frames 'greater 1415' | wc -l)" 0
check_equal "frames with a wrong checksum" "$(frames -vv "src $STACK" | grep -c incorrect || true)" 0
[ "$(frames "src $WORLD and tcp" | wc -l)" -gt 2000 ] || fail "the capture misses frames"
note "ok: the capture has every frame"
grep -q 'debug: socket 1: FIN_SENT' "$WORK/sidestackd.log" || fail "no events at debug level"
note "ok: events by name"
