#!/bin/bash
# Socket activation: systemd-socket-activate listens on the stack and hands the socket over as descriptor 3 (LISTEN_FDS),
# or each connection, to programs with the library and to one without it.
# time: 60
# asan: service
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

random_file "$WORK/data" 5M
want=$(sha256 "$WORK/data")
cat >"$WORK/program.py" <<'END'
import http.server, os, socket, sys
assert os.environ["LISTEN_FDS"] == "1" and int(os.environ["LISTEN_PID"]) == os.getpid()
os.chdir(sys.argv[1])
listener = socket.socket(fileno=3)
assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
server = http.server.ThreadingHTTPServer(listener.getsockname(), http.server.SimpleHTTPRequestHandler, False)
server.socket.close()
server.socket = listener
server.serve_forever()
END
activate=(systemd-socket-activate -E SIDESTACK_SOCKET -E LD_PRELOAD -E ASAN_OPTIONS -E UBSAN_OPTIONS)

# The first connection starts the program, which then serves the socket.
background server on_stack "${activate[@]}" -l $STACK:8000 $PYTHON "$WORK/program.py" "$WORK"
server=$BACKGROUND_PID
wait_for_line server 'Listening on'
check_equal "the first connection, which starts the server" "$(curl -sS http://$STACK:8000/data | sha256)" "$want"
check_equal "20 more at once" "$(for _ in {1..20}; do
    curl -sS http://$STACK:8000/data | sha256 &
done | grep -c "$want")" 20
stop "$server"

# A process for each connection, which is its standard input and output; with the library, and without.
background each on_stack "${activate[@]}" -l $STACK:8001 --accept --inetd $PYTHON -c '
import socket
connection = socket.socket(fileno=0)
print(connection.getsockname()[0], connection.getpeername()[0])'
server=$BACKGROUND_PID
wait_for_line each 'Listening on'
check_equal "a process for each connection" \
    "$(for _ in 1 2 3; do socat -t 20 - TCP4:$STACK:8001 </dev/null; done)" \
    "$(for _ in 1 2 3; do echo "$STACK $WORLD"; done)"
stop "$server"
background bare on_stack "${activate[@]}" -l $STACK:8002 --accept --inetd env -u LD_PRELOAD cat
server=$BACKGROUND_PID
wait_for_line bare 'Listening on'
check_equal "a program without the library" "$(socat -t 20 - TCP4:$STACK:8002 <"$WORK/data" | sha256)" "$want"
stop "$server"
check_memory_below 65536
