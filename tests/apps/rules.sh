#!/bin/bash
# Rules: programs whose sockets are on the stack or on the host's network, are rejected or swallowed; and others while they run.
# time: 120
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

# P has a network of the kernel's here, besides the stack: that is "the host" for programs.
HOST_WORLD=10.78.0.1
HOST=10.78.0.2

write_rules() {
    printf '%s\n' "$@" >"$WORK/rules.conf"
}

# reload_rules RULE...: put others in force.
reload_rules() {
    local before
    before=$(grep -c "reloaded $WORK/rules.conf" "$WORK/sidestackd.log" || true)
    write_rules "$@"
    kill -HUP "$DAEMON_PID"
    wait_until "the rules were not reloaded" has_lines "$WORK/sidestackd.log" "reloaded $WORK/rules.conf" $((before + 1))
}

# from_where URL: the address that nginx saw.
from_where() {
    on_stack curl -sS --max-time 20 "$1" | cut -d ' ' -f 1
}

write_rules "rule = host program=curl protocol=tcp role=connect address=10.78.0.0/24"
DAEMON_OPTIONS=(--config "$WORK/rules.conf")
lib_begin
[ "$MODE" = stack ] || exit 0
ip link add host-w type veth peer name host-p netns P
ip address add $HOST_WORLD/24 dev host-w
ip link set host-w up
ip -n P address add $HOST/24 dev host-p
ip -n P link set host-p up
ip -n P link set lo up
nginx_configuration $WORLD:80
sed -i "s/listen $WORLD:80;/listen $WORLD:80; listen $HOST_WORLD:80;/" "$WORK/nginx.conf"
background nginx nginx -c "$WORK/nginx.conf" -e stderr
wait_for_port $WORLD 80

# ---- stack and host, by address and by program ----

check_equal "curl to the stack's network" "$(from_where http://$WORLD/who)" $STACK
check_equal "curl to the host's network" "$(from_where http://$HOST_WORLD/who)" $HOST
check_equal "both in one process" "$(on_stack curl -sS http://$WORLD/who http://$HOST_WORLD/who http://$WORLD/who | xargs)" \
    "$STACK $HOST $STACK"
check_equal "another program stays on the stack" \
    "$(on_stack wget -q -O - http://$HOST_WORLD/who | xargs)" $STACK
reload_rules "rule = host program=$(command -v curl)"
check_equal "all of a program is on the host" "$(from_where http://$HOST_WORLD/who)" $HOST
check_equal "so it does not reach the stack's network" "$(on_stack curl -s http://$WORLD/who || echo $?)" 7

# ---- what sidestack rules says ----

reload_rules "rule = reject program=ssh error=ENETDOWN" "" "rule = host address=10.78.0.0/24 port=22-80" \
    "rule = blackhole program=curl protocol=udp" "rule = host user=nobody"
rules() {
    "$BUILD/sidestack" rules --socket "$WORK/control" "$@" | sed "s:$WORK/::"
}
on_stack curl -sS -o "$WORK/out" http://$HOST_WORLD/who
check_equal "the list" "$(rules)" "      hits  rule
         0  reject program=ssh error=ENETDOWN  (rules.conf:1)
         1  host address=10.78.0.0/24 port=22-80  (rules.conf:3)
         0  blackhole program=curl protocol=udp  (rules.conf:4)
         0  host user=nobody  (rules.conf:5)"
check_equal "the same as JSON" "$(rules --json | sed -n 2p)" \
    '{"index":1,"rule":"host address=10.78.0.0/24 port=22-80","file":"rules.conf","line":3,"hits":1}'
check_equal "test of a program" "$(rules test ssh connect 192.0.2.1:22)" "reject with ENETDOWN: rules.conf:1: reject program=ssh error=ENETDOWN
when: socket()"
check_equal "test of an address" "$(rules test wget connect $HOST_WORLD:80)" "host: rules.conf:3: host address=10.78.0.0/24 port=22-80
when: connect()"
check_equal "test of another" "$(rules test wget connect $HOST_WORLD:81)" "stack: no rule matches
when: connect()"
check_equal "test of a datagram" "$(rules test curl sendto '[fd00::1]:53')" "blackhole: rules.conf:4: blackhole program=curl protocol=udp
when: the first datagram to that address"
check_equal "test of a user" "$(rules test --user nobody wget listen 0.0.0.0:8080)" "host: rules.conf:5: host user=nobody
when: bind() to a port, else listen()"
check_equal "test of a socket" "$(rules test wget socket)" "depends on what the socket is used for: it is made on the stack, and may move"
check_equal "a mistake" "$("$BUILD/sidestack" rules test ssh connect 10.0.0 2>&1 || true)" \
    "sidestack rules: expected an address, as in 192.0.2.1:22 or [2001:db8::1]:22: 10.0.0"

# ---- a server on both ----

reload_rules "rule = host role=listen port=8080"
mkdir -p "$WORK/both"
sed "s/listen $WORLD:80; listen $HOST_WORLD:80;/listen 8080; listen 8081;/; s/nginx.pid/both.pid/; s:/body:/both-body:" \
    "$WORK/nginx.conf" >"$WORK/both.conf"
background both on_stack nginx -c "$WORK/both.conf" -e stderr
wait_for_port $STACK 8081
wait_for_port $HOST 8080
check_equal "nginx on the stack" "$(curl -sS http://$STACK:8081/who | xargs)" $WORLD
check_equal "nginx on the host" "$(curl -sS http://$HOST:8080/who | xargs)" $HOST_WORLD
check_equal "and on each there only" "$(curl -s --max-time 5 http://$STACK:8080/who || echo $?),$(curl -s --max-time 5 http://$HOST:8081/who || echo $?)" 7,7

# ---- reject ----

reload_rules "rule = reject program=ssh,scp error=ENETDOWN" "rule = reject address=$WORLD port=81 error=EPERM" \
    "rule = reject role=listen port=7000-7999"
check_equal "ssh is rejected" \
    "$(on_stack ssh -F none -o BatchMode=yes $WORLD true 2>&1 | grep -o 'Network is down' | head -n 1 || true)" "Network is down"
cat >"$WORK/errors.py" <<'END'
import errno, os, socket, sys
address = sys.argv[1]
def name(call):
    try:
        call()
        return "done"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
s = socket.socket()
print(name(lambda: s.connect((address, 81))), name(lambda: s.connect((address, 80))), end=" ")
s = socket.socket()
print(name(lambda: s.bind(("", 7500))), name(lambda: s.bind(("", 8500))), name(s.listen), end=" ")
u = socket.socket(type=socket.SOCK_DGRAM)
print(name(lambda: u.sendto(b"x", (address, 81))), name(lambda: u.sendto(b"x", (address, 82))))
END
check_equal "errors of connect, bind and sendto" "$(on_stack $PYTHON "$WORK/errors.py" $WORLD)" \
    "EPERM done EACCES done done EPERM done"

# ---- blackhole ----

reload_rules "rule = blackhole role=connect address=$WORLD port=80-81" "rule = blackhole role=listen port=9000"
check_equal "a connect that hangs" "$(on_stack curl -s --connect-timeout 1 http://$WORLD/ || echo $?)" 28
cat >"$WORK/holes.py" <<'END'
import os, select, socket, struct, sys, time
address = sys.argv[1]
s = socket.socket()
s.setblocking(False)
print(os.strerror(s.connect_ex((address, 80))), end=", ")
print(select.select([s], [s], [s], 0.3), end=", ")
print(os.strerror(s.connect_ex((address, 80))), "state", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0], end=", ")
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, 18, 1000)  # TCP_USER_TIMEOUT
start = time.monotonic()
print(os.strerror(s.connect_ex((address, 80))), 0.9 < time.monotonic() - start < 10)
u = socket.socket(type=socket.SOCK_DGRAM)
u.settimeout(0.3)
print(u.sendto(b"abc", (address, 80)), u.sendto(b"abc", (address, 80)), end=" ")
u.connect((address, 81))
print(u.send(b"abc"), os.write(u.fileno(), b"abc"), end=" ")
try:
    u.recv(10)
except TimeoutError:
    print("nothing", end=" ")
u.connect((address, 82))
u.send(b"abc")
try:
    u.recv(10)
except ConnectionRefusedError:
    print("refused")
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
    server = socket.socket(type=kind)
    server.bind(("", 9000))
    if kind == socket.SOCK_STREAM:
        server.listen()
    print("listening", flush=True)
    server.settimeout(3)
    try:
        server.accept() if kind == socket.SOCK_STREAM else server.recv(10)
        print("something came")
    except TimeoutError:
        print("nobody came")
END
background holes on_stack $PYTHON "$WORK/holes.py" $WORLD
HOLES=$BACKGROUND_PID
wait_for_line holes listening
check_equal "nobody answers a SYN" "$(curl -s --connect-timeout 1 http://$STACK:9000/ || echo $?)" 28
until [ "$(grep -c listening "$WORK/holes.log")" = 2 ]; do pause; done
printf x >"/dev/udp/$STACK/9000"
wait_for_exit "$HOLES" 30
check_equal "blackholes" "$(cat "$WORK/holes.log")" "Operation now in progress, ([], [], []), Operation already in progress state 2, Connection timed out True
3 3 3 3 nothing refused
listening
nobody came
listening
nobody came"

# ---- datagrams ----

background names_server $PYTHON "$TOP/tests/apps/names_server.py" $WORLD $WORLD6 $HOST_WORLD
wait_for_line names_server ready
reload_rules "rule = stack protocol=udp address=$WORLD" "rule = host protocol=udp role=connect port=53"
check_equal "dig on the stack" "$(on_stack dig +short +tries=1 @$WORLD one.test)" $WORLD
check_equal "dig on the host" "$(on_stack dig +short +tries=1 @$HOST_WORLD one.test)" $WORLD
cat >"$WORK/used.py" <<'END'
import errno, socket, sys
stack, host = sys.argv[1:]
s = socket.socket(type=socket.SOCK_DGRAM)
s.sendto(b"x", (stack, 9))
try:
    s.sendto(b"x", (host, 53))  # it is in use on the stack
except OSError as error:
    print(errno.errorcode[error.errno], end=" ")
s.sendto(b"x", (stack, 9))
s = socket.socket(type=socket.SOCK_DGRAM)
s.sendto(b"x", (host, 53))
s.connect((host, 99))  # no way back
print(s.getsockname()[0])
END
check_equal "a datagram socket is on one network" "$(on_stack $PYTHON "$WORK/used.py" $WORLD $HOST_WORLD)" "ENETUNREACH $HOST"

# ---- by user, also of a process that became another one ----

reload_rules "rule = host user=nobody"
cat >"$WORK/user.py" <<'END'
import os, socket, sys, urllib.request
def who(address):
    return urllib.request.urlopen(f"http://{address}/who", timeout=10).read().split()[0].decode()
before = who(sys.argv[1])
os.setuid(65534)
print(before, who(sys.argv[2]))
END
check_equal "a user" "$(on_stack $PYTHON "$WORK/user.py" $WORLD $HOST_WORLD)" "$STACK $HOST"

# ---- reload under load ----

cat >"$WORK/echo.py" <<'END'
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 128
server = Server(("0.0.0.0", 7), Echo)
print("ready", flush=True)
server.serve_forever()
END
background echo $PYTHON "$WORK/echo.py"
wait_for_line echo ready
cat >"$WORK/load.py" <<'END'
"""40 connections that go on through all reloads, half of them on each network, and new ones all the time."""
import os, socket, sys, threading
stack, host, stop = sys.argv[1:]
counts = [0] * 40
failures = []
def exchange(s, number):
    data = bytes([number]) * 1000
    s.sendall(data)
    got = b""
    while len(got) < 1000:
        part = s.recv(1000)
        if not part:
            raise OSError("end")
        got += part
    if got != data:
        raise OSError("other data")
def run(number):
    address = (host, 7) if number % 2 else (stack, 7)
    try:
        with socket.create_connection(address, 20) as s:
            while not os.path.exists(stop):
                exchange(s, number)
                counts[number] += 1
                if counts[number] % 20 == 0:
                    with socket.create_connection(address, 20) as other:
                        exchange(other, number)
                if counts[number] == 5 and all(count >= 5 for count in counts):
                    print("going", flush=True)
    except Exception as error:
        failures.append(f"{number}: {error!r}")
threads = [threading.Thread(target=run, args=(i,)) for i in range(40)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("failures:", *failures or ["none"], "slowest goes on:", min(counts) > 5)
END
reload_rules "rule = host address=$HOST_WORLD"
background load on_stack $PYTHON "$WORK/load.py" $WORLD $HOST_WORLD "$WORK/stop"
LOAD=$BACKGROUND_PID
wait_for_line load going
for i in {1..20}; do
    reload_rules "rule = blackhole address=192.0.2.$i" "rule = reject program=nothing port=$i" "rule = host address=$HOST_WORLD"
done
: >"$WORK/stop"
wait_for_exit "$LOAD" 30
check_equal "20 reloads under load" "$(tail -n 1 "$WORK/load.log")" "failures: none slowest goes on: True"

# Rules with a mistake change nothing.
write_rules "rule = host address=$HOST_WORLD" "rule = host port=0-65536"
kill -HUP "$DAEMON_PID"
wait_for_line sidestackd "rules.conf:2: rule: port: expected N or N-M"
check_equal "a mistake in the rules leaves those that are in force" "$(from_where http://$HOST_WORLD/who)" $HOST
