#!/bin/bash
# tftp: files both ways by datagrams, the server on the stack and the client on the kernel, and the other way round.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

mkdir -m 777 "$WORK/served"
chmod 755 "$WORK"
random_file "$WORK/served/down" 300000
random_file "$WORK/up" 200001

# exchange NAME ADDRESS BLOCK [COMMAND-PREFIX]
exchange() {
    local name=$1 address=$2 block=$3
    shift 3
    (cd "$WORK" && "$@" timeout 20 tftp -m binary "$address" -c get down >"$name.tftp.log" 2>&1) || fail "$name: get"
    check_equal "$name, a file from the server" "$(sha256 "$WORK/down")" "$(sha256 "$WORK/served/down")"
    (cd "$WORK" && "$@" timeout 20 tftp -m binary "$address" -c put up >"$name.tftp.log" 2>&1) || fail "$name: put"
    check_equal "$name, a file to the server" "$(sha256 "$WORK/served/up")" "$(sha256 "$WORK/up")"
    check_equal "$name, a missing file" "$(cd "$WORK" && "$@" timeout 20 tftp -m binary "$address" -c get missing 2>&1 |
        grep -o 'File not found')" "File not found"
    # curl asks for larger blocks: fragments.
    check_equal "$name, with blocks of $block bytes" \
        "$("$@" curl -sS --tftp-blksize "$block" "tftp://$address/down" | sha256)" "$(sha256 "$WORK/served/down")"
    rm -f "$WORK/down" "$WORK/served/up"
}

background server_on_kernel in.tftpd --listen --foreground --verbose --create --user root --address $WORLD:69 \
    --secure "$WORK/served"
wait_for_udp $WORLD 69
exchange "client on the stack" $WORLD 1400 on_stack
exchange "client on the stack" $WORLD 8000 on_stack
background server_on_stack on_stack in.tftpd --listen --foreground --verbose --create --user root --address $STACK:69 \
    --secure "$WORK/served"
wait_for_udp $STACK 69
exchange "server on the stack" $STACK 1400
exchange "server on the stack" $STACK 8000
