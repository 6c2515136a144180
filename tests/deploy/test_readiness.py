"""Whether a part answers."""

import asyncio
import gc

from deploy.readiness import http_answers


async def test_what_takes_a_connection_and_says_nothing_does_not_answer_and_keeps_no_connection() -> None:
    ended = asyncio.Event()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()
        writer.close()
        ended.set()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()

    assert not await http_answers(f"http://{host}:{port}/readyz")

    async with asyncio.timeout(60):
        await ended.wait()
    server.close()
    gc.collect()
