"""asyncio on the stack: streams and datagrams with itself over the stack's own loopback, names, time-outs and connections cut off: asyncio_echo.py HOST."""
import asyncio
import socket
import sys

DATA = bytes(range(256)) * 400


async def echo(reader, writer):
    while data := await reader.read(10000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def talk(family, port):
    reader, writer = await asyncio.open_connection("::1" if family == socket.AF_INET6 else "127.0.0.1", port)
    for _ in range(3):
        writer.write(DATA)
        assert await reader.readexactly(len(DATA)) == DATA
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def cut_off(port):
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(DATA)
    writer.transport.abort()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.came = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if data == b"question":
            self.transport.sendto(b"answer", address)
        elif not self.came.done():
            self.came.set_result(data)


async def main():
    loop = asyncio.get_running_loop()
    for family, host in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
        server = await asyncio.start_server(echo, host, 0, family=family)
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(*(talk(family, port) for _ in range(10)))
        if family == socket.AF_INET:
            await asyncio.gather(*(cut_off(port) for _ in range(5)))
        server.close()
        await server.wait_closed()
    one, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    other, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=one.get_extra_info("sockname"))
    other.sendto(b"question")
    assert await asyncio.wait_for(protocol.came, 60) == b"answer"
    one.close()
    other.close()
    found = await asyncio.gather(*(loop.getaddrinfo(name, 80) for name in ("filed", "one.test", "alias.test", "big.test", "localhost")))
    assert all(found)
    for port in 1, 2:  # where nobody listens
        try:
            await asyncio.open_connection(sys.argv[1], port)
            raise AssertionError("connected to a closed port")
        except ConnectionRefusedError:
            pass
    with socket.socket() as quiet:  # a time-out in accept
        quiet.bind(("127.0.0.1", 0))
        quiet.listen()
        quiet.setblocking(False)
        try:
            await asyncio.wait_for(loop.sock_accept(quiet), 0.2)
        except asyncio.TimeoutError:
            pass


asyncio.run(main(), debug=False)
