#!/bin/bash
# time: 60
# asan: service
# The tools' options, each once; what is wrong on their command lines; a service that is not there.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin
[ "$MODE" = stack ] || exit 0
sidestack="$BUILD/sidestack"
plain="$(dirname "$LIBRARY")/sidestack" # runs programs, itself among them, with the library that lies beside it
USAGE=125 # the exit status of a command line that is not understood
export SIDESTACK_SOCKET="$WORK/control" XDG_RUNTIME_DIR="$WORK" TERM=xterm

# says STATUS PATTERN ARGUMENT...: sidestack with these ends with that status and says that, on either output.
says() {
    local wanted=$1 pattern=$2 status=0
    shift 2
    timeout "$HANG" "$sidestack" "$@" >"$WORK/said" 2>&1 </dev/null || status=$?
    [ $status -eq "$wanted" ] || fail "sidestack $*: status $status, not $wanted: $(cat "$WORK/said")"
    grep -q -e "$pattern" "$WORK/said" || fail "sidestack $*: no '$pattern': $(cat "$WORK/said")"
}

# One socket of each sort, and a connection of each family.
cat >"$WORK/sockets.py" <<'END'
import socket, sys, time
here, there, there6 = sys.argv[1:]
held = [socket.create_server((here, 9000)), socket.create_server(("::", 9001), family=socket.AF_INET6)]
for address in (there, there6):
    held.append(socket.create_connection((address, 7777)))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((here, 5353))
udp.connect((there, 4444))
udp.send(b"x")
udp6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp6.bind(("::", 5354))
held += [udp, udp6, socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
         socket.socket(socket.AF_INET, socket.SOCK_RAW, 99), socket.socket(socket.AF_INET6, socket.SOCK_RAW, 99)]
held[6].bind((here, 77))
over = socket.create_connection((there, 7777))  # in TIME-WAIT soon
over.shutdown(socket.SHUT_WR)
over.recv(1)
over.close()
print("ready", flush=True)
while True:  # so that there is something to capture
    for connection in held[2:4]:
        connection.sendall(b"x" * 100)
        if connection.recv(100) == b"":
            sys.exit("no echo")
    time.sleep(0.02)
END
background echo socat TCP6-LISTEN:7777,fork,ipv6only=0 EXEC:cat
wait_for_port $WORLD 7777
background sockets on_stack $PYTHON "$WORK/sockets.py" $STACK $WORLD $WORLD6
wait_for_line sockets ready
pid=${PID_OF[sockets]}

# ---- What all have in common ----
says 0 '^usage: sidestack run' --help
says $USAGE '^usage: sidestack run'
says $USAGE '^usage: sidestack run' nonsense
for tool in run list impair ss top stats netif kill capture ping metrics rules; do
    wrong=$USAGE
    [ $tool != ping ] || wrong=2 # as ping(8)
    says 0 "^usage: sidestack $tool" $tool --help
    says $wrong "unrecognized option '--nonsense'" $tool --nonsense
done
long=/$(printf 'x%.0s' {1..200})
for arguments in "impair none" "ss -a" "top -b -n 1" stats netif "kill id 1" "capture -" rules "rules test sh connect 1.2.3.4:5" "run -- true"; do
    # shellcheck disable=SC2086 # words
    set -- $arguments
    tool=$1
    shift
    if status=0; timeout $HANG "$sidestack" "$tool" --socket "$WORK/none" "$@" >"$WORK/said" 2>&1 </dev/null; then
        fail "sidestack $arguments: well without a service"
    fi
    grep -q 'No such file or directory' "$WORK/said" || fail "sidestack $arguments: $(cat "$WORK/said")"
    [ "$tool" = run ] || ! timeout $HANG "$sidestack" "$tool" --socket "$long" "$@" >"$WORK/said" 2>&1 </dev/null || fail "a path that long"
done
note "ok: in common"

# ---- ss ----
says 0 'raw .*:99' ss -wan
says 0 'icmp' ss -wan
says 0 "\\[$WORLD6\\]:7777" ss -6tn
says 0 "$WORLD:7777" ss -4tn
says 0 'ino:[0-9]* sk:[0-9a-f]*' ss -taneO
says 0 'v6only:0' ss -tane6
says 0 'datagrams_out:1' ss -uani
says 0 'localhost\|:7777' ss -tr
says 0 'cubic' ss -tiO
says 0 '"family"' ss -a --json
for state in all connected synchronized bucket big closed listening established; do says 0 Netid ss -an state $state; done
says 0 Netid ss -an exclude listening exclude established
says 0 RAW ss -s
says $USAGE "'nonsense'" ss state nonsense
says $USAGE . ss '('
says $USAGE . ss 'sport = '
note "ok: ss"

# ---- stats ----
says 0 'TcpAttemptFails' stats -z
says 0 '"tcp"' stats --json
says 0 tcp stats --json 0.1 1
says $USAGE 'is no number of seconds' stats nonsense
says $USAGE 'is no count' stats 1 nonsense
XDG_RUNTIME_DIR=$WORK/none says 1 "can't keep what was seen" stats -d
note "ok: stats"

# ---- kill ----
says 0 ":7777" kill -t -n dst $WORLD
says $USAGE 'which ones' kill
says $USAGE "'nonsense'" kill nonsense 1
chmod 711 "$WORK"
chmod 666 "$WORK/control"
is_over() { "$sidestack" ss -tan --json state time-wait | jq -r .id >"$WORK/id" && [ -s "$WORK/id" ]; }
wait_until "no connection in TIME-WAIT" is_over
says 0 'timewait' ss -tano state time-wait
if setpriv --reuid 65534 --clear-groups "$sidestack" kill -q state time-wait id "$(cat "$WORK/id")" 2>/dev/null; then fail "somebody else ended one"; fi
says 0 ":7777" kill state time-wait
if is_over; then fail "it is still in TIME-WAIT"; fi
note "ok: kill"

# ---- capture ----
says $USAGE 'into which file' capture
says 1 'there is no such socket' capture --id 999999 "$WORK/frames"
says $USAGE 'is no number' capture -c nonsense "$WORK/frames"
says $USAGE "at most 15 bytes" capture --program a-name-that-is-too-long "$WORK/frames"
says 1 "unknown port 'nonsense'" capture "$WORK/frames" tcp port nonsense and
says 1 'No such file' capture -c 1 "$WORK/none/frames"
id=$("$sidestack" ss -tn6 --json dport = :7777 | jq -r .id)
for choice in "--pid $pid" "--id $id" "--program python3 -s 64"; do
    # shellcheck disable=SC2086 # words
    says 0 '^sidestack capture: 1 frames' capture -c 1 $choice "$WORK/frames"
done
note "ok: capture"

# ---- rules ----
says 0 'there are no rules' rules
says $USAGE 'see --help' rules test sh connect
says $USAGE 'no such program' rules test nonsense/nonsense connect 1.2.3.4:5
says $USAGE 'expected socket' rules test sh nonsense 1.2.3.4:5
for address in nonsense 1.2.3.4:nonsense '[::1' '[nonsense]:1' 1.2.3.4:99999; do
    says $USAGE 'expected an address' rules test sh connect "$address"
done
says $USAGE 'no such user' rules test --user nonsense sh connect 1.2.3.4:5
says $USAGE 'expected tcp' rules test --protocol nonsense sh connect 1.2.3.4:5
says $USAGE 'expected test' rules nonsense
says 0 '"action": *"stack"' rules test --json --protocol udp --user 0 sh bind '[::1]:5'
note "ok: rules"

# ---- run ----
says $USAGE 'no program given' run
says 127 nonsense run nonsense
says 126 . run "$WORK/sockets.py"
LD_PRELOAD=$(realpath /lib/*/libm.so.6) "$plain" run -- env >"$WORK/said"
grep -q 'LD_PRELOAD=.*libintercept.so:.*libm.so' "$WORK/said" || fail "run: $(cat "$WORK/said")"
note "ok: run"

# ---- impair, list, netif ----
says $USAGE 'one list' impair delay=1ms loss=1%
says $USAGE 'empty or too long' impair ''
says $USAGE '^usage' list nonsense
mkdir -p /run/sidestack
ln -s "$WORK/control" /run/sidestack/linked.sock
says 0 '"name": *"linked"' list --json
says 0 '^linked .*running' list
says 0 'inet' netif
note "ok: impair, list, netif"

# ---- metrics ----
says $USAGE 'metrics --help' metrics nonsense
says 1 'No such file' metrics --listen "unix:$WORK/none/socket"
says 1 'too long' metrics --listen "unix:$long"
: >"$WORK/metrics.sock"
says 1 'Address already in use' metrics --listen "unix:$WORK/metrics.sock"
says $USAGE 'ADDRESS:PORT is expected' metrics --listen '[::1]:nonsense'
says 1 'Cannot assign' metrics --listen '[fd99::1]:9464'
background metrics "$sidestack" metrics --listen "[$WORLD6]:9464"
wait_for_line metrics "at "
check_equal "the root" "$(curl -sS "http://[$WORLD6]:9464/")" "sidestack: the metrics are at /metrics"
check_equal "a wrong method" "$(curl -sS -o /dev/null -w '%{http_code}' -X POST "http://[$WORLD6]:9464/metrics")" 405
stop "$BACKGROUND_PID"
note "ok: metrics"

# ---- top ----
says $USAGE 'no number of seconds' top -d nonsense
says $USAGE 'is no count' top -n 0
says $USAGE 'can be sorted by' top -o nonsense
says $USAGE "'nonsense'" top nonsense 1
for key in in out rtt retrans send-q recv-q program; do says 0 '^PROGRAM' top -b -a -n 1 -d 0.1 -o $key; done
says 0 "$WORLD6" top -b -n 1 -d 0.1
note "ok: top"

# ---- ping: what comes back from further on ----
ip route add 10.99.0.0/16 dev stack0
ip -6 route add fd99::/64 dev stack0
sidestack=$plain
sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
for arguments in '-4 -t 1 10.99.0.1' '-6 -t 1 fd99::1'; do
    # shellcheck disable=SC2086 # words
    timeout $HANG "$sidestack" ping -n -c 1 -W 5 $arguments >"$WORK/said" 2>&1 && fail "a reply from nowhere"
    grep -q "^From .* icmp_seq=1 Time.* exceeded" "$WORK/said" || fail "ping $arguments: $(cat "$WORK/said")"
    grep -q "0 received, +1 errors" "$WORK/said" || fail "ping $arguments: $(cat "$WORK/said")"
done
says 2 'is no number' ping -c nonsense $WORLD
says 2 'is no number of seconds' ping -i nonsense $WORLD
says 2 'one host' ping
says 2 . ping -4 -c 1 nonsense.invalid
note "ok: ping"

# ---- The service's own ----
check_equal "sidestackd --version" "$("$BUILD/sidestackd" --version)" "sidestackd $("$sidestack" --version | cut -d ' ' -f 2)"
"$BUILD/sidestackd" --help >"$WORK/said"
for option in --config --takeover --address --max-memory; do grep -q -e "^  $option " "$WORK/said" || fail "--help has no $option"; done
if (unset XDG_RUNTIME_DIR; setpriv --reuid 65534 --clear-groups "$BUILD/sidestackd" --check --netif tap:x) 2>"$WORK/said"; then fail "--check"; fi
grep -q 'XDG_RUNTIME_DIR is not set' "$WORK/said" || fail "$(cat "$WORK/said")"
note "ok: sidestackd"
