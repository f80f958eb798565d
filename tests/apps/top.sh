#!/bin/bash
# time: 90
# sidestack top in a terminal of 80 columns and 24 lines (tmux): what it shows, its keys, a change of size; and as text.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0
sidestack="$BUILD/sidestack"
export SIDESTACK_SOCKET="$WORK/control"
nginx_configuration $STACK:8080
random_file "$WORK/www/large" 64M
background nginx on_stack nginx -c "$WORK/nginx.conf"
wait_for_port $STACK 8080
background reader $PYTHON -c '
import socket, time
s = socket.create_connection(("10.77.0.2", 8080))
print("ready", flush=True)
while True:  # a slow one: the send queue stays full
    s.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    left = 64 << 20
    while left > 0:
        left -= len(s.recv(1 << 18))
        time.sleep(0.01)'
wait_for_line reader ready
background idle on_stack $PYTHON -c '
import socket, time
l = socket.create_server(("10.77.0.2", 9000))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("10.77.0.2", 5353))
print("ready", flush=True)
time.sleep(1000)'
wait_for_line idle ready

terminal() {
    TERM=screen-256color tmux -L top -f /dev/null "$@"
}
screen() {
    terminal capture-pane -p -t top
}
shows() {
    screen | tee "$WORK/screen.log" | grep -q -e "$1"
}
shows_no() {
    ! shows "$1"
}
# on_screen PATTERN: wait until it is there.
on_screen() {
    wait_until "the screen has no '$1'" shows "$1"
    note "ok: $1"
}
# not_on_screen PATTERN: wait until it is not.
not_on_screen() {
    wait_until "the screen still has '$1'" shows_no "$1"
    note "ok: no $1"
}
press() {
    terminal send-keys -t top "$@"
}

export TMUX_TMPDIR="$WORK"
terminal new-session -d -s top -x 80 -y 24 "$sidestack top -d 0.3; echo ended with \$?; exec cat"
on_screen '^PROGRAM    STATE  PORT PEER  *IN b/s  OUT/s     RTT  RETR RECVQ SENDQ$'
on_screen '^nginx      ESTAB  8080 10.77.0.1:[0-9]* .*  *[0-9.]*[kMG]  *[0-9.]*[um]s'
on_screen '^sidestack default up 0:00:[0-9]*  .* sockets: 1 established, 2 listening, [0-9]* time-wait$'
on_screen '^wire in .*bit/s .* out [0-9.]*[MG]bit/s'
screen >"$WORK/picture"
[ "$(wc -l <"$WORK/picture")" -le 24 ] || fail "the picture is too high"
awk 'length > 80 { exit 1 }' "$WORK/picture" || fail "the picture is too wide"
not_on_screen 'LISTN'
press a
on_screen 'LISTN  9000'
press a
press p
on_screen '^    PID PROGRAM '
on_screen "^ *${PID_OF[nginx]} nginx  *[0-9]*  *1 "
press Tab
press r
on_screen 'connections by rtt'
press '>'
on_screen 'connections by retrans'
press R
on_screen 'by retrans, reversed'
press /
on_screen '^filter:'
press 'prog python3' Enter
on_screen 'filter: prog python3'
not_on_screen '^nginx'
press / 'nonsense 1' Enter
on_screen "'nonsense' is not understood"
press / Enter
on_screen '^nginx'
press Down NPage PPage Up End Home Space
for choice in 's send-q' 'v recv-q' 'n program' 'o out' 'i in' 't retrans' '< rtt'; do
    press "${choice% *}"
    on_screen "connections by ${choice#* }"
done
press '?'
on_screen 'Any key goes back'
press x
not_on_screen 'Any key goes back'
terminal resize-window -t top -x 120 -y 40
on_screen '^PROGRAM    STATE  *LOCAL PEER'
on_screen '10.77.0.2:8080 10.77.0.1:'
terminal resize-window -t top -x 60 -y 10
on_screen '^PROGRAM    STATE  PORT PEER'
terminal resize-window -t top -x 80 -y 24
on_screen '^PROGRAM    STATE  PORT PEER .* SENDQ$'
press d
on_screen '^seconds:'
press 5 Enter
not_on_screen '^seconds:'
press q
on_screen 'ended with 0'
terminal kill-server

# As text.
"$sidestack" top -b -n 2 -d 0.2 >"$WORK/batch"
check_equal "pictures" "$(grep -c '^PROGRAM ' "$WORK/batch")" 2
grep -q '^nginx .* ESTAB .*10.77.0.2:8080 10.77.0.1:' "$WORK/batch" || fail "$(cat "$WORK/batch")"
check_equal "a filter" "$("$sidestack" top -b -n 1 -d 0.1 -a sport = :9000 | grep -c '^python3 ')" 1
check_equal "programs" "$("$sidestack" top -b -p -n 1 -d 0.1 -o program | awk '$2 ~ /nginx|python3/ { print $2 }' | xargs)" \
    "nginx python3"
if "$sidestack" top -o nonsense 2>/dev/null; then fail "nonsense was understood"; fi
if "$sidestack" top </dev/null 2>"$WORK/error" | cat; then :; fi
grep -q 'this is no terminal' "$WORK/error" || fail "$(cat "$WORK/error")"
