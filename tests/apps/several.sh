#!/bin/bash
# Several stacks beside each other, found by name: sidestackd --name, sidestack run --stack, sidestack list.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
lib_begin

# stack NAME NETWORK: a service of that name with a device of its own, the kernel at NETWORK.1 on the other side
stack() {
    ip tuntap add dev "side-$1" mode tap
    ip address add "$2.1/24" dev "side-$1"
    ip link set "side-$1" up
    background "$1" "$BUILD/sidestackd" --name "$1" --netif "tap:side-$1" --address "$2.2/24" --gateway "$2.1"
    wait_for_line "$1" addresses
}
run() {
    in_p env -u LD_PRELOAD -u SIDESTACK_SOCKET "$BUILD/sidestack" run "$@"
}
list() {
    "$BUILD/sidestack" list "$@"
}

check_equal "none" "$(list)" "NAME            STATE    WIRE            PROGRAMS UPTIME    ADDRESSES"
stack default 10.81.0
stack blue 10.82.0
check_equal "where they are" "$(cd /run/sidestack && stat -c '%n %a %F' -- *)" "blue.sock 660 socket
default.sock 660 socket"

# A server on each, at the same port; clients by --stack, --name, the environment, and without any.
background server_default run -- $PYTHON -u -m http.server -d "$WORK" 8000
wait_for_line server_default 'Serving HTTP'
background server_blue run --stack blue -- $PYTHON -u -m http.server -d "$WORK" 8000
wait_for_line server_blue 'Serving HTTP'
echo hello >"$WORK/file"
check_equal "at both addresses" "$(curl -sS http://10.81.0.2:8000/file http://10.82.0.2:8000/file | paste -s -d ' ')" "hello hello"
own=(-- "$PYTHON" -c 'import socket
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(("10.99.0.1", 1))
print(client.getsockname()[0])')
check_equal "without a name" "$(run "${own[@]}")" 10.81.0.2
check_equal "--stack" "$(run --stack blue "${own[@]}")" 10.82.0.2
check_equal "--name" "$(run --name blue "${own[@]}")" 10.82.0.2
check_equal "SIDESTACK_NAME" "$(SIDESTACK_NAME=blue run "${own[@]}")" 10.82.0.2
check_equal "no such stack" "$(run --stack green "${own[@]}" 2>&1 || true)" \
    "sidestack run: no service (is sidestackd running?): /run/sidestack/green.sock: No such file or directory"
"$BUILD/sidestackd" --name blue --netif tap:other0 2>"$WORK/second" && fail "two services of one name"
grep -q 'another service runs there; give this one another --name' "$WORK/second" || fail "$(cat "$WORK/second")"
note "ok: a second one of the same name"

check_equal "the list" "$(list | sed 's/  *[0-9]*s  */ TIME /; s/  */ /g')" "NAME STATE WIRE PROGRAMS UPTIME ADDRESSES
blue running side-blue 1 TIME 10.82.0.2/24
default running side-default 1 TIME 10.81.0.2/24"
check_equal "as JSON" "$(list --json | $PYTHON -c '
import json, sys
for line in sys.stdin:
    service = json.loads(line)
    assert service["uptime_s"] < 60 and service["socket"] == "/run/sidestack/%s.sock" % service["name"]
    print(service["name"], service["state"], service["programs"],
          [a["address"] for i in service["interfaces"] if i["index"] == 2 for a in i["addresses"] if "." in a["address"]])')" \
    "blue running 1 ['10.82.0.2']
default running 1 ['10.81.0.2']"

# A service that was killed leaves a socket; the next one takes its place. What another user may not use is shown as such.
kill -KILL "${PID_OF[blue]}"
wait_for_exit "${PID_OF[blue]}" 10
check_equal "a dead one" "$(list | sed -n 's/  */ /g; /^blue/p')" "blue stale - - - -"
cp "$BUILD/sidestack" /run/sidestack.tool
chmod 755 /run
check_equal "for others" "$(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all /run/sidestack.tool list |
    sed 's/  */ /g' | tail -n +2)" "blue closed - - - -
default closed - - - -"
background blue "$BUILD/sidestackd" --name blue --netif tap:side-blue --address 10.82.0.3/24 --gateway 10.82.0.1
wait_for_line blue addresses
check_equal "the next one" "$(list | sed -n 's/  *[0-9]*s  */ TIME /; s/  */ /g; /^blue/p')" "blue running side-blue 0 TIME 10.82.0.3/24"
check_equal "the server of the dead one" "$(grep -c 'GET /file' "$WORK/server_blue.log")" 1
stop "${PID_OF[blue]}"
stop "${PID_OF[default]}"
check_equal "none again" "$(find /run/sidestack -type s)" ""

# systemd's socket (sd_listen_fds(3)): the service takes it over, says when it is ready, and leaves it there.
cat >"$WORK/notify.py" <<'END'
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print("waits", flush=True)
while True:
    print(listener.recv(4096).decode(), flush=True)
END
background notify $PYTHON "$WORK/notify.py" "$WORK/notify"
wait_for_line notify waits
background activated systemd-socket-activate --seqpacket -l "$WORK/handed" -E NOTIFY_SOCKET="$WORK/notify" \
    "$BUILD/sidestackd" --socket "$WORK/handed" --netif tap:side-default --address 10.81.0.2/24 --gateway 10.81.0.1
wait_for_line activated 'Listening on'
check_equal "through systemd's socket" "$(run --socket "$WORK/handed" "${own[@]}")" 10.81.0.2
wait_for_line notify READY=1
kill -HUP "${PID_OF[activated]}"
wait_for_line activated 'no configuration file to read again'
stop "${PID_OF[activated]}"
wait_for_line notify STOPPING=1
[ -S "$WORK/handed" ] || fail "the service removed systemd's socket"
note "ok: systemd is told, and keeps its socket"
