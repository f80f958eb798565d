#!/bin/bash
# What else OpenSSH does with sockets: forwarded ports both ways, SOCKS, a shared connection (whose clients hand over their
# descriptors), sftp, scp; once with sshd on the stack and once with ssh there.
# time: 90
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

mkdir -p /run/sshd "$WORK/ssh" "$WORK/www"
chmod 700 "$WORK/ssh"
ssh-keygen -q -t ed25519 -N '' -f "$WORK/ssh/host"
ssh-keygen -q -t ed25519 -N '' -f "$WORK/ssh/user"
cp "$WORK/ssh/user.pub" "$WORK/ssh/authorized_keys"
random_file "$WORK/www/large" 10M
want=$(sha256 "$WORK/www/large")
cat >"$WORK/sshd_config" <<END
HostKey $WORK/ssh/host
AuthorizedKeysFile $WORK/ssh/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
GatewayPorts clientspecified
Subsystem sftp internal-sftp
LogLevel VERBOSE
END
options=(-F none -i "$WORK/ssh/user" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR
    -o BatchMode=yes -o IdentitiesOnly=yes -o User=root -o ExitOnForwardFailure=yes -o ControlPath="$WORK/ssh/shared")

background world $PYTHON -u -m http.server -d "$WORK/www" -b $WORLD 8000
wait_for_line world 'Serving HTTP'
background stack on_stack $PYTHON -u -m http.server -d "$WORK/www" -b $STACK 8000
wait_for_line stack 'Serving HTTP'

# How many transfers at once through each forwarding; more of them fill the loopback's queue (SIDESTACK_TEST_AT_ONCE=30).
at_once=${SIDESTACK_TEST_AT_ONCE:-10}

# session SERVER CLIENT SERVER-SIDE CLIENT-SIDE: addresses, and how programs start there (on_stack or env)
session() {
    local server=$1 client=$2 server_side=$3 client_side=$4 sshd master
    background "sshd_$3" "$server_side" /usr/sbin/sshd -D -e -f "$WORK/sshd_config" -o "ListenAddress=$server:2222"
    sshd=$BACKGROUND_PID
    wait_for_line "sshd_$3" 'Server listening'
    # The master forwards: a port of its own side to the server's web server, a port of the server's side to the client's.
    background "master_$4" "$client_side" ssh "${options[@]}" -M -N -p 2222 -L "$client:7001:$server:8000" \
        -R "$server:7002:$client:8000" -D "$client:7003" "$server"
    master=$BACKGROUND_PID
    until ssh "${options[@]}" -O check "$server" 2>/dev/null; do
        kill -0 "$master" || fail "ssh ended"
    done
    check_equal "local forwarding" "$("$client_side" curl -sS "http://$client:7001/large" | sha256)" "$want"
    check_equal "remote forwarding" "$("$server_side" curl -sS "http://$server:7002/large" | sha256)" "$want"
    check_equal "SOCKS" \
        "$("$client_side" curl -sS --socks5 "$client:7003" "http://$server:8000/large" | sha256)" "$want"
    check_equal "$at_once at once through each" "$(for ((i = 0; i < at_once; i++)); do
        "$client_side" curl -sS "http://$client:7001/large" | sha256 &
        "$server_side" curl -sS "http://$server:7002/large" | sha256 &
    done | grep -c "$want")" $((2 * at_once))
    check_equal "a shared connection" "$("$client_side" ssh "${options[@]}" -p 2222 "$server" cat <"$WORK/www/large" | sha256)" "$want"
    "$client_side" scp -q "${options[@]}" -P 2222 "$WORK/www/large" "$server:$WORK/by_scp" || fail "scp"
    check_equal "scp over it" "$(sha256 "$WORK/by_scp")" "$want"
    echo "get $WORK/www/large $WORK/by_sftp" |
        "$client_side" sftp -q "${options[@]}" -o ControlPath=none -P 2222 -b - "$server" >"$WORK/sftp.log" || fail "sftp"
    check_equal "sftp without it" "$(sha256 "$WORK/by_sftp")" "$want"
    rm "$WORK/by_scp" "$WORK/by_sftp"
    stop "$master"
    stop "$sshd"
}
session $STACK $WORLD on_stack env
session $WORLD $STACK env on_stack
check_memory_below 262144
