#!/bin/bash
# dig and drill against dnsmasq and unbound: clients on the stack and servers on the kernel, and the other way round.
# time: 90
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

long=$(printf 'x%.0s' {1..200})

# dnsmasq_on NAME ADDRESS ADDRESS6 [COMMAND-PREFIX]
dnsmasq_on() {
    local name=$1 address=$2 address6=$3 text options=()
    shift 3
    for text in {1..12}; do
        options+=(--txt-record="many.example.test,$text-$long")
    done
    background "$name" "$@" dnsmasq --no-daemon --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts \
        --log-queries --log-facility=- --listen-address="$address" --listen-address="$address6" --bind-interfaces \
        --address=/wild.example.test/192.0.2.99 --host-record=host.example.test,192.0.2.10,2001:db8::10 --edns-packet-max=4096 "${options[@]}"
    server=$BACKGROUND_PID
    wait_for_line "$name" 'started, version'
}

# unbound_on NAME ADDRESS ADDRESS6 FORWARDER [COMMAND-PREFIX]: one that asks another server for example.test
unbound_on() {
    local name=$1
    cat >"$WORK/unbound.conf" <<END
server:
    interface: $2
    interface: $3
    access-control: 0.0.0.0/0 allow
    access-control: ::/0 allow
    do-daemonize: no
    chroot: ""
    username: ""
    pidfile: ""
    directory: "$WORK"
    use-syslog: no
    logfile: ""
    verbosity: 1
    num-threads: 2
    module-config: "iterator"
    # Longer than anyone waits below: a datagram that is only late is not asked for again, and one that is lost shows.
    infra-cache-min-rtt: 90000
    unknown-server-time-limit: 90000
    local-zone: "test." nodefault
    local-zone: "local.test." static
    local-data: "one.local.test. A 192.0.2.77"
remote-control:
    control-enable: no
forward-zone:
    name: "example.test."
    forward-addr: $4
END
    shift 4
    background "$name" "$@" unbound -d -c "$WORK/unbound.conf"
    server=$BACKGROUND_PID
    wait_for_line "$name" 'start of service'
}

# ask ADDRESS [COMMAND-PREFIX]: each kind of question
ask() {
    local address=$1
    shift
    check_equal "dig, A, $address" "$("$@" dig +short +tries=1 +time=60 @"$address" host.example.test A)" 192.0.2.10
    check_equal "dig, AAAA, $address" "$("$@" dig +short +tries=1 +time=60 @"$address" host.example.test AAAA)" 2001:db8::10
    check_equal "dig, by TCP, $address" "$("$@" dig +short +tcp +tries=1 +time=60 @"$address" host.example.test A)" 192.0.2.10
    check_equal "dig, a long answer, $address" \
        "$("$@" dig +short +tries=1 +time=60 +bufsize=4096 +ignore @"$address" many.example.test TXT | grep -c "$long")" 12
    check_equal "dig, a truncated answer, then TCP, $address" \
        "$("$@" dig +short +tries=1 +time=60 +bufsize=512 @"$address" many.example.test TXT | grep -c "$long")" 12
    check_equal "drill, $address" "$("$@" drill @"$address" host.example.test A | grep -c 'IN.A.192.0.2.10')" 1
    check_equal "drill, from a port of one's own, $address" \
        "$("$@" drill -I "$own" @"$address" host.example.test A | grep -c 'IN.A.192.0.2.10')" 1
    check_equal "dig, 50 at once, $address" "$(for _ in {1..50}; do
        "$@" dig +short +tries=1 +time=60 @"$address" host.example.test A &
    done | grep -c 192.0.2.10)" 50
}

own=$STACK
dnsmasq_on dnsmasq_on_kernel $WORLD $WORLD6
ask $WORLD on_stack
own=$STACK6
ask $WORLD6 on_stack
check_equal "dig, nobody there" "$(on_stack dig +tries=1 +time=3 -p 5353 @$WORLD host.example.test >"$WORK/refused" ||
    grep -o 'connection refused' "$WORK/refused" | sort -u)" "connection refused"
unbound_on unbound_on_stack $STACK $STACK6 $WORLD on_stack
check_equal "unbound on the stack, its own data" "$(dig +short @$STACK one.local.test)" 192.0.2.77
check_equal "unbound on the stack, forwarded" "$(dig +short @$STACK host.example.test)" 192.0.2.10
check_equal "unbound on the stack, forwarded, IPv6" "$(dig +short @$STACK6 host.example.test AAAA)" 2001:db8::10
check_equal "unbound on the stack, forwarded, 50 at once" "$(for i in {1..50}; do
    dig +short +tries=1 +time=60 @$STACK "name$i.wild.example.test" &
done | grep -c 192.0.2.99)" 50
# Its own questions by TCP are left out: docs/differences.md, on MSG_FASTOPEN.
check_equal "unbound on the stack, by TCP" "$(dig +short +tcp @$STACK host.example.test)" 192.0.2.10
check_equal "unbound on the stack, asked from the stack" "$(on_stack dig +short @$STACK one.local.test)" 192.0.2.77
stop "$server"
stop "${PID_OF[dnsmasq_on_kernel]}"

own=$WORLD
dnsmasq_on dnsmasq_on_stack $STACK $STACK6 on_stack
ask $STACK
own=$WORLD6
ask $STACK6
check_memory_below 65536
