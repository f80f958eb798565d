"""For service_gone.sh: `hold ADDRESS PORT` is a program that outlives its service."""
import errno
import socket
import sys


def name(error):
    return errno.errorcode[error.errno]


address, port = sys.argv[1], int(sys.argv[2])
connection = socket.create_connection((address, port))
listener = socket.create_server(("0.0.0.0", 0))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("0.0.0.0", 0))
connection.sendall(b"hello")
print("connected", connection.recv(5).decode(), flush=True)
try:
    connection.recv(1)
    print("end of file")
except OSError as error:
    print("recv", name(error))
try:
    connection.send(b"x")
except OSError as error:
    print("send", name(error))
try:
    listener.accept()
    print("accepted")
except OSError as error:
    print("accept", error.errno is not None)
for _ in range(2):
    try:
        socket.socket()
    except OSError as error:
        print("socket", name(error), flush=True)
print("waiting", flush=True)
sys.stdin.readline()
# The service that is there now knows nothing of what there was before.
for what, call in (("recv", lambda: connection.recv(1)), ("accept", listener.accept), ("recvfrom", lambda: datagrams.recvfrom(1)),
                   ("sendto", lambda: datagrams.sendto(b"x", (address, port))), ("name", connection.getsockname)):
    try:
        print("old", what, call())
    except OSError as error:
        print("old", what, name(error))
again = socket.create_connection((address, port))
again.sendall(b"again")
print("connected", again.recv(5).decode(), flush=True)
