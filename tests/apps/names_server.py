"""A name server for tests: UDP and TCP on port 53 of the addresses given. Some of its hosts are liars.

Each question is printed on a line of its own: "udp one.test A".
"""
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}
NAMES_OF_TYPES = {number: name for name, number in TYPES.items()}
UDP_MAX = 512


def pack_name(name):
    labels = [label for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def ipv4(text):
    return socket.inet_pton(socket.AF_INET, text)


def ipv6(text):
    return socket.inet_pton(socket.AF_INET6, text)


def many(first, count):
    return [("A", ipv4(f"{first}.{i // 250}.{i % 250 + 1}")) for i in range(count)]


ZONE = {
    "one.test": [("A", ipv4("10.77.0.1"))],
    "dual.test": [("A", ipv4("10.77.0.1")), ("AAAA", ipv6("fd77::1"))],
    "six.test": [("AAAA", ipv6("fd77::1"))],
    "many.test": [("A", ipv4(a)) for a in ("192.0.2.1", "10.77.0.9", "169.254.1.1", "10.77.0.3", "127.0.0.1", "10.99.1.1")]
    + [("AAAA", ipv6(a)) for a in ("2001:db8::9", "fd77::9", "fe80::1", "fd77::3", "::1", "2002:a00::1", "fec0::1",
                                   "fd88::1", "2001::5")],
    "mapped.test": [("AAAA", ipv6("::ffff:10.77.0.1"))],
    "alias.test": [("CNAME", pack_name("middle.test"))],
    "middle.test": [("CNAME", pack_name("Dual.TEST"))],
    "dangling.test": [("CNAME", pack_name("nothing.test"))],
    "nothing.test": [("TXT", b"\x04here")],
    "turn.test": [("CNAME", pack_name("turn.test"))],
    "badname.test": [("CNAME", pack_name("bad name!.test"))],
    "bad name!.test": [("A", ipv4("10.77.0.1"))],
    "text.test": [("TXT", b"\x05hello\x05world"), ("MX", b"\0\x0a" + pack_name("one.test"))],
    "big.test": many("10.200", 200),
    "huge.test": many("10.201", 2500),
    "short.search2.test": [("A", ipv4("10.77.0.22"))],
    "with.dot.search1.test": [("A", ipv4("10.77.0.23"))],
    "both.search1.test": [("TXT", b"\x04here")],
    "both.search2.test": [("A", ipv4("10.77.0.24"))],
    "xn--bcher-kva.test": [("A", ipv4("10.77.0.25"))],
    "mixed.test": [("A", ipv4("10.77.0.1"))],
    "halfbad.test": [("A", ipv4("10.77.0.1"))],
    "halfmute.test": [("A", ipv4("10.77.0.1"))],
    "slow.test": [("A", ipv4("10.77.0.1"))],
    "lies.test": [("A", ipv4("10.77.0.1"))],
    "1.0.77.10.in-addr.arpa": [("PTR", pack_name("one.test")), ("PTR", pack_name("also.test"))],
    "2.0.77.10.in-addr.arpa": [("CNAME", pack_name("2.0-63.0.77.10.in-addr.arpa"))],
    "2.0-63.0.77.10.in-addr.arpa": [("PTR", pack_name("stack.test"))],
    "3.0.77.10.in-addr.arpa": [("PTR", pack_name("bad name!.test"))],
    ".".join(reversed(ipv6("fd77::1").hex())) + ".ip6.arpa": [("PTR", pack_name("six.test"))],
}
REFUSALS = {"formerr.test": 1, "servfail.test": 2, "notimp.test": 4, "refused.test": 5}


def find(name, wanted):
    """Return: the response code and the records, aliases first."""
    records = []
    for _ in range(8):
        if name.lower() not in (known.lower() for known in ZONE):
            is_parent = any(known.endswith("." + name.lower()) for known in ZONE)
            return (0 if is_parent or records else 3), records
        entry = next(data for known, data in ZONE.items() if known.lower() == name.lower())
        records += [(name, kind, data) for kind, data in entry if kind == wanted]
        aliases = [data for kind, data in entry if kind == "CNAME" and wanted != "CNAME"]
        if not aliases:
            break
        records.append((name, "CNAME", aliases[0]))
        name, _ = read_name(aliases[0], 0)
    return 0, records


def read_name(message, at):
    labels = []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin1"))
        at += 1 + message[at]
    return ".".join(labels), at + 1


def respond(query, over):
    """Return: the list of messages to send."""
    name, end = read_name(query, 12)
    wanted, = struct.unpack_from("!H", query, end)
    kind = NAMES_OF_TYPES.get(wanted, str(wanted))
    print(over, name, kind, flush=True)
    question = query[12:end + 4]

    def message(code, records, identifier=query[:2], asked=question, truncated=False):
        flags = 0x8180 | code | (0x0200 if truncated else 0)
        body = b"".join(pack_name(owner) + struct.pack("!HHIH", TYPES[k], 1, 60, len(data)) + data
                        for owner, k, data in records)
        return identifier + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + asked + body

    name = name.lower()
    if name in REFUSALS:
        return [message(REFUSALS[name], [])]
    if name == "silent.test" or (name == "halfmute.test" and kind == "AAAA"):
        return []
    if name == "halfbad.test" and kind == "AAAA":
        return [message(2, [])]
    if name == "slow.test":
        time.sleep(0.3)
    if name == "garbage.test":
        return [query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\xff\1\2\3"]
    if name == "circle.test":
        at = 12 + len(question)
        return [query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + bytes([0xc0, at]) + b"\0\1\0\1\0\0\0\0\0\4\1\2\3\4"]
    if name == "stub.test":
        return [query[:7]]
    code, records = find(name, kind)
    right = message(code, records)
    if name == "lies.test" and over == "udp":
        wrong = [(name, "A", ipv4("6.6.6.6"))]
        other = pack_name("other.test") + question[-4:]
        return [message(0, wrong, bytes([query[0] ^ 1, query[1]])), message(0, wrong, asked=other), right]
    if name == "mixed.test":
        right = message(code, [("MiXeD.tESt", k, d) for _, k, d in records])
    if over == "udp" and len(right) > UDP_MAX:
        fit = 0
        while len(message(code, records[:fit + 1])) <= UDP_MAX:
            fit += 1
        return [message(code, records[:fit], truncated=True)]
    return [right]


def serve_udp(server):
    while True:
        query, peer = server.recvfrom(65535)
        threading.Thread(target=lambda q=query, p=peer: [server.sendto(m, p) for m in respond(q, "udp")], daemon=True).start()


def serve_connection(connection):
    stream = connection.makefile("rb")
    with connection:
        while len(prefix := stream.read(2)) == 2:
            for message in respond(stream.read(struct.unpack("!H", prefix)[0]), "tcp"):
                connection.sendall(struct.pack("!H", len(message)) + message)


def serve_tcp(server):
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve_connection, args=(connection,), daemon=True).start()


def main():
    for address in sys.argv[1:]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for kind, serve in ((socket.SOCK_DGRAM, serve_udp), (socket.SOCK_STREAM, serve_tcp)):
            server = socket.socket(family, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((address, 53))
            if kind == socket.SOCK_STREAM:
                server.listen(64)
            threading.Thread(target=serve, args=(server,), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


main()
