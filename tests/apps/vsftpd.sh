#!/bin/bash
# vsftpd on the stack: processes in roots and under identities of their own, one of which opens the data connections and
# passes them to another; curl as its client, which makes data connections or accepts them. Then the roles change.
# time: 60
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

files=/run/files
mkdir -m 755 $files
mkdir -m 777 $files/up
random_file $files/large 20M
echo hello >$files/small
chmod 644 $files/large $files/small
want=$(sha256 $files/large)
mkdir -p /run/vsftpd/empty

# serve NAME ADDRESS COMMAND-PREFIX
serve() {
    cat >"$WORK/$1.conf" <<END
listen=YES
listen_address=$2
background=NO
anonymous_enable=YES
local_enable=NO
anon_root=$files
write_enable=YES
anon_upload_enable=YES
anon_umask=022
no_anon_password=YES
connect_from_port_20=YES
port_enable=YES
pasv_enable=YES
secure_chroot_dir=/run/vsftpd/empty
seccomp_sandbox=NO
xferlog_enable=NO
END
    background "$1" "$3" vsftpd "$WORK/$1.conf"
    server=$BACKGROUND_PID
    wait_for_port "$2" 21
}

# transfer ADDRESS CLIENT [COMMAND-PREFIX]
transfer() {
    local address=$1 client=$2 way
    shift 2
    for way in --disable-epsv "--ftp-port $client --disable-eprt"; do
        # shellcheck disable=SC2086 # options
        check_equal "small from $address, $way" "$("$@" curl -sS $way "ftp://$address/small")" hello
        # shellcheck disable=SC2086 # options
        check_equal "large from $address, $way" "$("$@" curl -sS $way "ftp://$address/large" | sha256)" "$want"
        # shellcheck disable=SC2086 # options
        "$@" curl -sS $way -T $files/large "ftp://$address/up/copy" || fail "curl -T"
        check_equal "large to $address, $way" "$(sha256 $files/up/copy)" "$want"
        rm $files/up/copy
        # shellcheck disable=SC2086 # options
        check_equal "10 at once, $way" "$(for _ in {1..10}; do
            "$@" curl -sS $way "ftp://$address/large" | sha256 &
        done | grep -c "$want")" 10
    done
    check_equal "a list" "$("$@" curl -sS -l "ftp://$address/" | sort | tr '\n' ' ')" "large small up "
}
serve server_on_stack $STACK on_stack
transfer $STACK $WORLD
stop "$server"
serve server_on_kernel $WORLD env
transfer $WORLD $STACK on_stack
stop "$server"
check_memory_below 131072
