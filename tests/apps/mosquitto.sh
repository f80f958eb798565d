#!/bin/bash
# mosquitto, a message broker, on the stack with its clients on the kernel, and the other way round; the same on IPv6.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

count=50
random_file "$WORK/large" 4M
seq $count >"$WORK/numbers"

# serve NAME ADDRESS COMMAND-PREFIX
serve() {
    printf 'listener 1883 %s\nallow_anonymous true\nuser nobody\nlog_dest stderr\nmax_inflight_messages 0\n' "$2" \
        >"$WORK/mosquitto.conf"
    background "$1" "$3" mosquitto -c "$WORK/mosquitto.conf"
    server=$BACKGROUND_PID
    wait_for_port "$2" 1883
}

# exchange ADDRESS [COMMAND-PREFIX]: subscribers wait, publishers send; every message once (QoS 2), to each, in order
exchange() {
    local address=$1 i pids=()
    shift
    for i in 1 2 3; do
        background "subscriber$i" "$@" stdbuf -oL mosquitto_sub -h "$address" -t numbers -q 2 -C $count -d
        pids+=("$BACKGROUND_PID")
        wait_for_line "subscriber$i" 'Subscribed'
    done
    background subscriber_large "$@" mosquitto_sub -h "$address" -t large -q 1 -C 1 -N
    pids+=("$BACKGROUND_PID")
    # That one can't say when it is ready (its output is the message), so the message is kept by the broker.
    "$@" mosquitto_pub -h "$address" -t large -q 1 -r -f "$WORK/large" || fail "publishing a large message"
    "$@" mosquitto_pub -h "$address" -t numbers -q 2 -l <"$WORK/numbers" || fail "publishing"
    for i in "${pids[@]}"; do
        wait "$i" || fail "a subscriber failed"
    done
    for i in 1 2 3; do
        check_equal "messages of $address to subscriber $i" "$(grep -x '[0-9]*' "$WORK/subscriber$i.log" | sha256)" \
            "$(sha256 "$WORK/numbers")"
    done
    check_equal "a large message" "$(sha256 "$WORK/subscriber_large.log")" "$(sha256 "$WORK/large")"

    # The will of a client that dies goes to those who want to know.
    background heir "$@" stdbuf -oL mosquitto_sub -h "$address" -t will -C 1 -d
    heir=$BACKGROUND_PID
    wait_for_line heir 'Subscribed'
    background dying "$@" stdbuf -oL mosquitto_sub -h "$address" -t nothing -d --will-topic will --will-payload inherited
    dying=$BACKGROUND_PID
    wait_for_line dying 'Subscribed'
    kill -KILL "$dying"
    wait "$dying" 2>/dev/null || true
    wait "$heir" || fail "the heir failed"
    check_equal "a client's will" "$(grep -c -x inherited "$WORK/heir.log")" 1
}
serve server_on_stack $STACK on_stack
exchange $STACK
stop "$server"
serve server_on_kernel $WORLD env
exchange $WORLD on_stack
serve server_on_stack_6 $STACK6 on_stack
exchange $STACK6
stop "$server"
serve server_on_kernel_6 $WORLD6 env
exchange $WORLD6 on_stack
check_memory_below 65536
