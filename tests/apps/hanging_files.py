"""hanging_files.py - a user passes descriptors to the service whose use or closing hangs, as long as he likes.

Usage: hanging_files.py CONTROL PID VERSION USER VICTIM_COMMAND...

A file system of the user's own (FUSE, served here by hand) has a file: its server answers all requests but one kind, and these not before it is told to.
The file is passed with every request, whether it takes a descriptor or not. After that a program of root's must be answered by the service; who passed
them is again when they are closed, and not before. What says it is a socket, with the number of another user's, is not one.
"""
import array, ctypes, errno, os, signal, socket, stat, struct, subprocess, sys, tempfile, threading, time

CONTROL, SERVICE, VERSION, USER, VICTIM = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]
MAGIC, OPERATIONS = 0x7373746B, 25
KEPT_MAX = 23  # of one user: seven, with which he is heard, and as many as one message may have
LIMIT = 20  # seconds after which what doesn't answer hangs
LOOKUP, GETATTR, OPEN, RELEASE, FLUSH, INIT, FORGET, INTERRUPT = 1, 3, 14, 18, 25, 26, 2, 36


class FileSystem:
    """One file, and one socket whose inode number is `fake`. Requests of the kind `held` wait for release()."""

    def __init__(self):
        self.held, self.waiting, self.fake = None, [], 0
        self.came = threading.Condition()
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self.path = tempfile.mkdtemp()
        os.chmod(self.path, 0o755)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other"
        self.libc = libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"hanging", self.path.encode(), b"fuse", 0, options.encode()) < 0:
            sys.exit(f"FAILED: a FUSE mount: {os.strerror(ctypes.get_errno())}")
        threading.Thread(target=self.serve, daemon=True).start()

    def attributes(self, node):
        mode = {1: stat.S_IFDIR | 0o755, 2: stat.S_IFREG | 0o666, 3: stat.S_IFSOCK | 0o666}[node]
        number = self.fake if node == 3 else node
        return struct.pack("<QQQQQQIIIIIIIIII", number, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def answer(self, unique, data=b"", error=0):
        try:
            os.write(self.device, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)
        except OSError:
            pass  # who asked has gone

    def serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 17)
            except OSError:
                return
            _, kind, unique, node = struct.unpack_from("<IIQQ", request)
            if kind == self.held:
                with self.came:
                    self.waiting.append(unique)
                    self.came.notify_all()
            elif kind == INIT:
                self.answer(unique, struct.pack("<IIIIHHII", 7, 31, 4096, 0, 1, 1, 4096, 1) + bytes(36))
            elif kind == LOOKUP:
                name = request[40:].rstrip(b"\0")
                found = {b"file": 2, b"socket": 3}.get(name)
                if found is None:
                    self.answer(unique, error=2)
                else:
                    self.answer(unique, struct.pack("<QQQQII", found, 0, 0, 0, 0, 0) + self.attributes(found))
            elif kind == GETATTR:
                self.answer(unique, struct.pack("<QII", 0, 0, 0) + self.attributes(node))
            elif kind == OPEN:
                self.answer(unique, struct.pack("<QII", 1, 0, 0))
            elif kind in (RELEASE, FLUSH):
                self.answer(unique)
            elif kind not in (FORGET, INTERRUPT, 42):
                self.answer(unique, error=38)

    def release(self):
        """Answer what waits. Return: how many these were."""
        with self.came:
            self.held = None
            waiting, self.waiting = self.waiting, []
        for unique in waiting:
            self.answer(unique)
        return len(waiting)

    def abort(self):
        """Nothing hangs in it any more, whatever happens to this process."""
        self.libc.umount2(self.path.encode(), 1)  # MNT_FORCE

    def known_to(self, process):
        """How many descriptors of its files has the process?"""
        links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{process}/fd")]
        return sum(link.startswith(self.path) for link in links)

    def wait_for(self, count):
        with self.came:
            return self.came.wait_for(lambda: len(self.waiting) >= count, LIMIT)


def connect():
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.settimeout(LIMIT)
    control.connect(CONTROL)
    return control


def message(operation, args=(), flags=0):
    return struct.pack("<IHHiI4i", MAGIC, VERSION, operation, 0, flags, *(list(args) + [0] * 4)[:4]) + bytes(32 + 4 + 256)


def send(control, data, fds):
    control.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])


def ask(control, data, fds):
    """Return: the result, None when the service closed the connection."""
    try:
        send(control, data, fds)
        answer = control.recv(70000)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    return struct.unpack_from("<i", answer, 8)[0] if answer else None


def as_user(function):
    """In a process of the user's, which stays there: it may hang when it ends. Return: did it report that all is well?"""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        good = False
        try:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            good = function()
        except BaseException as error:
            print(f"FAILED: {function.__name__}: {type(error).__name__}: {error}", flush=True)
        os.write(writer, b"+" if good else b"-")
        signal.pause()
    os.close(writer)
    report = os.read(reader, 1)
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    children.append(child)
    return report == b"+"


children = []

VICTIM_PROGRAM = r"""
import os, socket, sys
kept = socket.socket()
kept.bind(("127.0.0.1", 0))
print(os.fstat(kept.fileno()).st_ino, flush=True)
for line in sys.stdin:
    with socket.socket() as another:
        another.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        another.getsockname()
    print(kept.getsockname()[1], flush=True)
"""


def main():
    files = FileSystem()
    victim = subprocess.Popen([*VICTIM, sys.executable, "-c", VICTIM_PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    files.fake = int(victim.stdout.readline())
    answers = []

    def reader():
        for line in victim.stdout:
            with came:
                answers.append(line)
                came.notify_all()

    came = threading.Condition()
    threading.Thread(target=reader, daemon=True).start()

    def check(what):
        asked = len(answers) + 1
        victim.stdin.write("x\n")
        victim.stdin.flush()
        with came:
            good = came.wait_for(lambda: len(answers) >= asked, LIMIT) and answers[-1] == answers[0]
        if not good:
            files.abort()
            print(f"FAILED: {what}: another user is not answered", flush=True)
            os._exit(1)
        print(f"ok: {what}: another user is answered", flush=True)

    check("at first")

    def pass_socket():
        fd = os.open(files.path + "/socket", os.O_PATH)
        results = {ask(connect(), message(number), [fd]) for number in (2, 5, 6, 7, 10)}
        if results != {-errno.ENOTSOCK}:
            print(f"FAILED: a file with the number of another's socket: {results}", flush=True)
        return results == {-errno.ENOTSOCK}

    good = as_user(pass_socket)
    check("a file with the number of another's socket")

    fd = os.open(files.path + "/file", os.O_RDWR)

    def pass_file():
        for number in range(1, OPERATIONS):
            for fds in ([fd], [fd, fd]):
                control = connect()
                kept.append(control)
                try:
                    send(control, message(number, [2, 1, 0]), fds)
                except OSError:
                    pass  # it is not served any more
        return True

    def is_not_heard():
        deadline = time.monotonic() + LIMIT
        while ask(connect(), message(16), []) is not None:
            if time.monotonic() > deadline:
                raise TimeoutError("who passed files that hang is heard")
            time.sleep(0.01)
        return True

    def is_heard():
        deadline = time.monotonic() + LIMIT
        while ask(connect(), message(16), []) != 0:  # RESOLVER
            if time.monotonic() > deadline:
                raise TimeoutError("not heard again")
            time.sleep(0.01)  # nothing tells when the last is closed
        return True

    kept = []
    for kind, name in ((GETATTR, "fstat()"), (FLUSH, "close()")):
        files.held = kind
        good &= as_user(pass_file)
        check(f"files whose {name} hangs")
        if kind == FLUSH and not files.wait_for(1):
            print("FAILED: nothing was closed", flush=True)
            good = False
        if kind == FLUSH:
            good &= as_user(is_not_heard)
            kept_open = files.known_to(SERVICE)
            print(f"{'ok' if kept_open <= KEPT_MAX else 'FAILED'}: {kept_open} of them are kept", flush=True)
            good &= kept_open <= KEPT_MAX
        print(f"ok: {files.release()} requests of the kind waited", flush=True)
        check(f"files whose {name} is over")
        good &= as_user(is_heard)
    deadline = time.monotonic() + LIMIT
    while (left := files.known_to(SERVICE)) and time.monotonic() < deadline:
        time.sleep(0.01)
    print(f"{'FAILED' if left else 'ok'}: {left} of them are left in the service", flush=True)
    good &= left == 0

    os.close(fd)
    victim.stdin.close()
    victim.wait(LIMIT)
    for child in children:
        os.waitpid(child, 0)
    sys.exit(0 if good else 1)


main()
