#!/bin/bash
# Both ends on the stack: redis with a replica and its benchmark, a thousand connections, TLS, on 127.0.0.1, on another address
# of 127/8 and on the stack's own address. Nothing of it goes over the wire.
# time: 90
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
ulimit -S -n "$(ulimit -H -n)"
lib_begin

frames() {
    if [ "$MODE" = kernel ]; then
        echo 0
    else
        ip -s -j link show stack0 | sed 's/.*"rx":{[^}]*"packets":\([0-9]*\).*/\1/'
    fi
}
# wait_on_stack COMMAND...: until it succeeds; each try takes its time
succeeds_on_stack() {
    on_stack "$@" >/dev/null 2>&1
}
wait_on_stack() {
    wait_until "never succeeded: $*" succeeds_on_stack "$@"
}
frames_before=$(frames)

options=(--save '' --appendonly no --protected-mode no --dir "$WORK" --repl-diskless-sync yes --repl-diskless-sync-delay 0)
background primary on_stack redis-server "${options[@]}" --bind 127.0.0.1 --port 6379
wait_on_stack redis-cli ping
random_file "$WORK/value" 8000000
check_equal "a large value" "$(on_stack redis-cli -x set large <"$WORK/value")" OK
background replica on_stack redis-server "${options[@]}" --bind $STACK --port 6380 --replicaof 127.0.0.1 6379
wait_on_stack bash -c "redis-cli -h $STACK -p 6380 info replication | grep master_link_status:up"
output=$(on_stack redis-benchmark -h 127.0.0.1 -n 2000 -c 50 -t set,get,lrange_600,mset --csv 2>&1) || fail "redis-benchmark"
check_equal "redis-benchmark, commands done" "$(grep -c '^"[A-Z].*","[0-9.]*"' <<<"$output")" 5
check_equal "two written to the primary, waited for" "$(printf 'set last word\nwait 1 10000\n' | on_stack redis-cli)" $'OK\n1'
check_equal "the last word at the replica" "$(on_stack redis-cli -h $STACK -p 6380 get last)" word
check_equal "the large value at the replica" \
    "$(on_stack redis-cli -h $STACK -p 6380 --raw get large | head -c 8000000 | sha256)" "$(sha256 "$WORK/value")"

background echo on_stack $PYTHON "$TOP/tests/apps/many.py" serve 127.1.2.3 7000
wait_for_line echo listening
check_equal "a thousand connections, on another of the loopback's addresses" \
    "$(on_stack $PYTHON "$TOP/tests/apps/many.py" connect 127.1.2.3 7000 1000)" "1000 of 1000 connections echoed"

# 30 MB in the records of TLS.
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$WORK/key.pem" -out "$WORK/cert.pem" -subj /CN=stack 2>/dev/null
random_file "$WORK/large" 30M
background tls on_stack env -C "$WORK" openssl s_server -quiet -WWW -accept $STACK:8443 -key "$WORK/key.pem" -cert "$WORK/cert.pem"
wait_on_stack curl -sS -k "https://$STACK:8443/cert.pem"
check_equal "TLS" "$(on_stack curl -sS -k "https://$STACK:8443/large" | sha256)" "$(sha256 "$WORK/large")"
# The stack may still have told the routers which groups it listens to.
check_equal "frames on the wire meanwhile" "$([ "$(frames)" -le $((frames_before + 4)) ] && echo few)" few
check_memory_below 131072
