"""What the programs talk to: TCP that echoes, or connects back, and UDP that echoes."""
import socket
import struct
import threading

LONG = 100000  # bytes that it sends by itself
PATTERN = bytes((i * 7 + (i >> 8)) & 255 for i in range(LONG))
CONNECT_S, SILENCE_S = 30, 60  # after which it gives up


def receive(connection, size):
    got = b""
    while len(got) < size:
        more = connection.recv(size - len(got))
        if not more:
            break
        got += more
    return got


def call_back(connection, stack, wrong):
    """Connect to the program, send, and look at what comes back."""
    port = int(receive(connection, 5))
    try:
        with socket.create_connection((stack, port), timeout=CONNECT_S) as other:
            sender = threading.Thread(target=send_all, args=(other, PATTERN))
            sender.start()
            got = receive(other, LONG + 1)
            sender.join()
            if got != PATTERN[:len(got)]:
                wrong("a program's answer has other bytes")
            connection.sendall(b"k" if got == PATTERN else b"s")
    except OSError:
        connection.sendall(b"f")


def send_all(connection, data):
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def answer(connection, stack, wrong):
    with connection:
        try:
            connection.settimeout(SILENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            command = connection.recv(1)
            if command == b"c":
                call_back(connection, stack, wrong)
            while command == b"e":
                data = connection.recv(65536)
                if not data:
                    break
                connection.sendall(data)
        except OSError:
            # Not an orderly end: the program must not take it for one.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def accept_all(listener, stack, wrong):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0], stack, wrong), daemon=True).start()


def answer_datagrams(udp):
    while True:
        data, address = udp.recvfrom(65536)
        try:
            udp.sendto(data, address)
        except OSError:
            pass


def start_peer(world, stack, wrong):
    """Start it. stack: where programs listen; wrong(text): is told what must not be. Return: its ports, TCP and UDP."""
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    threading.Thread(target=accept_all, args=(listener, stack, wrong), daemon=True).start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((world, 0))
    threading.Thread(target=answer_datagrams, args=(udp,), daemon=True).start()
    return str(listener.getsockname()[1]), str(udp.getsockname()[1])
