"""memcached.py ADDRESS PORT CLIENTS - clients of memcached, each a thread; says how much came back as it was stored."""
import hashlib
import socket
import sys
import threading

SMALL = 100
LARGE_BYTES = 1500000
results = []


def fetch(stream, key):
    """The value of key, or None."""
    header = stream.readline().split()
    if header[:2] != [b"VALUE", key]:
        return None
    value = stream.read(int(header[3]))
    stream.readline()
    return value if stream.readline() == b"END\r\n" else None


def client(number):
    connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
    stream = connection.makefile("rb")
    small = {b"%d.%d" % (number, i): b"value %d" % i for i in range(SMALL)}
    # All requests at once, then all the answers.
    connection.sendall(b"".join(b"set %s 0 0 %d\r\n%s\r\n" % (k, len(v), v) for k, v in small.items()))
    stored = sum(stream.readline() == b"STORED\r\n" for _ in small)
    connection.sendall(b"".join(b"get %s\r\n" % k for k in small))
    right = sum(fetch(stream, k) == v for k, v in small.items())
    large = hashlib.shake_128(b"%d" % number).digest(LARGE_BYTES)
    connection.sendall(b"set %d 0 0 %d\r\n%s\r\nget %d\r\n" % (number, len(large), large, number))
    large_right = stream.readline() == b"STORED\r\n" and fetch(stream, b"%d" % number) == large
    connection.sendall(b"quit\r\n")
    ended = stream.read() == b""
    results.append((right if stored == SMALL and ended else 0, large_right))


threads = [threading.Thread(target=client, args=(i,)) for i in range(int(sys.argv[3]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
small_right = sum(r[0] for r in results)
large_right = sum(r[1] for r in results)
wrong = (SMALL + 1) * len(threads) - small_right - large_right
print(f"{len(threads)} clients: {small_right} small values, {large_right} large values, {wrong} wrong")
