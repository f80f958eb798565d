#!/bin/bash
# DTLS: openssl's s_server and s_client, each on the stack with the other on the kernel.
# time: 60
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$WORK/key" -out "$WORK/certificate" -subj /CN=example.test -days 2 \
    2>/dev/null

# talk NAME ADDRESS SERVER-PREFIX CLIENT-PREFIX: a line each way through a handshake with a certificate
talk() {
    local name=$1 address=$2 server=$3 client=$4
    mkfifo "$WORK/$name.to" "$WORK/$name.from"
    background "$name" "$server" bash -c "exec openssl s_server -dtls -accept '$address' -cert '$WORK/certificate' \
        -key '$WORK/key' -mtu 1400 <'$WORK/$name.from'"
    exec {answer}>"$WORK/$name.from"
    wait_for_line "$name" '^ACCEPT$'
    background "$name.client" "$client" bash -c "exec timeout 30 openssl s_client -dtls -connect '$address' -mtu 1400 \
        -CAfile '$WORK/certificate' -verify_return_error <'$WORK/$name.to'"
    exec {question}>"$WORK/$name.to"
    wait_for_line "$name.client" 'Verify return code: 0 (ok)'
    echo 'a question' >&$question
    wait_for_line "$name" '^a question$'
    echo 'an answer' >&$answer
    wait_for_line "$name.client" '^an answer$'
    echo Q >&$question
    exec {question}>&- {answer}>&-
    wait "${PID_OF[$name.client]}" || fail "$name: the client"
    stop "${PID_OF[$name]}"
    note "ok: $name"
}
talk client_on_stack $WORLD:4433 env on_stack
talk server_on_stack $STACK:4433 on_stack env
talk client_on_stack_6 "[$WORLD6]:4433" env on_stack
talk server_on_stack_6 "[$STACK6]:4433" on_stack env
