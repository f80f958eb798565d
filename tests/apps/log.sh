#!/bin/bash
# Where messages go and in which form: standard error, syslog and the journal; plain and JSON; so many of each kind, and a
# line that counts the rest.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0

# A /dev of this test's own, with a /dev/log, and a journal in its own /run.
mkdir "$WORK/dev"
mount -t tmpfs -o mode=755 tmpfs "$WORK/dev"
mkdir "$WORK/dev/net"
for device in null zero random urandom net/tun; do
    touch "$WORK/dev/$device"
    mount --bind /dev/$device "$WORK/dev/$device"
done
ln -s /proc/self/fd "$WORK/dev/fd"
mkdir -p /run/systemd/journal
cat >"$WORK/listen.py" <<'END'
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print("ready", flush=True)
while True:
    print(listener.recv(65536).decode(), flush=True)
END
background syslog $PYTHON "$WORK/listen.py" "$WORK/dev/log"
background journal $PYTHON "$WORK/listen.py" /run/systemd/journal/socket
wait_for_line syslog ready
wait_for_line journal ready
mount --rbind "$WORK/dev" /dev
conf=$WORK/log.conf
echo 'log-format = json' >"$conf"
DAEMON_OPTIONS=(--config "$conf" --name blue --user root) # who it runs as is not said then
lib_begin

# Every line is an object, with what is asked for.
check_equal "JSON" "$($PYTHON -c '
import datetime, json, sys
for line in open(sys.argv[1]):
    message = json.loads(line)
    datetime.datetime.fromisoformat(message["time"].replace("Z", "+00:00"))
    assert message["service"] == "blue" and message["pid"] == int(sys.argv[2]), line
    print(message["level"], message["message"].split(":")[0])' "$WORK/sidestackd.log" "$DAEMON_PID")" \
    "info limits
info started
info addresses"

# reload TEXT: another file
reload() {
    echo "$1" >"$conf"
    kill -HUP "$DAEMON_PID"
}
reload 'log-to = syslog'
wait_for_line syslog 'reloaded'
check_equal "syslog" "$(sed -n '/reloaded/s/.*:[0-9][0-9] //p' "$WORK/syslog.log")" \
    "sidestackd@blue[$DAEMON_PID]: reloaded $conf: changed log-format, log-to"
grep -q '^<30>' "$WORK/syslog.log" || fail "no facility and priority"
reload 'log-to = journal'
wait_for_line journal 'SIDESTACK_NAME=blue'
check_equal "the journal" "$(sed '/^ready/d; /^$/d' "$WORK/journal.log")" \
    "MESSAGE=reloaded $conf: changed log-to
PRIORITY=6
SYSLOG_IDENTIFIER=sidestackd
SYSLOG_FACILITY=3
SIDESTACK_NAME=blue"
# Who listens there may be started anew, or be gone: then standard error has it.
stop "${PID_OF[journal]}"
rm /run/systemd/journal/socket
reload 'nonsense'
wait_for_lines() {
    wait_until "the log has no '$1'" grep -q "$1" "$WORK/sidestackd.log"
}
wait_for_lines "sidestackd@blue: error: $conf:1: expected \`name = value\`, found 'nonsense'"
note "ok: no journal"
background journal $PYTHON "$WORK/listen.py" /run/systemd/journal/socket
wait_for_line journal ready
reload 'log-to = journal'
wait_for_line journal 'nothing changed'
note "ok: a journal that was started anew"
reload ''
wait_for_lines 'changed log-to'
check_equal "plain" "$(grep -c '^sidestackd@blue: info: reloaded' "$WORK/sidestackd.log")" 1

# Clients that talk nonsense, 40 of them: ten lines and one that counts.
$PYTHON -c '
import socket, sys
for _ in range(40):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(sys.argv[1])
        client.send(b"nonsense")
        client.recv(1)' "$WORK/control"
wait_for_lines 'more suppressed'
check_equal "the same message again and again" "$(grep -c 'warn: control: client' "$WORK/sidestackd.log")" 10
check_equal "the rest" "$(grep -o 'warn: 30 more suppressed in 5 s, the first: control' "$WORK/sidestackd.log")" \
    "warn: 30 more suppressed in 5 s, the first: control"

# Started by systemd, with the journal behind standard error.
exec 4>"$WORK/stream"
JOURNAL_STREAM=$(stat -L -c %d:%i "$WORK/stream") "$BUILD/sidestackd" --socket "$WORK/control" --log-level info --netif tap:other0 \
    2>&4 || true
exec 4>&-
check_equal "priorities" "$(cut -c 1-3 "$WORK/stream" | sort -u | tr '\n' ' ')" "<3> <6> "
check_equal "nothing there" "$(rm "$WORK/dev/log"; "$BUILD/sidestackd" --log-to syslog 2>&1 || echo $?)" \
    "sidestackd: error: log-to: nothing takes messages there (give --log-to stderr): No such file or directory
1"
umount -R -l /dev "$WORK/dev"
