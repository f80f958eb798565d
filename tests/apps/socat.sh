#!/bin/bash
# socat and nc on the stack: both roles, half close both ways, programs behind a socket.
# time: 60
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

random_file "$WORK/data" 20000000
want=$(sha256 "$WORK/data")
# A server that says nothing until it has read everything, and then how much that was: it needs the half close.
counter=EXEC:sha256sum

# half_close ADDRESS [COMMAND-PREFIX]: clients of a counter at ADDRESS
half_close() {
    local address=$1
    shift
    check_equal "nc -N to $address" "$("$@" nc -N "$address" 7000 <"$WORK/data")" "$want  -"
    check_equal "socat to $address" "$("$@" socat -t 20 - "TCP4:$address:7000" <"$WORK/data")" "$want  -"
}
background counter_on_stack on_stack socat -d -d -t 20 "TCP4-LISTEN:7000,bind=$STACK,reuseaddr,fork" "$counter"
server=$BACKGROUND_PID
wait_for_line counter_on_stack 'listening on'
half_close $STACK
stop "$server"
background counter_on_kernel socat -d -d -t 20 "TCP4-LISTEN:7000,bind=$WORLD,reuseaddr,fork" "$counter"
wait_for_line counter_on_kernel 'listening on'
half_close $WORLD on_stack

# The server ends first, the client has more to say: the answer comes at once, what the client sends still arrives.
cat >"$WORK/early_end.py" <<'END'
import hashlib, socket, sys
listener = socket.create_server((sys.argv[1], 7001))
print("listening", flush=True)
connection, _ = listener.accept()
connection.sendall(b"early\n")
connection.shutdown(socket.SHUT_WR)
digest = hashlib.sha256()
while piece := connection.recv(65536):
    digest.update(piece)
print(digest.hexdigest())
END
background early_end on_stack $PYTHON "$WORK/early_end.py" $STACK
server=$BACKGROUND_PID
wait_for_line early_end listening
check_equal "the server's half close" "$(socat -t 20 - TCP4:$STACK:7001 <"$WORK/data")" early
wait "$server" || fail "the server failed"
check_equal "data after the server's half close" "$(tail -n 1 "$WORK/early_end.log")" "$want"

# nc as a server, one connection.
background listen_on_stack on_stack nc -v -n -N -l $STACK 7002
server=$BACKGROUND_PID
wait_for_line listen_on_stack 'Listening on'
echo hello | nc -N $STACK 7002
wait "$server" || fail "nc -l failed"
check_equal "nc -l got" "$(tail -n 1 "$WORK/listen_on_stack.log")" hello
check_equal "nc -z, open" "$(on_stack nc -n -z $WORLD 7000 && echo open)" open
check_equal "nc -z, closed" "$(on_stack nc -n -z $WORLD 7009 || echo closed)" closed

# A program whose standard input and output are the socket itself.
background cat_on_stack on_stack socat -d -d "TCP4-LISTEN:7003,bind=$STACK,reuseaddr,fork" EXEC:cat,nofork
server=$BACKGROUND_PID
wait_for_line cat_on_stack 'listening on'
check_equal "cat on a socket" "$(socat -t 20 - TCP4:$STACK:7003 <"$WORK/data" | sha256)" "$want"
check_equal "ten cats at once" "$(for _ in {1..10}; do
    socat -t 20 - TCP4:$STACK:7003 <"$WORK/data" | sha256 &
done | grep -c "$want")" 10
stop "$server"
# shellcheck disable=SC2016 # for the other bash
check_equal "bash's /dev/tcp" \
    "$(on_stack bash -c 'exec 3<>/dev/tcp/$1/7000 && cat "$2" >&3 && exec $3 -c "
import socket; s = socket.socket(fileno=3); s.shutdown(socket.SHUT_WR); print(s.recv(64).decode())"' \
        bash $WORLD "$WORK/data" $PYTHON | cut -c 1-64)" "$want"
check_memory_below 131072
