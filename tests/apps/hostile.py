"""hostile.py - programs that do to the service what they can, while another user's connection goes on.

Usage: hostile.py CONTROL PID VERSION ECHO_ADDRESS ECHO_PORT USER VICTIM_COMMAND...

Each attack runs in processes of the user whose number is USER; they speak to the control socket by hand. During each, a program of root's
sends and receives through the stack: no byte of it may be wrong, and none wait long. When the attackers are gone the service has
as many descriptors as before, and hardly more memory.
"""
import array, collections, ctypes, errno, os, random, re, resource, select, signal, socket, struct, subprocess, sys, tempfile, time

CONTROL, SERVICE, VERSION = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
USER = int(sys.argv[4])
ECHO = (sys.argv[5], int(sys.argv[6]))
VICTIM = sys.argv[7:]
MAGIC, SIZE = 0x7373746B, 324
SECONDS = 1.5  # of each attack that goes on for a while
SLOWEST_MS = float(os.environ.get("HOSTILE_SLOWEST_MS", "3000"))  # the machine may be busy
MEMORY_KIB = int(os.environ.get("HOSTILE_MEMORY_KIB", "24576"))
OPERATIONS = {name: number for number, name in enumerate(
    "- SOCKET BIND LISTEN CONNECT SHUTDOWN GETSOCKNAME GETPEERNAME GETSOCKOPT SETSOCKOPT STATUS LINGER IMPAIR INTERFACES "
    "SEND_RESULT ERROR_QUEUE RESOLVER RESOLVE ROUTES QUERY SETTINGS RULES KILL CAPTURE".split())}
rng = random.Random(int(os.environ.get("HOSTILE_SEED", "1")))


def connect():
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.settimeout(10)
    control.connect(CONTROL)
    return control


def address_of(host, port):
    return struct.pack("<I", 16) + struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton(host) + bytes(20)


def message(operation, args=(), flags=0, address=bytes(32), option=b"", magic=MAGIC, version=VERSION, result=0, option_length=None):
    return (struct.pack("<IHHiI4i", magic, version, OPERATIONS.get(operation, operation), result, flags, *(list(args) + [0] * 4)[:4]) +
            address + struct.pack("<I", len(option) if option_length is None else option_length) + option.ljust(256, b"\0"))


def send(control, data, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    control.sendmsg([data], rights)


def ask(control, *arguments, fd=None, **named):
    """One request and its reply: (result, descriptor or None)."""
    send(control, message(*arguments, **named), [fd] if fd is not None else [])
    data, fds, _, _ = socket.recv_fds(control, 70000, 4)
    if not data:
        raise ConnectionError("the service closed the connection")
    for extra in fds[1:]:
        os.close(extra)
    return struct.unpack_from("<i", data, 8)[0], fds[0] if fds else None


def make(control, kind=socket.SOCK_STREAM):
    result, fd = ask(control, "SOCKET", [socket.AF_INET, kind, 0])
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return fd


def tolerate(function, *arguments):
    """What the service does to who misbehaves: it closes the connection."""
    try:
        return function(*arguments)
    except (OSError, ConnectionError):
        return None


# ---- attacks ----

def sizes():
    for size in list(range(0, 340, 7)) + [SIZE - 1, SIZE, SIZE + 1, SIZE + 8192, SIZE + 8193, 40000, 100000]:
        control = connect()
        tolerate(send, control, (message("SOCKET", [2, 1, 0]) + bytes(100000))[:size])
        tolerate(control.recv, 1000)
        control.close()


def fields():
    for _ in range(1500):
        control = connect()
        data = bytearray(message(rng.randrange(0, 30), [rng.choice((0, 1, -1, 2**31 - 1, -2**31, rng.randrange(0, 70000))) for _ in range(4)]))
        for _ in range(rng.randrange(0, 4)):
            data[rng.randrange(0, SIZE)] = rng.randrange(0, 256)
        tolerate(send, control, bytes(data))
        control.settimeout(0.02)
        tolerate(control.recv, 1000)
        control.close()
    for named in ({"magic": 0}, {"version": VERSION + 1}, {"version": 0}, {"result": -1}, {"flags": 0xFFFFFFFF}, {"option_length": 257},
                  {"option_length": 0xFFFFFFFF}, {"address": struct.pack("<I", 29) + bytes(28)}, {"address": b"\xff" * 32}):
        control = connect()
        tolerate(send, control, message("SOCKET", [2, 1, 0], **named))
        assert tolerate(control.recv, 1000) in (None, b""), named
        control.close()


def descriptors_of_all_kinds(control):
    directory = tempfile.mkdtemp()
    path = os.path.join(directory, "file")
    fds = [os.open(directory, os.O_RDONLY), os.open("/", os.O_PATH), os.open("/dev/null", os.O_RDWR), os.open("/dev/zero", os.O_RDONLY),
           os.open(path, os.O_CREAT | os.O_RDWR), os.open("/proc/self/status", os.O_RDONLY), os.eventfd(0), os.pidfd_open(os.getpid()),
           os.memfd_create("x"), select.epoll().fileno(), os.pipe()[0], os.pipe()[1], os.openpty()[0]]
    os.mkfifo(path + "f")
    fds.append(os.open(path + "f", os.O_RDWR))
    os.ftruncate(fds[8], 1 << 20)
    libc = ctypes.CDLL(None, use_errno=True)
    for number, arguments in ((425, (8, ctypes.create_string_buffer(256))), (253, ()), (283, (1, 0)), (289, (-1, ctypes.create_string_buffer(8), 8, 0))):
        fd = libc.syscall(number, *arguments)  # io_uring_setup, inotify_init, timerfd_create, signalfd4
        if fd >= 0:
            fds.append(fd)
    for family, kind in ((socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_SEQPACKET), (socket.AF_INET, socket.SOCK_STREAM),
                         (socket.AF_INET6, socket.SOCK_DGRAM), (socket.AF_NETLINK, socket.SOCK_RAW)):
        made = tolerate(socket.socket, family, kind)
        if made is not None:
            fds.append(made.detach())
    fds += [made.detach() for made in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)]
    fds += [control.fileno(), make(control), make(control, socket.SOCK_DGRAM)]
    return [os.dup(fd) if fd == control.fileno() else fd for fd in fds]


def descriptors():
    keep = []
    for number in range(1, len(OPERATIONS) + 2):
        control = connect()
        kinds = descriptors_of_all_kinds(control)
        for fd in kinds:
            one = connect()
            tolerate(send, one, message(number, [1, 2, 3, 4], address=address_of("10.99.99.99", 9), option=b"abcd"), [fd])
            one.settimeout(0.01)
            tolerate(one.recv, 1000)
            one.close()
        tolerate(os.ftruncate, kinds[8], 0)
        for fd in kinds:
            tolerate(os.close, fd)
        keep.append(control)


def many_descriptors():
    null = os.open("/dev/null", os.O_RDONLY)
    for count in (2, 8, 9, 64, 253):
        for _ in range(40):
            control = connect()
            tolerate(send, control, message("SOCKET", [2, 1, 0]), [null] * count)
            control.close()
    controls = [connect() for _ in range(200)]
    for control in controls:  # in flight all at once, 50 000 of them if the kernel lets us
        control.setblocking(False)
        tolerate(send, control, message("STATUS"), [null] * 253)
    for control in controls:
        control.close()


def never_reads():
    end = time.monotonic() + SECONDS
    controls = [connect() for _ in range(100)]
    for control in controls:
        control.setblocking(False)
    while time.monotonic() < end:
        for i, control in enumerate(controls):
            try:
                send(control, message("SOCKET", [2, 1, 0]))
            except BlockingIOError:
                pass
            except OSError:
                control.close()
                controls[i] = connect()
                controls[i].setblocking(False)


def dies_at_each_step():
    def live(steps):
        control = connect()
        todo = [lambda: send(control, message("SOCKET", [2, 1, 0]))]
        if steps > 1:
            fd = make(control)
            todo = [lambda: send(control, message("BIND", address=address_of("0.0.0.0", 0)), [fd]),
                    lambda: ask(control, "LISTEN", [5], fd=fd),
                    lambda: send(control, message("CONNECT", flags=1, address=address_of(*ECHO)), [fd]),
                    lambda: send(control, message("CONNECT", flags=1, address=address_of("10.77.0.99", 9)), [fd]),
                    lambda: (ask(control, "CONNECT", flags=1, address=address_of(*ECHO), fd=fd), os.write(fd, b"x" * 100)),
                    lambda: (ask(control, "CONNECT", flags=1, address=address_of(*ECHO), fd=fd), send(control, message("STATUS"), [fd])),
                    lambda: (ask(control, "LINGER", fd=fd), os.close(fd), send(control, message("LINGER", [1], flags=1))),
                    lambda: send(control, message("QUERY", [2])),
                    lambda: send(control, message("RESOLVE", [12]) + bytes(12))][steps - 2:steps - 1]
        for step in todo:
            tolerate(step)

    for steps in range(1, 11):
        for way in (signal.SIGKILL, None):
            child = os.fork()
            if child == 0:
                tolerate(live, steps)
                if way is not None:
                    os.kill(os.getpid(), way)
                os._exit(0)
            os.waitpid(child, 0)


def floods():
    def flood():
        end = time.monotonic() + SECONDS
        controls = [connect() for _ in range(150)]
        while time.monotonic() < end:
            for control in controls:
                send(control, message("RESOLVER"))
            for control in controls:
                control.recv(1000)

    children = []
    for _ in range(3):
        children.append(os.fork())
        if children[-1] == 0:
            tolerate(flood)
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)


def floods_while_it_binds():
    """Several hundred requests always there, and one that makes the service look for what has been closed."""
    first, second = connect(), connect()
    used, other = make(first), make(second)
    assert ask(first, "BIND", address=address_of("0.0.0.0", 7777), fd=used)[0] == 0
    assert ask(first, "LISTEN", [5], fd=used)[0] == 0
    child = os.fork()
    if child == 0:
        tolerate(floods)
        os._exit(0)
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        assert ask(second, "BIND", address=address_of("0.0.0.0", 7777), fd=other)[0] == -errno.EADDRINUSE


def connects_often():
    for _ in range(3000):
        connect().close()


def makes_all_sockets():
    """Until there are no more."""
    control, made = connect(), []
    try:
        while len(made) < 3000:
            made.append(make(control))
    except OSError as error:
        assert error.errno in (errno.EMFILE, errno.ENFILE), error
    assert len(made) > 10, len(made)


def half_done_accepts():
    control = connect()
    listener = make(control)
    assert ask(control, "BIND", address=address_of("127.0.0.1", 7778), fd=listener)[0] == 0
    assert ask(control, "LISTEN", [100], fd=listener)[0] == 0
    clients = [make(control) for _ in range(60)]
    for client in clients:
        assert ask(control, "CONNECT", flags=1, address=address_of("127.0.0.1", 7778), fd=client)[0] == 0
    taken = []
    for _ in range(30):  # taken from the queue, and never said so; the rest stay in the queue
        _, fds, _, _ = socket.recv_fds(socket.socket(fileno=os.dup(listener)), 200, 4)
        taken += fds
    for client in clients[:20]:
        os.close(client)


def never_reads_data():
    control = connect()
    streams = []
    for _ in range(30):
        fd = make(control)
        assert ask(control, "CONNECT", flags=1, address=address_of(*ECHO), fd=fd)[0] == 0
        os.set_blocking(fd, False)
        streams.append(fd)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for fd in streams:
            tolerate(os.write, fd, b"x" * 65536)
        time.sleep(0.01)


def rights_in_data():
    """Descriptors where none belong: with the bytes of a stream, of a datagram, each in itself."""
    control = connect()
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for _ in range(50):
            fd = make(control, kind)
            if kind == socket.SOCK_STREAM:
                ask(control, "CONNECT", flags=1, address=address_of(*ECHO), fd=fd)
            pair = socket.socket(fileno=fd)
            pair.setblocking(False)
            for _ in range(4):
                tolerate(send, pair, b"bytes", [pair.fileno(), control.fileno(), pair.fileno()])
            pair.close()
    for _ in range(200):  # a control connection in itself
        one = connect()
        one.setblocking(False)
        for _ in range(4):
            tolerate(send, one, message("STATUS"), [one.fileno()])
        one.close()


def datagram_headers():
    control = connect()
    for _ in range(300):
        pair = socket.socket(fileno=make(control, socket.SOCK_DGRAM))
        pair.setblocking(False)
        for _ in range(8):
            head = bytearray(struct.pack("<IHH", MAGIC, VERSION, rng.choice((0, 1, 2, 3, 0xFFFF))) + bytes(rng.randrange(256) for _ in range(104)))
            if rng.random() < 0.5:
                head[8:48] = bytes(40)
            tolerate(pair.send, bytes(head[:rng.choice((0, 1, 8, 111, 112, 112, 112))]) + bytes(rng.randrange(0, 3000)))
        pair.close()


def queries_that_nobody_reads():
    control = connect()
    pipes = [ask(control, "QUERY", [2, 16])[1] for _ in range(200)]
    assert pipes[0] is not None
    assert ask(control, "CAPTURE")[0] == -errno.EPERM
    assert ask(control, "IMPAIR", option=b"loss=50%")[0] == -errno.EPERM


def strangers():
    """Connect to the names of the pairs, which the kernel tells everyone, without end."""
    with open("/proc/net/unix") as table:
        names = sorted(set(re.findall(r"@(sidestack/\S+)", table.read())))
    assert names, "the pairs have no names"

    def connect_without_end():
        end, held = time.monotonic() + SECONDS, collections.deque()
        while time.monotonic() < end:
            for name in names:
                for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                    held.append(socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK))
                    tolerate(held[-1].connect, "\0" + name)
            while len(held) > 200:
                held.popleft().close()

    children = []
    for _ in range(3):
        children.append(os.fork())
        if children[-1] == 0:
            connect_without_end()
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)


ATTACKS = [sizes, fields, descriptors, many_descriptors, never_reads, dies_at_each_step, floods, floods_while_it_binds, connects_often,
           makes_all_sockets, half_done_accepts, never_reads_data, rights_in_data, datagram_headers, queries_that_nobody_reads, strangers]


# ---- the other user, and what the service has ----

VICTIM_PROGRAM = r"""
import os, select, socket, sys, time
stream = socket.create_connection((sys.argv[1], int(sys.argv[2])))
stream.settimeout(60)
count, slowest, number = 0, 0.0, 0
print("ready", flush=True)
while True:
    if select.select([0], [], [], 0.001)[0]:
        if not os.read(0, 1):
            break
        print(count, slowest * 1000, flush=True)
        count, slowest = 0, 0.0
    begin = time.monotonic()
    line = b"%063d\n" % number
    stream.sendall(line)
    got = b""
    while len(got) < len(line):
        part = stream.recv(64)
        if not part:
            sys.exit("the connection ended")
        got += part
    if got != line:
        sys.exit(f"wrong bytes: {got!r}")
    with socket.socket() as another:  # and the service answers
        another.getsockname()
    slowest = max(slowest, time.monotonic() - begin)
    number, count = number + 1, count + 1
"""


def descriptors_now():
    return len(os.listdir(f"/proc/{SERVICE}/fd"))


def memory_now():
    with open(f"/proc/{SERVICE}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def become_user():
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 8192)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def run(attack):
    child = os.fork()
    if child == 0:
        status = 0
        try:
            become_user()
            attack()
        except BaseException as error:
            print(f"FAILED: {attack.__name__}: {type(error).__name__}: {error}", flush=True)
            status = 1
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    victim = subprocess.Popen([*VICTIM, sys.executable, "-c", VICTIM_PROGRAM, *sys.argv[5:7]], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    assert victim.stdout.readline() == "ready\n"

    def mark():
        victim.stdin.write("x")
        victim.stdin.flush()
        answer = victim.stdout.readline().split()
        if not answer:
            sys.exit("FAILED: the other user's program ended")
        return int(answer[0]), float(answer[1])

    names = os.environ.get("HOSTILE_ONLY", "").split()
    failed = False
    mark()
    before, memory = descriptors_now(), 0
    for number, attack in enumerate(ATTACKS * 2):  # twice: what the first round made it keep is no leak
        if names and attack.__name__ not in names:
            continue
        if number == len(ATTACKS):
            memory = memory_now()
        begin = time.monotonic()
        status = run(attack)
        count, slowest = mark()
        deadline = time.monotonic() + 10
        left = descriptors_now() - before
        while abs(left) > 2 and time.monotonic() < deadline:  # the victim has some more now and then
            time.sleep(0.05)
            left = descriptors_now() - before
        good = status == 0 and slowest <= SLOWEST_MS and left <= 2
        failed |= not good
        print(f"{'ok' if good else 'FAILED'}: {attack.__name__}: {time.monotonic() - begin:.1f} s; the other user: {count} times, "
              f"slowest {slowest:.0f} ms; descriptors left {left}; memory {memory_now()} KiB", flush=True)
    growth = memory_now() - memory if memory > 0 else 0
    print(f"{'ok' if growth <= MEMORY_KIB else 'FAILED'}: memory grew by {growth} KiB in the second round", flush=True)
    failed |= growth > MEMORY_KIB
    victim.stdin.close()
    victim.wait(10)
    sys.exit(1 if failed or victim.returncode != 0 else 0)


main()
