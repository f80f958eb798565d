"""memory.py ADDRESS PORT - what the library costs in private, dirty memory: here, and in a child after fork."""
import os
import socket
import sys


def private_kib():
    """Private memory that was written to, in KiB, of the library's mappings, its zeroed data included."""
    total = 0
    counting = False
    last_end = None
    with open("/proc/self/smaps") as file:
        for line in file:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                start, end = words[0].split("-")
                is_bss = len(words) == 5 and counting and start == last_end
                counting = line.rstrip().endswith("libintercept.so") or is_bss
                last_end = end
            elif counting and words[0] == "Private_Dirty:":
                total += int(words[1])
    return total


def use():
    """All kinds of calls, on a good number of descriptors."""
    connections = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(100)]
    for connection in connections:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        connection.getsockname()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        os.dup(connection.fileno())


use()
print("parent:", private_kib(), flush=True)
if os.fork() == 0:
    use()
    print("child:", private_kib(), flush=True)
    os._exit(0)
os.wait()
