"""memory_limit.py - more is written than a peer reads, over many connections.

Usage: memory_limit.py serve ADDRESS PORT COUNT  |  memory_limit.py fill ADDRESS PORT COUNT BYTES

The server reads nothing until a line comes to its standard input; then it says how many bytes there were. The client writes at least so many bytes, and until no
connection takes more for a second, says so, and ends them.
"""
import selectors, socket, sys, time

ADDRESS, COUNT = (sys.argv[2], int(sys.argv[3])), int(sys.argv[4])


def serve():
    with socket.create_server(ADDRESS, backlog=COUNT) as listener:
        print("listening", flush=True)
        connections = [listener.accept()[0] for _ in range(COUNT)]
    sys.stdin.readline()
    selector, total = selectors.DefaultSelector(), 0
    for connection in connections:
        selector.register(connection, selectors.EVENT_READ)
    while selector.get_map():
        for key, _ in selector.select():
            part = key.fileobj.recv(1 << 20)
            total += len(part)
            if not part:
                selector.unregister(key.fileobj)
    print("read", total, flush=True)


def fill():
    selector, total = selectors.DefaultSelector(), 0
    for _ in range(COUNT):
        connection = socket.create_connection(ADDRESS)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_WRITE)
    least, deadline = int(sys.argv[5]), time.monotonic() + 60
    while (ready := selector.select(1)) or (total < least and time.monotonic() < deadline):
        for key, _ in ready:
            try:
                total += key.fileobj.send(bytes(65536))
            except BlockingIOError:
                pass
    print("written", total, flush=True)
    sys.stdin.readline()


serve() if sys.argv[1] == "serve" else fill()
