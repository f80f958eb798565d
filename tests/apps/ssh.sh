#!/bin/bash
# sshd on the stack with ssh on the kernel, and the other way round: login by key, 100 MB through it both ways.
# time: 120
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

ssh_configuration
random_file "$WORK/large" 100000000
want=$(sha256 "$WORK/large")

# session ADDRESS PEER [COMMAND-PREFIX]: log in at ADDRESS; the server must see PEER
session() {
    local address=$1 peer=$2 large
    shift 2
    # shellcheck disable=SC2016 # for the other side
    check_equal "the client's address as the server sees it" \
        "$("$@" "${SSH[@]}" "$address" 'set -- $SSH_CONNECTION; echo $1 $3')" "$peer $address"
    check_equal "exit status" "$("$@" "${SSH[@]}" "$address" 'exit 7' || echo $?)" 7
    check_equal "100 MB from the server" "$("$@" "${SSH[@]}" "$address" "cat '$WORK/large'" | sha256)" "$want"
    check_equal "100 MB to the server" \
        "$("$@" "${SSH[@]}" "$address" 'sha256sum' <"$WORK/large" | cut -d ' ' -f 1)" "$want"
    large=$("$@" "${SSH[@]}" "$address" cat <"$WORK/large" | sha256)
    check_equal "100 MB there and back at once" "$large" "$want"
}

background sshd_on_stack on_stack /usr/sbin/sshd -D -e -f "$WORK/sshd_config" -o "ListenAddress=$STACK:2222"
server=$BACKGROUND_PID
wait_for_line sshd_on_stack 'Server listening'
session $STACK $WORLD
stop "$server"

background sshd_on_kernel /usr/sbin/sshd -D -e -f "$WORK/sshd_config" -o "ListenAddress=$WORLD:2222"
wait_for_line sshd_on_kernel 'Server listening'
session $WORLD $STACK on_stack
check_memory_below 65536
