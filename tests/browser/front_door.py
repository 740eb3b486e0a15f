"""A door in front of a hub that can be killed in its place: `python -m ... PORT HUB_PORT`.

It carries bytes between a browser and the hub. To kill it costs nothing; the hub takes half a
minute to start.
"""

import asyncio
import contextlib
import sys


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(port: int, hub_port: int) -> None:
    """Listen until killed."""

    async def let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", hub_port)
        await asyncio.gather(_carry(reader, hub_writer), _carry(hub_reader, writer))

    server = await asyncio.start_server(let_in, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
