"""For takeover.sh: streams whose every byte is known, so that one that is lost, doubled or changed shows.

takeover.py serve ADDRESS PORT        for each connection: what comes is checked, and as much is sent
takeover.py stream ADDRESS PORT SECONDS BYTES_A_WRITE
takeover.py datagrams ADDRESS PORT SECONDS
takeover.py strangers ADDRESS PORT SECONDS       likewise, each from a socket of its own
takeover.py echo ADDRESS PORT
takeover.py corks ADDRESS PORT SECONDS           to an echo, each message in two halves under TCP_CORK
takeover.py late ADDRESS PORT FILE               a datagram from each of 300 sockets that were made before, when the file is there
"""
import os
import random
import socket
import sys
import threading
import time

PATTERN = random.Random(1).randbytes(1 << 20)


def piece(at, size):
    at %= len(PATTERN)
    return (PATTERN[at:] + PATTERN)[:size] if at + size > len(PATTERN) else PATTERN[at:at + size]


def send_all(connection, seconds, size):
    at, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        connection.sendall(piece(at, size))
        at += size
    connection.shutdown(socket.SHUT_WR)
    return at


def receive_all(connection):
    at = 0
    while True:
        data = connection.recv(1 << 16)
        if not data:
            return at
        if data != piece(at, len(data)):
            raise RuntimeError(f"byte {at} and what follows are not what was sent")
        at += len(data)


def both_ways(connection, seconds, size):
    result = {}

    def send():
        result["sent"] = send_all(connection, seconds, size)
    sender = threading.Thread(target=send)
    sender.start()
    result["received"] = receive_all(connection)
    sender.join()
    return result


def serve(address, port):
    listener = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=100)
    print("ready", flush=True)

    def one(connection):
        try:
            seconds, size = map(int, connection.recv(32).split())
            connection.sendall(b"go".ljust(2))
            result = both_ways(connection, seconds, size)
            print("served", result["received"], result["sent"], flush=True)
        except Exception as error:  # pylint: disable=broad-except
            print("failed", error, flush=True)
        connection.close()
    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def stream(address, port, seconds, size):
    connection = socket.create_connection((address, port))
    connection.sendall(f"{seconds} {size}".encode())
    if connection.recv(2) != b"go":
        raise RuntimeError("no go")
    print("flows", flush=True)
    result = both_ways(connection, seconds, size)
    print("done", result["sent"], result["received"], flush=True)


def echo(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, port))
    print("ready", flush=True)
    while True:
        s.sendto(*s.recvfrom(100))


def datagrams(address, port, seconds, socket_of):
    """Each is waited for, so long that none is only late on a busy machine: how many were lost?"""
    number, lost, end = 0, 0, time.monotonic() + seconds
    print("flows", flush=True)
    while time.monotonic() < end:
        number += 1
        s = socket_of(number)
        s.connect((address, port))
        s.settimeout(10)
        s.send(str(number).encode())
        try:
            while int(s.recv(100)) != number:
                pass
        except TimeoutError:
            lost += 1
            print("lost", number, flush=True)
    print("done", number, "lost", lost, flush=True)


def corks(address, port, seconds):
    """The cork is off again before the echo is awaited, so nothing comes while it is on, and all when it is off."""
    connection = socket.create_connection((address, port))
    connection.settimeout(10)
    at, end = 0, time.monotonic() + seconds
    print("flows", flush=True)
    while time.monotonic() < end:
        for size in (100, 30):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            connection.sendall(piece(at, size))
            at += size
            time.sleep(0.001)  # the service may read the half
            if connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK) != 1:
                raise RuntimeError("the cork is off")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        data = b""
        while len(data) < 130:
            more = connection.recv(130 - len(data))
            if not more:
                raise RuntimeError("an end")
            data += more
        if data != piece(at - 130, 130):
            raise RuntimeError("not what was sent")
    print("done", at, at, flush=True)


def late(address, port, path):
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(300)]
    print("ready", flush=True)
    while not os.path.exists(path):
        time.sleep(0.02)
    for s in sockets:
        s.settimeout(10)
        s.sendto(b"late", (address, port))
    print("done", sum(s.recv(100) == b"late" for s in sockets), flush=True)


def main():
    mode, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if mode == "serve":
        serve(address, port)
    elif mode == "stream":
        stream(address, port, int(sys.argv[4]), int(sys.argv[5]))
    elif mode == "late":
        late(address, port, sys.argv[4])
    elif mode == "corks":
        corks(address, port, int(sys.argv[4]))
    elif mode == "echo":
        echo(address, port)
    else:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams(address, port, int(sys.argv[4]),
                  lambda _: one if mode == "datagrams" else socket.socket(socket.AF_INET, socket.SOCK_DGRAM))


main()
