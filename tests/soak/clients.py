#!/usr/bin/python3
"""clients - small programs that check what they are answered, and their servers.

    clients.py async-serve ADDRESS PORT          asyncio: sends back each line
    clients.py async ADDRESS PORT CONNECTIONS LINES SEED
    clients.py udp-serve ADDRESS PORT            sends back each datagram
    clients.py udp ADDRESS PORT DATAGRAMS SEED   says how many were lost, and how many came twice
    clients.py redis ADDRESS PORT COMMANDS SEED  pipelines of SET, then of GET
    clients.py names NAME ADDRESS                getaddrinfo()
    clients.py idle ADDRESS PORT CONNECTIONS     has them, and does nothing

Exit status: 0, or 1 with what was wrong on standard error; 2 when an error ended it, as when the server was killed.
"""
import asyncio
import random
import socket
import sys
import time


class Wrong(Exception):
    """An answer that was not what it had to be."""


async def async_serve(address, port):
    async def one(reader, writer):
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
    server = await asyncio.start_server(one, address, port, backlog=500, limit=1 << 20)
    print("ready", flush=True)
    await server.serve_forever()


async def async_client(address, port, connections, lines, seed):
    rng = random.Random(seed)

    async def one(number):
        reader, writer = await asyncio.open_connection(address, port, limit=1 << 20)
        for i in range(lines):
            line = (f"{number} {i} " + "x" * rng.choice((0, 10, 1000, 30000))).encode() + b"\n"
            writer.write(line)
            await writer.drain()
            answer = await reader.readline()
            if not answer:
                raise ConnectionResetError("closed by the server")
            if answer != line:
                raise Wrong(f"connection {number}, line {i}: {answer[:60]!r} instead of {line[:60]!r}")
        writer.close()
        await writer.wait_closed()
    await asyncio.gather(*(one(number) for number in range(connections)))


def udp_serve(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, port))
    print("ready", flush=True)
    while True:
        try:
            data, peer = s.recvfrom(65536)
            s.sendto(data, peer)
        except OSError:
            pass


def udp(address, port, datagrams, seed):
    rng = random.Random(seed)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((address, port))
    s.settimeout(3)
    lost, doubled = set(), 0
    for number in range(datagrams):
        data = f"{number} ".encode() + rng.randbytes(rng.choice((0, 10, 1000, 1400, 4000)))
        s.send(data)
        try:
            while (answer := s.recv(65536)) != data:
                head = answer.split(b" ")[0]
                if not head.isdigit() or int(head) >= number:
                    raise Wrong(f"datagram {number}: {answer[:40]!r}")
                doubled += int(head) not in lost  # else it was only late
                lost.discard(int(head))
        except TimeoutError:
            lost.add(number)
    print(f"lost {len(lost)} doubled {doubled}", flush=True)


def read_reply(stream):
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("closed by the server")
    if line[:1] != b"$":
        return line[:-2]
    size = int(line[1:])
    return stream.read(size + 2)[:-2] if size >= 0 else None


def redis(address, port, commands, seed):
    rng = random.Random(seed)
    s = socket.create_connection((address, port))
    stream = s.makefile("rb")
    values = {f"{seed}-{i}".encode(): rng.randbytes(rng.choice((1, 100, 5000))) for i in range(commands)}

    def say(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    s.sendall(b"".join(say(b"SET", key, value) for key, value in values.items()))
    for key in values:
        if (reply := read_reply(stream)) != b"+OK":
            raise Wrong(f"SET {key}: {reply[:60]!r}")
    s.sendall(b"".join(say(b"GET", key) for key in values))
    for key, value in values.items():
        if (reply := read_reply(stream)) != value:
            raise Wrong(f"GET {key}: {reply[:60] if reply else reply!r}")
    s.sendall(say(b"DEL", *values))
    if (reply := read_reply(stream)) != b":%d" % len(values):
        raise Wrong(f"DEL: {reply[:60]!r}")


def names(name, address):
    got = {found[4][0] for found in socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)}
    if got != {address}:
        raise Wrong(f"{name} is {got}")


def idle(address, port, connections):
    kept = [socket.create_connection((address, port)) for _ in range(connections)]
    print("ready", flush=True)
    time.sleep(20)
    del kept


def main():
    mode, *rest = sys.argv[1:]
    address, rest = rest[0], rest[1:]
    numbers = [int(word) for word in rest] if mode != "names" else rest
    try:
        if mode == "async-serve":
            asyncio.run(async_serve(address, *numbers))
        elif mode == "async":
            asyncio.run(async_client(address, *numbers))
        else:
            {"udp-serve": udp_serve, "udp": udp, "redis": redis, "names": names, "idle": idle}[mode](address, *numbers)
    except Wrong as error:
        print("WRONG:", error, file=sys.stderr)
        sys.exit(1)
    except (OSError, EOFError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)


main()
