#!/bin/bash
# xinetd on the stack hands its connections over as descriptors 0, 1 and 2: to sshd -i, to cat, to a program that serves the
# listening socket itself.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

ssh_configuration
random_file "$WORK/large" 20000000
want=$(sha256 "$WORK/large")
# What a service with "wait = yes" does: descriptor 0 is the listening socket; serve what comes until told to end.
cat >"$WORK/wait.py" <<'END'
import socket
listener = socket.socket(fileno=0)
last = False
while not last:
    connection, peer = listener.accept()
    line = connection.makefile().readline()
    last = line == "last\n"
    connection.sendall(f"{peer[0]} {line}".encode())
    connection.close()
END
service() {
    cat <<END
service $1
{
    type = UNLISTED
    socket_type = stream
    protocol = tcp
    bind = $STACK
    port = $2
    user = root
    wait = $3
    server = $4
    server_args = $5
    instances = 60
}
END
}
# xinetd gives its services only the environment that it is told to give.
{
    printf 'defaults\n{\nlog_type = FILE %s\ncps = 1000 1\npassenv = LD_PRELOAD SIDESTACK_SOCKET ASAN_OPTIONS UBSAN_OPTIONS\n}\n' \
        "$WORK/xinetd-services.log"
    service ssh 2222 no /usr/sbin/sshd "-i -e -f $WORK/sshd_config -E $WORK/sshd.log"
    service copy 7000 no /bin/cat -
    service waits 7001 yes $PYTHON "$WORK/wait.py"
} >"$WORK/xinetd.conf"

background xinetd on_stack xinetd -dontfork -f "$WORK/xinetd.conf" -pidfile "$WORK/xinetd.pid" -filelog "$WORK/xinetd-itself.log"
xinetd=$BACKGROUND_PID
wait_for_port $STACK 7000

# shellcheck disable=SC2016 # for the other side
check_equal "sshd -i, addresses" "$("${SSH[@]}" $STACK 'set -- $SSH_CONNECTION; echo $1 $3')" "$WORLD $STACK"
check_equal "sshd -i, exit status" "$("${SSH[@]}" $STACK 'exit 7' || echo $?)" 7
check_equal "sshd -i, 20 MB there and back" "$("${SSH[@]}" $STACK cat <"$WORK/large" | sha256)" "$want"
check_equal "sshd -i, five logins at once" "$(for _ in {1..5}; do
    "${SSH[@]}" $STACK echo in &
done | grep -c in)" 5

check_equal "cat, 20 MB there and back" "$(socat -t 20 - TCP4:$STACK:7000 <"$WORK/large" | sha256)" "$want"
check_equal "cat, 40 at once" "$(for _ in {1..40}; do
    echo hello | socat -t 20 - TCP4:$STACK:7000 &
done | grep -c hello)" 40

# The listening socket goes to the program and, when that ends, is xinetd's again.
for word in first second last; do
    check_equal "a program that waits, $word" "$(echo $word | socat -t 20 - TCP4:$STACK:7001)" "$WORLD $word"
done
check_equal "a program that waits, once more" "$(echo last | socat -t 20 - TCP4:$STACK:7001)" "$WORLD last"
stop "$xinetd"
check_equal "refused when xinetd is gone" "$(curl -s http://$STACK:7000/ || echo $?)" 7
check_memory_below 65536
