"""For many.sh: `serve ADDRESS PORT` echoes; `connect ADDRESS PORT COUNT` opens COUNT connections, all of them at once,
echoes over each, and closes them."""
import asyncio
import sys


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(address, port):
    server = await asyncio.start_server(echo, address, port, backlog=4096)
    print("listening", flush=True)
    await server.serve_forever()


async def connect(address, port, count):
    everyone = asyncio.Barrier(count)

    async def one(number):
        reader, writer = await asyncio.open_connection(address, port)
        await everyone.wait()
        sent = b"%d " % number * 500
        writer.write(sent)
        writer.write_eof()
        got = await reader.read()
        writer.close()
        await writer.wait_closed()
        return got == sent

    results = await asyncio.wait_for(asyncio.gather(*(one(n) for n in range(count))), 60)
    print(sum(results), "of", count, "connections echoed", flush=True)


if sys.argv[1] == "serve":
    asyncio.run(serve(sys.argv[2], int(sys.argv[3])))
else:
    asyncio.run(connect(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
