#!/bin/bash
# UDP on the stack: socat and nc in both roles, iperf3 -u both ways, the longest datagrams, errors on the call itself.
# time: 90
# asan: both
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
lib_begin

# serve NAME ADDRESS [COMMAND-PREFIX]: what comes goes back
serve() {
    local name=$1 address=$2
    shift 2
    background "$name" "$@" socat -d -d -b 65507 "UDP4-RECVFROM:7000,bind=$address,fork" EXEC:cat
    server=$BACKGROUND_PID
    wait_for_line "$name" 'receiving on\|starting\|successfully'
}

# ask ADDRESS [COMMAND-PREFIX]: clients of it
ask() {
    local address=$1
    shift
    check_equal "socat and $address" "$(echo socat says | "$@" socat -t 5 -T 5 - "UDP4:$address:7000" | head -n 1)" \
        'socat says'
    check_equal "nc and $address" "$(echo nc says | "$@" nc -u -w 60 -W 1 "$address" 7000)" 'nc says'
}

serve echo_on_kernel $WORLD
ask $WORLD on_stack
stop "$server"
serve echo_on_stack $STACK on_stack
ask $STACK
stop "$server"

cat >"$WORK/client.py" <<'END'
import errno, socket, sys, threading

peer = sys.argv[1]

def fails(error, call, *arguments):
    try:
        call(*arguments)
    except OSError as e:
        assert e.errno == error, (e, errno.errorcode[error])
    else:
        assert False, "no " + errno.errorcode[error]

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(20)
    fails(errno.EDESTADDRREQ, s.send, b"x")
    fails(errno.EINVAL, s.sendto, b"x", (peer, 0))
    fails(errno.EMSGSIZE, s.sendto, bytes(65508), (peer, 7001))
    fails(errno.EACCES, s.sendto, b"x", ("10.77.0.255", 7001))
    for size in 0, 1, 1472, 1473, 9000, 65507:
        data = bytes(i * 7 & 255 for i in range(size))
        s.sendto(data, (peer, 7001))
        came, address = s.recvfrom(65536)
        assert came == data and address == (peer, 7001), (size, len(came), address)
    s.connect((peer, 7001))
    assert s.getpeername() == (peer, 7001)
    s.send(b"cut short")
    assert s.recv(3, socket.MSG_PEEK) == b"cut"
    data, _, flags, address = s.recvmsg(3)
    assert (data, flags, address) == (b"cut", socket.MSG_TRUNC, (peer, 7001)), (data, flags, address)
    for i in range(2000):
        s.send(b"%d" % i)
        assert s.recv(100) == b"%d" % i
    # A reader wakes up by shutdown().
    reader = threading.Thread(target=lambda: s.recv(1))
    s.settimeout(None)
    reader.start()
    s.shutdown(socket.SHUT_RDWR)
    reader.join(20)
    assert not reader.is_alive()
    fails(errno.EPIPE, s.send, b"x")
print("all right")
END
cat >"$WORK/server.py" <<'END'
import socket, sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind((sys.argv[1], 7001))
    print("ready", flush=True)
    while True:
        data, peer = s.recvfrom(65536)
        s.sendto(data, peer)
END
background python_on_kernel "$PYTHON" "$WORK/server.py" $WORLD
wait_for_line python_on_kernel ready
check_equal "a client of the kernel's" "$(on_stack "$PYTHON" "$WORK/client.py" $WORLD)" 'all right'
background python_on_stack on_stack "$PYTHON" "$WORK/server.py" 0.0.0.0
wait_for_line python_on_stack ready
check_equal "a client of the stack's" "$(on_stack "$PYTHON" "$WORK/client.py" 127.0.0.1)" 'all right'

# iperf3 counts what is lost on the way: nothing, unless the machine has no time for the server.
background iperf3 iperf3 -s -B $WORLD --forceflush
wait_for_line iperf3 'Server listening'
for direction in '' -R; do
    on_stack iperf3 -u -c $WORLD -b 20M -l 1400 -t 2 -J $direction >"$WORK/iperf3.json" || fail "iperf3 -u $direction"
    "$PYTHON" - "$WORK/iperf3.json" "$direction" <<'END' || fail "iperf3 -u $direction lost most"
import json, sys
total = json.load(open(sys.argv[1]))["end"]["sum"]
print("iperf3 -u %s: %.0f Mbit/s, %d of %d lost"
      % (sys.argv[2], total["bits_per_second"] / 1e6, total["lost_packets"], total["packets"]))
sys.exit(total["packets"] < 2000 or total["lost_percent"] > 50)
END
done
