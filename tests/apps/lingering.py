"""lingering.py - a user passes descriptors to the service that are the last of a socket of the kernel's with SO_LINGER on and bytes that its peer
doesn't read: whoever closes it waits, up to the time that its maker set.

Usage: lingering.py CONTROL PID VERSION USER VICTIM_COMMAND...

They come where descriptors are expected and where none are: read with what they came with, or unread when the service closes that. After each way
another user must be answered soon. The service is stopped (SIGSTOP) meanwhile, so that it is the last to have each.
"""
import array, os, re, signal, socket, struct, subprocess, sys, threading, time

CONTROL, SERVICE, VERSION, USER, VICTIM = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
MAGIC = 0x7373746B
LINGER_S = 3600
ROW = 20      # one after the other, in the end
LIMIT = 20    # seconds after which what doesn't answer hangs
SOCKET, BIND, LISTEN, CONNECT, STATUS = 1, 2, 3, 4, 10


class Lingering:
    """Makes sockets that linger."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # soon full
        self.peers = []

    def make(self):
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made.connect(self.listener.getsockname())
        self.peers.append(self.listener.accept()[0])
        made.setblocking(False)
        try:
            while True:
                made.send(bytes(65536))
        except BlockingIOError:
            pass
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_S))
        return made.detach()


def connect():
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.settimeout(LIMIT)
    control.connect(CONTROL)
    return control


def message(operation, args=(), flags=0, address=bytes(32)):
    return struct.pack("<IHHiI4i", MAGIC, VERSION, operation, 0, flags, *(list(args) + [0] * 4)[:4]) + address + bytes(4 + 256)


def give(end, data, fds):
    """Pass descriptors, and be without them."""
    end.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    for fd in fds:
        os.close(fd)


def ask(control, data, end):
    """Return: the result."""
    control.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [end.fileno()]))])
    return struct.unpack_from("<i", control.recv(70000), 8)[0]


def make(kind):
    control = connect()
    control.send(message(SOCKET, [socket.AF_INET, kind]))
    _, fds, _, _ = socket.recv_fds(control, 70000, 8)
    return control, socket.socket(fileno=fds[0])


# ---- ways: each prepares, and returns what is to be done while the service is stopped ----

def with_a_request(lingering):
    control = connect()
    return lambda: give(control, message(STATUS), [lingering.make()])


def with_a_request_that_takes_none(lingering):
    control = connect()
    return lambda: give(control, message(SOCKET, [2, 1]), [lingering.make()])


def too_many_with_a_request(lingering):
    control = connect()
    return lambda: give(control, message(STATUS), [lingering.make() for _ in range(40)])


def unread_requests(lingering):
    control = connect()

    def act():
        control.send(b"no request")
        give(control, message(STATUS), [lingering.make()])
    return act


def before_it_is_accepted(lingering):
    def act():
        control = connect()
        control.send(b"no request")
        give(control, message(STATUS), [lingering.make()])
        control.close()
    return act


def in_a_datagram(lingering):
    kept.append(make(socket.SOCK_DGRAM))
    return lambda: give(kept[-1][1], b"x", [lingering.make()])


def a_hundred_at_once(lingering):
    many = [make(socket.SOCK_DGRAM) for _ in range(100)]
    kept.extend(many)

    def act():
        for _, pair in many:
            give(pair, b"x", [lingering.make()])
    return act


def in_a_new_stream(lingering):
    """Which is not connected: the service does not read it, and closes it when the program does."""
    control, pair = make(socket.SOCK_STREAM)
    kept.append(control)
    pair.setblocking(False)
    pair.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # it is full, but for who does that

    def act():
        give(pair, b"x", [lingering.make()])
        pair.close()
    return act


def in_a_connected_stream(lingering):
    """Read with the bytes, to the stack's own loopback."""
    control, listener = make(socket.SOCK_STREAM)
    here = struct.pack("<I", 16) + struct.pack("<H", socket.AF_INET) + struct.pack(">H", 7777) + socket.inet_aton("127.0.0.1") + bytes(20)
    assert ask(control, message(BIND, address=here), listener) == 0
    assert ask(control, message(LISTEN, [5]), listener) == 0
    _, stream = make(socket.SOCK_STREAM)
    assert ask(control, message(CONNECT, flags=1, address=here), stream) == 0
    kept.extend((control, listener, stream))
    return lambda: give(stream, b"bytes", [lingering.make()])


def by_the_name_of_pairs(lingering):
    with open("/proc/net/unix") as table:
        names = sorted(set(re.findall(r"@(sidestack/\S+)", table.read())))
    assert names, "no names"

    def act():
        for name in names:
            for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                with socket.socket(socket.AF_UNIX, kind) as stranger:
                    try:
                        stranger.connect("\0" + name)
                    except OSError:
                        continue
                    give(stranger, b"x", [lingering.make()])
    return act


WAYS = [with_a_request, with_a_request_that_takes_none, too_many_with_a_request, unread_requests, before_it_is_accepted, in_a_datagram, in_a_new_stream,
        in_a_connected_stream, by_the_name_of_pairs, a_hundred_at_once] + [in_a_datagram] * ROW
kept = []


def attack(commands, reports):
    """The user's process: prepares each way, and goes it when it is told."""
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    lingering = Lingering()
    for way in WAYS:
        act = way(lingering)
        os.write(reports, b"+")
        os.read(commands, 1)
        act()
        os.write(reports, b"+")
        os.read(commands, 1)
    os.write(reports, b"+")
    os.read(commands, 1)


VICTIM_PROGRAM = r"""
import socket, sys
for line in sys.stdin:
    with socket.socket() as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.getsockname()
    print("answered", flush=True)
"""


def main():
    victim = subprocess.Popen([*VICTIM, sys.executable, "-c", VICTIM_PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    answers, came = [], threading.Condition()

    def reader():
        for line in victim.stdout:
            with came:
                answers.append(line)
                came.notify_all()

    threading.Thread(target=reader, daemon=True).start()
    (commands, command), (report, reports) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(command)
            attack(commands, reports)
            status = 0
        except BaseException as error:
            print(f"FAILED: the attack: {type(error).__name__}: {error}", flush=True)
        os._exit(status)
    os.close(reports)
    good, times_ms = True, []
    for way in WAYS:
        if not os.read(report, 1):
            sys.exit(1)
        os.kill(SERVICE, signal.SIGSTOP)
        os.write(command, b"x")
        done = os.read(report, 1)
        os.kill(SERVICE, signal.SIGCONT)
        begin = time.monotonic()
        asked = len(answers) + 1
        victim.stdin.write("x\n")
        victim.stdin.flush()
        with came:
            answered = came.wait_for(lambda: len(answers) >= asked, LIMIT)
        good &= bool(done) and answered
        times_ms.append((time.monotonic() - begin) * 1000)
        if len(times_ms) <= len(WAYS) - ROW or not answered:
            print(f"{'ok' if answered else 'FAILED'}: {way.__name__}: answered after {times_ms[-1]:.0f} ms", flush=True)
        if not done:
            sys.exit(1)
        if not answered:
            os.kill(SERVICE, signal.SIGSTOP)  # which ends the wait, so that the next way can be tried
            os.kill(SERVICE, signal.SIGCONT)
            with came:
                came.wait_for(lambda: len(answers) >= asked, LIMIT)
        os.write(command, b"x")
    print(f"ok: {ROW} one after the other: answered after {sorted(times_ms[-ROW:])[ROW // 2]:.1f} ms, the middle one", flush=True)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    victim.stdin.close()
    victim.wait(LIMIT)
    sys.exit(0 if good else 1)


main()
