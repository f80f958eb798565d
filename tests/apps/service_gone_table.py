"""For service_gone_table.sh: every kind of descriptor and every call that can wait, when the service is killed.

service_gone_table.py ADDRESS PORT SINK SILENT SERVICE_PID: ADDRESS answers TCP at PORT, reads nothing at SINK; SILENT answers nothing.
Each row waits in a thread; then the service is killed, and each row says what it got and after how long. The last line is the slowest.
"""
import ctypes
import errno
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

ADDRESS, PORT, SINK, SILENT, SERVICE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
rows = []


def row(name, wanted):
    """A row: its function prepares, and returns what waits."""
    def add(prepare):
        rows.append((name, wanted, prepare))
        return prepare
    return add


def tcp():
    return socket.create_connection((ADDRESS, PORT))


def bits(events):
    names = [(select.EPOLLIN, "IN"), (select.EPOLLOUT, "OUT"), (select.EPOLLRDHUP, "RDHUP"), (select.EPOLLHUP, "HUP"),
             (select.EPOLLERR, "ERR")]
    return "|".join(text for bit, text in names if events & bit)


# ---- connections ----

@row("tcp recv", "ECONNRESET")
def _():
    s = tcp()
    return lambda: s.recv(1)


@row("tcp read, the plain call", "ECONNRESET")
def _():
    s = tcp()
    return lambda: os.read(s.fileno(), 1)


@row("tcp recv MSG_WAITALL", "ECONNRESET")
def _():
    s = tcp()
    return lambda: s.recv(10, socket.MSG_WAITALL)


@row("tcp recv, after a shutdown of the writing side", "ECONNRESET")
def _():
    s = socket.create_connection((ADDRESS, SINK))
    s.sendall(b"x")
    s.shutdown(socket.SHUT_WR)
    return lambda: s.recv(1)


@row("tcp recv, with data that had come", "data ECONNRESET")
def _():
    s = tcp()
    s.sendall(b"data")
    select.select([s], [], [])

    def wait():
        s.recv(1, socket.MSG_PEEK)
        gone.wait()
        got = s.recv(10).decode()
        try:
            return got + " " + str(s.recv(1))
        except OSError as error:
            return got + " " + name_of(error)
    return wait


@row("tcp send, blocked", "ECONNRESET EPIPE")
def _():
    s = socket.create_connection((ADDRESS, SINK))
    return lambda: [s.sendall(bytes(1 << 20)) for _ in range(64)] and "sent"


@row("tcp poll", "IN|OUT|RDHUP|HUP|ERR")
def _():
    s = tcp()
    p = select.poll()
    p.register(s, select.POLLIN | select.POLLRDHUP)

    def wait():
        p.poll(5000)
        p.register(s, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
        return bits(p.poll(0)[0][1])
    return wait


@row("tcp select", "readable")
def _():
    s = tcp()
    return lambda: "readable" if select.select([s], [], [], 5)[0] else "nothing"


for mode, flags in (("level", 0), ("edge", select.EPOLLET), ("one-shot", select.EPOLLONESHOT),
                    ("exclusive", select.EPOLLEXCLUSIVE)):
    @row("tcp epoll, " + mode, "IN|OUT|RDHUP|HUP|ERR IN|RDHUP|HUP|ERR IN|OUT|HUP|ERR IN|HUP|ERR")
    def _(flags=flags):
        s = tcp()
        e = select.epoll()
        wanted = select.EPOLLIN | (0 if flags & select.EPOLLEXCLUSIVE else select.EPOLLRDHUP)
        e.register(s, wanted | flags)
        return lambda: s and bits(e.poll(5)[0][1])


@row("tcp accepted, recv", "ECONNRESET")
def _():
    listener = socket.create_server(("127.0.0.1", 0))
    s = socket.create_connection(listener.getsockname())
    accepted = listener.accept()[0]
    return lambda: (s, listener) and accepted.recv(1)


@row("tcp SO_ERROR, after poll", "ECONNRESET")
def _():
    s = tcp()
    p = select.poll()
    p.register(s, select.POLLIN)
    return lambda: p.poll(5000) and errno.errorcode.get(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "none")


# ---- before a connection, and listening ----

@row("tcp connect, blocked", "ENETDOWN")
def _():
    s = socket.socket()
    return lambda: s.connect((SILENT, 9))


@row("tcp connecting, poll", "OUT|HUP|ERR OUT|HUP")
def _():
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((SILENT, 9))
    p = select.poll()
    p.register(s, select.POLLOUT)
    return lambda: bits(p.poll(5000)[0][1])


@row("tcp connecting, SO_ERROR", "ECONNRESET ENETDOWN")
def _():
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((SILENT, 9))
    p = select.poll()
    p.register(s, select.POLLOUT)
    return lambda: p.poll(5000) and errno.errorcode.get(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "none")


@row("tcp new, connect afterwards", "ENETDOWN")
def _():
    s = socket.socket()
    return lambda: gone.wait() and s.connect((ADDRESS, PORT))


@row("tcp bound, listen afterwards", "ENETDOWN")
def _():
    s = socket.socket()
    s.bind(("0.0.0.0", 0))
    return lambda: gone.wait() and s.listen()


@row("tcp accept, blocked", "ENETDOWN")
def _():
    s = socket.create_server(("0.0.0.0", 0))
    return s.accept


@row("tcp accept with a time-out", "ENETDOWN")
def _():
    s = socket.create_server(("0.0.0.0", 0))
    s.settimeout(5)
    return s.accept


@row("tcp listening, poll", "IN|HUP|ERR")
def _():
    s = socket.create_server(("0.0.0.0", 0))
    p = select.poll()
    p.register(s, select.POLLIN)
    return lambda: bits(p.poll(5000)[0][1])


@row("tcp listening, epoll edge", "IN|HUP|ERR")
def _():
    s = socket.create_server(("0.0.0.0", 0))
    e = select.epoll()
    e.register(s, select.EPOLLIN | select.EPOLLET)
    return lambda: s and bits(e.poll(5)[0][1])


# ---- datagrams ----

def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 0))
    return s


@row("udp recvfrom", "ENETDOWN")
def _():
    s = udp()
    return lambda: s.recvfrom(10)


@row("udp connected, recv", "ENETDOWN")
def _():
    s = udp()
    s.connect((ADDRESS, 9))
    return lambda: s.recv(10)


@row("udp connected, read, the plain call", "ENETDOWN")
def _():
    s = udp()
    s.connect((ADDRESS, 9))
    return lambda: os.read(s.fileno(), 10)


@row("udp recvmsg", "ENETDOWN")
def _():
    s = udp()
    return lambda: s.recvmsg(10, 100)


@row("udp sendto afterwards", "ENETDOWN")
def _():
    s = udp()
    return lambda: gone.wait() and s.sendto(b"x", (ADDRESS, 9))


@row("udp poll", "IN|HUP")
def _():
    s = udp()
    p = select.poll()
    p.register(s, select.POLLIN)
    return lambda: bits(p.poll(5000)[0][1])


@row("udp epoll edge", "IN|HUP")
def _():
    s = udp()
    e = select.epoll()
    e.register(s, select.EPOLLIN | select.EPOLLET)
    return lambda: s and bits(e.poll(5)[0][1])


@row("raw recvfrom", "ENETDOWN")
def _():
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
    return lambda: s.recvfrom(10)


@row("ping recvfrom", "ENETDOWN")
def _():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    return lambda: s.recvfrom(10)


# ---- control ----

@row("close with SO_LINGER, blocked", "closed")
def _():
    s = socket.create_connection((ADDRESS, SINK))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    s.setblocking(False)
    try:
        while True:
            s.send(bytes(1 << 16))
    except BlockingIOError:
        s.setblocking(True)

    def wait():
        s.close()
        return "closed"
    return wait


@row("getaddrinfo, blocked", "EAI_AGAIN EAI_SYSTEM EAI_NONAME EAI_FAIL")
def _():
    def wait():
        try:
            return str(socket.getaddrinfo("waits.test", 80))
        except socket.gaierror as error:
            return {getattr(socket, n): n for n in dir(socket) if n.startswith("EAI_")}[error.errno]
    return wait


@row("getsockname afterwards", "ENETDOWN")
def _():
    s = tcp()
    return lambda: gone.wait() and s.getsockname()


@row("getsockopt TCP_INFO afterwards", "ENETDOWN")
def _():
    s = tcp()
    return lambda: gone.wait() and s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)


@row("socket afterwards", "ENETDOWN")
def _():
    return lambda: gone.wait() and socket.socket()


def name_of(error):
    return errno.errorcode.get(error.errno, str(error))


def wait_for(index):
    _, _, waits = prepared[index]
    try:
        got = waits()
        got = "end of file" if got == b"" else str(got)
    except OSError as error:
        got = name_of(error)
    results[index] = (got, time.monotonic())


def is_asleep(thread):
    """The kernel says that it sleeps in a call, and not in one of Python's locks that another row holds."""
    with open(f"/proc/self/task/{thread.native_id}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "S"


gone = threading.Event()
prepared = [(name, wanted, prepare()) for name, wanted, prepare in rows]
results = [None] * len(rows)
threads = [threading.Thread(target=wait_for, args=(i,), daemon=True) for i in range(len(rows))]
for thread in threads:
    thread.start()
quiet_since = time.monotonic()
while time.monotonic() - quiet_since < 0.3:  # what blocks in a send has to fill the queues first
    if not all(is_asleep(t) for t in threads if t.is_alive()):
        quiet_since = time.monotonic()
    time.sleep(0.01)
early = [rows[i][0] for i in range(len(rows)) if results[i] is not None]
pidfd = os.pidfd_open(SERVICE)
begin = time.monotonic()
os.kill(SERVICE, signal.SIGKILL)
select.select([pidfd], [], [])
died = time.monotonic()
gone.set()
slowest, failed = 0.0, 0
for i, thread in enumerate(threads):
    thread.join(max(0.0, begin + 10 - time.monotonic()))
    name, wanted, _ = prepared[i]
    if results[i] is None:
        print(f"FAILED {name}: hangs")
        failed += 1
        continue
    got, at = results[i]
    late = (at - begin) * 1000
    good = (got in wanted.split() or got == wanted) and name not in early
    print(f"{'ok    ' if good else 'FAILED'} {name}: {got}, {late:.1f} ms" + (" (before the kill)" if name in early else ""))
    failed += not good
    slowest = max(slowest, late)
print(f"slowest {slowest:.0f} ms, the process was gone after {(died - begin) * 1000:.0f}", flush=True)
ctypes.CDLL(None)._exit(1 if failed else 0)
