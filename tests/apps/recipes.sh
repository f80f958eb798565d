#!/bin/bash
# docs/recipes.md, word by word, in a namespace where 10.1.0.1 is a machine with a web server, an sshd and something on its loopback.
# time: 120
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
[ "$MODE" = stack ] || exit 0
# shellcheck source=../docs.sh
. "$TOP/tests/docs.sh"
mkdir "$WORK/here" "$WORK/www" "$WORK/private"
cd "$WORK/here"
echo "the machine's web server" >"$WORK/www/index.html"
echo "the machine's loopback" >"$WORK/private/index.html"
echo "the stack's loopback" >index.html

# Its own shell's jobs are the reader's; curl says what it got, and from where the server saw it.
curl() {
    command curl -sS --max-time 30 "$@" | tee "$WORK/got"
}
check_got() {
    check_equal "$1" "$(cat "$WORK/got")" "$2"
}
# start_service WORDS: the block ends with a service in the background, whose messages are kept
start_service() {
    exec 4>&2 2>>"$WORK/service.log"
    do_block "$1"
    exec 2>&4 4>&-
    wait_for_service "${2:-}"
}

docs_open docs/recipes.md
do_block '# the wire'
start_service 'cat >side.conf'
background web $PYTHON -u -m http.server -d "$WORK/www" -b 10.1.0.1 80
background private $PYTHON -u -m http.server -d "$WORK/private" -b 127.0.0.1 3000
wait_for_port 10.1.0.1 80
wait_for_port 127.0.0.1 3000

# ---- SOCKS ----
do_block 'sidestack run -- microsocks'
wait_for_port 127.0.0.1 1080
do_block 'curl --proxy socks5h://127.0.0.1:1080'
check_got "through microsocks" "the machine's web server"
(
    do_block 'export ALL_PROXY'
    curl http://10.1.0.1/
)
check_got "by the environment" "the machine's web server"
do_block 'cat >danted.conf'
wait_for_port 127.0.0.1 1081
do_block 'curl --proxy socks5h://127.0.0.1:1081'
check_got "through Dante" "the machine's web server"
check_equal "whom the server saw" "$(awk '/"GET / { print $1 }' "$WORK/web.log" | sort | uniq -c | xargs)" "3 10.1.0.2"

# ---- forwards ----
do_block 'program=socat role=listen port=8080'
wait_for_reload "$WORK/service.log"
do_block 'TCP-LISTEN:8080'
wait_for_port 127.0.0.1 8080
wait_for_stack_port 8000
do_block 'curl http://127.0.0.1:8080/'
check_got "socat, into the stack" "the stack's loopback"
do_block 'program=socat role=connect port=3000'
wait_for_reload "$WORK/service.log"
do_block 'TCP-LISTEN:3000,bind'
wait_for_stack_port 3000
do_block 'curl http://127.0.0.1:3000/'
wait_for_line private '"GET / HTTP'
note "ok: socat, out of the stack"

ssh_configuration
sed -i "1i Port 22" "$WORK/sshd_config"
printf '%s\n' "IdentityFile $WORK/ssh/user" 'StrictHostKeyChecking no' 'UserKnownHostsFile /dev/null' 'LogLevel ERROR' >"$WORK/ssh_config"
mount --bind "$WORK/ssh_config" /etc/ssh/ssh_config
mount --bind "$WORK/sshd_config" /etc/ssh/sshd_config
do_block 'ListenAddress=10.1.0.2:22'
wait_for_stack_port 22
do_block 'ssh -N -L 8081'
wait_for_port 127.0.0.1 8081
do_block 'curl http://127.0.0.1:8081/'
check_got "ssh, into the stack" "the stack's loopback"
background sshd /usr/sbin/sshd -D -o ListenAddress=10.1.0.1:22
wait_for_port 10.1.0.1 22
do_block 'ssh -N -L 3001'
wait_for_stack_port 3001
do_block 'curl http://127.0.0.1:3001/'
wait_for_line private '"GET / HTTP.*'
check_equal "the machine's loopback was asked twice" "$(grep -c '"GET / ' "$WORK/private.log")" 2


# ---- a capture ----
do_block 'sidestack capture --program curl'
until [ -s curl.pcapng ]; do pause; done
do_block 'run -- curl http://10.1.0.1/'
capture=$(jobs -p %?capture)
do_block 'kill %?capture'
wait_for_exit "$capture" 10
do_block 'tcpdump -n -r curl.pcapng' >"$WORK/dump"
grep -q '10.1.0.2.[0-9]* > 10.1.0.1.80: Flags \[S\]' "$WORK/dump" || fail "no SYN: $(cat "$WORK/dump")"
check_equal "other programs' frames" "$(grep '^[0-9:.]* ' "$WORK/dump" | grep -v -c ' IP .*10\.1\.0\.1\.80' || true)" 0
start_service 'alone.pcap &' alone
background alone_web $PYTHON -u -m http.server -d "$WORK/www" -b 10.2.0.1 80
wait_for_port 10.2.0.1 80
alone=$(jobs -p %?alone.pcap)
do_block 'run --stack alone -- curl'
wait_for_exit "$alone" 10
do_block 'tcpdump -n -r alone.pcap' >"$WORK/dump"
grep -q 'ARP, Request who-has 10.2.0.1' "$WORK/dump" || fail "no ARP: $(cat "$WORK/dump")"
note "ok: all frames from the first one on"

# ---- two test suites at port 80, as a user ----
block 'with-stack COMMAND' >/dev/null
mkdir -m 755 /run/suite
install -m 755 "$(block 'with-stack COMMAND')" /run/suite/with-stack
cp "$BUILD/sidestackd" "$BUILD/sidestack" "$BUILD/libintercept.so" /run/suite
cat >/run/suite/Makefile <<'END'
test:
	@/usr/bin/python3 suite.py
END
cat >/run/suite/suite.py <<'END'
import os, socket, time
listener = socket.create_server(("", 80))
open(f"up.{os.getpid()}", "w").close()
deadline = time.monotonic() + 20
while len([name for name in os.listdir() if name.startswith("up.")]) < 2:  # until both have it
    assert time.monotonic() < deadline
    time.sleep(0.02)
client = socket.create_connection(("127.0.0.1", 80))
client.sendall(b"passed")
print(listener.accept()[0].recv(100).decode())
END
chmod 1777 /run/suite
cat "$(block './with-stack make test &')"
check_equal "two suites at once" "$(cd /run/suite && setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
    env PATH="/run/suite:$PATH" TMPDIR=/tmp HOME=/ MAKEFLAGS= bash -c "$(cat "$(block './with-stack make test &')")" 2>&1 | grep -v '^make' | xargs)" "passed passed"
rm /run/suite/up.*
sed -i 's|vde:slirp:// --dhcp|vde:null://|; s/make test/"$@"/' /run/suite/with-stack
check_equal "a suite without a way out" "$(env -C /run/suite PATH="/run/suite:$PATH" ./with-stack curl -sS http://10.1.0.1/ 2>&1 | cut -d ' ' -f 1-8 || true)" \
    "curl: (7) Failed to connect to 10.1.0.1 port"

# ---- overlays, between two machines: namespaces with a /run of their own on one wire ----
ip link add wire type bridge mcast_snooping 0
ip link set wire up
for n in 1 2; do
    ip netns add m$n
    ip link add to-m$n type veth peer name eth0 netns m$n
    ip link set to-m$n master wire up
    ip -n m$n address add 192.168.90.$n/24 dev eth0
    ip -n m$n link set eth0 up
    ip -n m$n link set lo up
    ip -n m$n route add 239.0.0.0/8 dev eth0
    background m$n nsenter --net=/run/netns/m$n unshare --mount bash -c 'mount -t tmpfs tmpfs /run; echo ready; exec tail -f /dev/null'
    wait_for_line m$n ready
done
# on MACHINE COMMAND...
on() {
    nsenter -t "${PID_OF[$1]}" --mount --root --net -- "${@:2}"
}
# do_on MACHINE WORDS [SED]: the block, with that changed in it; what it leaves running goes on
do_on() {
    local file
    file=$(block "$2")
    note "---- $DOCS_PAGE, on $1:"
    sed "${3:-}" "$file" | tee "$WORK/step"
    : >"$WORK/$1.log"
    on "$1" bash -e "$WORK/step" >>"$WORK/$1.log" 2>&1
}
# stack_on MACHINE NAME WORDS [SED]: the block starts a service
stack_on() {
    do_on "$1" "$3" "${4:-}"
    wait_for_line "$1" "service $2 at"
}
# stop_stack MACHINE NAME
stop_stack() {
    local pid
    pid=$(on "$1" sidestack list --json | jq "select(.name == \"$2\").pid")
    on "$1" kill "$pid"
    wait_for_exit "$pid" 10
    on "$1" ip link del side0
}
# between NAME: a server on m2's stack, m1's client gets 4 MB from it
between() {
    background "server-$1" nsenter -t "${PID_OF[m2]}" --mount --root --net -- sidestack run --stack "$1" -- $PYTHON -u -m http.server -d "$WORK/www" 8000
    wait_for_line "server-$1" 'Serving HTTP'
    check_equal "$1: 4 MB" "$(on m1 sidestack run --stack "$1" -- curl -sS --max-time 30 http://10.90.0.2:8000/large | sha256)" \
        "$(sha256 "$WORK/www/large")"
    stop "${PID_OF[server-$1]}"
}
random_file "$WORK/www/large" 4M
vxlan='vxlan id 42 group'
stack_on m1 default "$vxlan"
stack_on m2 default "$vxlan" 's/10.90.0.1/10.90.0.2/'
do_on m1 'sidestack ping -c 3 10.90.0.2'
between default
stop_stack m1 default
stop_stack m2 default
for n in 1 2; do
    on m$n ip link del vx0
    on m$n ip link del br0
done

# WireGuard, by the kernel if it has it, else by wireguard-go.
for n in 1 2; do
    on m$n ip link add wg0 type wireguard 2>/dev/null || on m$n wireguard-go wg0 >"$WORK/wireguard-$n.log" 2>&1
    (umask 077 && wg genkey >"$WORK/key$n")
done
for n in 1 2; do
    on m$n wg set wg0 private-key "$WORK/key$n" listen-port 51820 peer "$(wg pubkey <"$WORK/key$((3 - n))")" \
        allowed-ips 10.9.0.$((3 - n))/32 endpoint 192.168.90.$((3 - n)):51820
    on m$n ip address add 10.9.0.$n/24 dev wg0
    on m$n ip link set wg0 up
done
stack_on m1 default 'sysctl -q net.ipv4.ip_forward=1'
KEY=$(wg pubkey <"$WORK/key1")
export KEY
do_on m2 'wg set wg0 peer'
do_on m2 'ping -c 3 10.1.0.2'
note "ok: routed over WireGuard"
overlay='type vxlan id 42 local'
stack_on m1 overlay "$overlay"
stack_on m2 overlay "$overlay" 's/10.9.0.1 remote 10.9.0.2/10.9.0.2 remote 10.9.0.1/; s/10.90.0.1/10.90.0.2/'
do_on m1 'sidestack ping --stack overlay'
between overlay

docs_done
