#!/bin/bash
# The configuration file: --check and what it says of mistakes; SIGHUP changes a running service and loses no connection.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
conf=$WORK/stack.conf
cat >"$conf" <<END
# what the command line says wins
mtu = 1400
impair = delay=1ms ; and no loss
impair = seed=5
search = one.test
END
DAEMON_OPTIONS=(--config "$conf")
lib_begin

# said: the lines of the service's log since the last time, without their beginning
seen=0
said() {
    tail -n +$((seen + 1)) "$WORK/sidestackd.log" | sed "s|$WORK/||g; s/^sidestackd: //"
    seen=$(wc -l <"$WORK/sidestackd.log")
}
# reload PATTERN: SIGHUP, and wait until the log has one more line that matches
reload() {
    local before
    before=$(grep -c -e "$1" "$WORK/sidestackd.log" || true)
    said >/dev/null
    seen=$(wc -l <"$WORK/sidestackd.log")
    kill -HUP "$DAEMON_PID"
    wait_until "the log has no '$1'" has_lines "$WORK/sidestackd.log" "$1" $((before + 1))
}
impaired() {
    "$BUILD/sidestack" impair --socket "$WORK/control"
}

# What --check prints is a configuration with the same settings.
options=(--address 10.9.9.9/24 --address fd09::9/64 --route '10.8.0.0/16 via 10.9.9.1' --dhcp --mac 02:00:00:00:00:01)
"$BUILD/sidestackd" --config "$conf" --socket "$WORK/other" "${options[@]}" --check >"$WORK/first"
"$BUILD/sidestackd" --config "$WORK/first" --check >"$WORK/second"
check_equal "settings printed, read and printed" "$(tail -n +2 "$WORK/second")" "$(tail -n +2 "$WORK/first")"
for line in 'mtu = 1400' 'impair = delay=1ms' 'impair = seed=5' 'address = fd09::9/64' 'dhcp = on' 'offload = on' \
    'route = 10.8.0.0/16 via 10.9.9.1'; do
    grep -qxF "$line" "$WORK/first" || fail "--check does not print '$line'"
done

printf '%s\n' 'mtu = 99' '' 'adress = 10.0.0.1/8' 'log-level = info' 'log-level = warn' '[part]' 'words' 'route = 10.0.0.0/8' \
    'impair = loss=1%,delay=7' "search = $(printf '%0200d' 0)" >"$WORK/bad"
"$BUILD/sidestackd" --config "$WORK/bad" --check >"$WORK/out" 2>"$WORK/mistakes" || status=$?
check_equal "exit status" "${status:-0}" 2
check_equal "no settings are printed" "$(cat "$WORK/out")" ""
check_equal "each mistake has its line" "$(sed -n "s|sidestackd: error: $WORK/bad:\([0-9]*\): .*|\1|p" "$WORK/mistakes" | sort -n | paste -s -d ' ')" "1 3 5 6 7 8 9 10"
check_equal "and says what was expected" "$(grep 'bad:[13]:' "$WORK/mistakes" | sort)" \
    "sidestackd: error: $WORK/bad:1: mtu: expected 576 to 65521, found '99'
sidestackd: error: $WORK/bad:3: no setting is called 'adress'; is it 'address'?"

# A connection from before goes on while everything that can change does.
mkdir "$WORK/www"
random_file "$WORK/www/data" 4M
background server $PYTHON -u -m http.server -d "$WORK/www" -b $WORLD 8000
wait_for_line server 'Serving HTTP'
check_equal "as the file says" "$(impaired)" delay=1ms,seed=5
cat >"$WORK/talk.py" <<'END'
import socket, sys
data = open(sys.argv[2], "rb").read()
connection = socket.create_connection((sys.argv[1], 8002))
connection.sendall(data)
print("half", flush=True)
open(sys.argv[3]).read()  # until the reloads are over
connection.sendall(data)
connection.shutdown(socket.SHUT_WR)
print("same" if connection.makefile("rb").read() == data * 2 else "other", flush=True)
END
random_file "$WORK/some" 100K
mkfifo "$WORK/go"
background echo socat TCP4-LISTEN:8002,bind=$WORLD,fork EXEC:cat
wait_for_port $WORLD 8002
background talk on_stack $PYTHON "$WORK/talk.py" $WORLD "$WORK/some" "$WORK/go"
talk=$BACKGROUND_PID
wait_for_line talk half
sed -i 's/delay=1ms ; and no loss/delay=2ms/; s/one.test/two.test/' "$conf"
printf '%s\n' 'log-level = debug' 'max-sockets = 9' 'route = 10.8.0.0/16 via 10.77.0.9' 'mac = 02:00:00:00:00:07' >>"$conf"
reload 'warn: reload'
check_equal "what is said of a reload" "$(said | grep reload)" \
    "info: reloaded stack.conf: changed route, search, impair, max-sockets, log-level
warn: reload: these take a restart of the service: mac"
check_equal "another delay" "$(impaired)" delay=2ms,seed=5
check_equal "the limit of sockets" "$(on_stack $PYTHON -c '
import errno, socket
sockets = []
try:
    while len(sockets) < 50:
        sockets.append(socket.socket())
except OSError as e:
    print(len(sockets) < 10, errno.errorcode[e.errno])')" "True ENFILE"
# A second reload changes nothing, and still names what waits for a restart.
reload 'warn: reload'
check_equal "a reload of the same" "$(said | grep reload)" \
    "info: reloaded stack.conf: nothing changed
warn: reload: these take a restart of the service: mac"

# What a tool changed stays when the file's line did not change; the route's way is taken.
"$BUILD/sidestack" impair --socket "$WORK/control" none >/dev/null
sed -i '/^max-sockets/d; /^mac/d; s/^log-level.*/log-level = info/; s/10.77.0.9/10.77.0.1/' "$conf"
reload 'info: reloaded'
check_equal "back" "$(said | grep 'info: reloaded')" "info: reloaded stack.conf: changed route, max-sockets, log-level"
check_equal "what sidestack impair changed" "$(impaired)" none
ip address add 10.8.0.1/32 dev stack0
background other $PYTHON -u -m http.server -d "$WORK/www" -b 10.8.0.1 8001
wait_for_line other 'Serving HTTP'
check_equal "by the new route" "$(on_stack curl -sS http://10.8.0.1:8001/data | sha256)" "$(sha256 "$WORK/www/data")"

# A bad file changes nothing.
echo 'impair = loss=101%' >>"$conf"
sed -i 's/^log-level.*/log-level = error/' "$conf"
reload 'everything stays'
check_equal "a bad file" "$(said)" \
    "error: stack.conf:$(wc -l <"$conf"): impair: not understood from 'loss=101%' on, expected a list as in delay=20ms,jitter=5ms,loss=1%,in:rate=10mbit, in 'loss=101%'
error: reload: everything stays as it was; correct stack.conf (sidestackd --config FILE --check) and reload again"
check_equal "as it was" "$(impaired)" none
sed -i '$d' "$conf"
rm "$conf"
reload 'everything stays'
note "ok: no file"
echo >"$WORK/go"
wait "$talk"
check_equal "the connection that was there before" "$(tail -n 1 "$WORK/talk.log")" same
