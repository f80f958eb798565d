"""For slow.sh: `send ADDRESS PORT COUNT MIB` and `receive ADDRESS PORT COUNT`.

send connects COUNT times, writes until nothing more is taken for a second, says how much that was, waits for a line on
standard input, writes the rest and ends. receive listens, accepts COUNT connections, says so, waits for a line before it
reads anything, and then says how much came and whether it was right.
"""
import select
import socket
import sys
import time

PIECE = bytes(range(256)) * 256


def send(address, port, count, mib):
    total = mib << 20
    sockets = {}
    for _ in range(count):
        connection = socket.create_connection((address, port), timeout=20)
        connection.setblocking(False)
        sockets[connection] = 0

    def write_while(wait_s):
        while True:
            pending = [s for s, done in sockets.items() if done < total]
            _, ready, _ = select.select([], pending, [], wait_s) if pending else (0, [], 0)
            if not ready:
                return
            for s in ready:
                offset = sockets[s] % len(PIECE)
                sockets[s] += s.send(PIECE[offset:][: total - sockets[s]])

    write_while(1.0)
    print("stalled after", sum(sockets.values()) >> 10, "KiB", flush=True)
    sys.stdin.readline()
    write_while(20.0)
    for s in sockets:
        s.shutdown(socket.SHUT_WR)
        s.settimeout(20)
        s.recv(1)
    print("sent", sum(sockets.values()), flush=True)


def receive(address, port, count):
    listener = socket.create_server((address, port), backlog=64)
    print("listening", flush=True)
    sockets = {listener.accept()[0]: 0 for _ in range(count)}
    print("accepted", flush=True)
    sys.stdin.readline()
    total = 0
    deadline = time.monotonic() + 60
    while sockets and time.monotonic() < deadline:
        for s in select.select(list(sockets), [], [], 20)[0]:
            piece = s.recv(65536)
            if not piece:
                del sockets[s]
                s.close()
                continue
            offset = sockets[s] % len(PIECE)
            if piece != (PIECE + PIECE)[offset : offset + len(piece)]:
                sys.exit("wrong data")
            sockets[s] += len(piece)
            total += len(piece)
    print("received", total, flush=True)


if sys.argv[1] == "send":
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
else:
    receive(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
