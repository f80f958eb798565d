"""limits - sockets until there are no more.

    limits.py fill                 make sockets until that fails; says why, and whether there is one again after a close
    limits.py serve ADDRESS PORT   accept and hold; closes the first half of what it has when a line comes, all at the second
    limits.py connect ADDRESS PORT COUNT   so many connections, each of which has to answer within 20 seconds
"""
import errno
import os
import selectors
import socket
import sys
import threading


def fill():
    sockets = []
    try:
        while True:
            sockets.append(socket.socket())
    except OSError as error:
        name = errno.errorcode[error.errno]
    sockets.pop().close()
    for _ in range(100):  # the service hears of it when it gets there
        try:
            sockets.append(socket.socket())
            break
        except OSError:
            os.sched_yield()
            threading.Event().wait(0.02)
    else:
        name += ", for good"
    print(f"{len(sockets) > 20} {name}", flush=True)


def serve(address, port):
    listener = socket.create_server((address, port), backlog=512)
    held, selector = [], selectors.DefaultSelector()
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("listening", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                if not sys.stdin.readline():
                    return
                for one in held[:len(held) // 2 + 1]:
                    one.close()
                del held[:len(held) // 2 + 1]
                print("closed half", flush=True)
                continue
            try:
                one, _ = listener.accept()
            except OSError as error:
                print(f"accept: {errno.errorcode[error.errno]}", flush=True)
                continue
            one.send(b"x")
            held.append(one)


def connect(address, port, count):
    sockets, answered, refused = [], 0, 0
    for _ in range(count):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((address, port))
        sockets.append(one)
    for one in sockets:
        one.settimeout(20)
        try:
            if one.recv(1) == b"x":
                answered += 1
                if answered == 60:
                    print("60", flush=True)
        except OSError:
            refused += 1
    print(f"{answered} of {count} were answered, {refused} failed", flush=True)


if sys.argv[1] == "fill":
    fill()
elif sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
else:
    connect(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
