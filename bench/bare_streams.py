"""What sends events to open connections at the least: no identity, no filter, no resume, no heartbeat.

`python -m bench.bare_streams PORT DATABASE_URL`
"""

import asyncio
import sys
from typing import Any

import asyncpg
import uvicorn

CHANNEL = "bare"
HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]

queues: set["asyncio.Queue[bytes]"] = set()


def hear(*told: Any) -> None:
    """Have a message wait for everybody."""
    for queue in queues:
        queue.put_nowait(told[3].encode())


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Listen, and stream what is heard."""
    if scope["type"] == "lifespan":
        await receive()
        connection = await asyncpg.connect(sys.argv[2])
        await connection.add_listener(CHANNEL, hear)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        connection.terminate()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    if scope["path"] != "/v1/stream":
        await send({"type": "http.response.body", "body": b"{}"})
        return
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    queues.add(queue)
    await send({"type": "http.response.body", "body": b"retry: 3000\n\n", "more_body": True})
    try:
        while True:
            await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})
    finally:
        queues.discard(queue)


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), loop="uvloop", log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
