"""memory_limit.py - more is written than a peer reads, over many connections.

Usage: memory_limit.py serve ADDRESS PORT COUNT  |  memory_limit.py fill ADDRESS PORT COUNT

The server reads nothing until a line comes to its standard input; then it says how many bytes there were. The client writes until no connection takes more for a
second, says so, and ends them.
"""
import selectors, socket, sys

ADDRESS, COUNT = (sys.argv[2], int(sys.argv[3])), int(sys.argv[4])


def serve():
    with socket.create_server(ADDRESS, backlog=COUNT) as listener:
        print("listening", flush=True)
        connections = [listener.accept()[0] for _ in range(COUNT)]
    sys.stdin.readline()
    total = 0
    for connection in connections:
        while part := connection.recv(1 << 20):
            total += len(part)
    print("read", total, flush=True)


def fill():
    selector, total = selectors.DefaultSelector(), 0
    for _ in range(COUNT):
        connection = socket.create_connection(ADDRESS)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_WRITE)
    while ready := selector.select(1):
        for key, _ in ready:
            try:
                total += key.fileobj.send(bytes(65536))
            except BlockingIOError:
                pass
    print("written", total, flush=True)
    sys.stdin.readline()


serve() if sys.argv[1] == "serve" else fill()
