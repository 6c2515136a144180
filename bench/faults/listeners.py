"""Systems that are told what happens: one follows the stream, one is called by a webhook."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from bench.faults.clients import Client
from deploy.ports import free_port

AGAIN_S = 0.5
SILENT_S = 20.0
"""More than the stream is ever silent: it sends a comment after 15 s."""
RESUMED_AFTER_S = 15.0
"""A webhook that brought nothing for so long is paused and resumed, so that it does not wait for its next try."""


@dataclass
class Listeners:
    """What both were told, in the order in which it came."""

    client: Client
    streamed: list[dict[str, Any]] = field(default_factory=list)
    called: list[dict[str, Any]] = field(default_factory=list)
    """At the first time that each came."""
    repeated: int = 0
    """Calls of the webhook that came once more, as may be."""
    gone: bool = False
    """Whether the stream said that something is kept no longer."""
    webhook: str = ""
    _seen: set[str] = field(default_factory=set)

    async def follow(self) -> None:
        """Follow the stream from its beginning, again and again from where it broke off."""
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                await self._follow_once()
            await asyncio.sleep(AGAIN_S)

    async def _follow_once(self) -> None:
        last = str(self.streamed[-1]["sequence"]) if self.streamed else None
        headers = {"Last-Event-ID": last} if last else {}
        query = {"historic": "true"} | ({} if last else {"after": "0"})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENT_S)
        stream = self.client.session.get("/v1/stream", params=query, headers=headers, timeout=timeout)
        async with stream as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data: "):
                    self.streamed.append(json.loads(line[6:]))
                elif line.startswith(b"event: reset"):
                    self.gone = True
                    return

    async def hear(self, request: web.Request) -> web.Response:
        """Take what the webhook brings."""
        told = await request.json()
        if told["id"] in self._seen:
            self.repeated += 1
        else:
            self._seen.add(told["id"])
            self.called.append(told)
        return web.Response()

    async def settle(self, events: int, *, seconds: float) -> None:
        """Wait until both were told so many events, not longer than so many seconds."""
        loop = asyncio.get_running_loop()
        until, before, since = loop.time() + seconds, -1, loop.time()
        while loop.time() < until and min(len(self.streamed), len(self.called)) < events:
            if len(self.called) != before:
                before, since = len(self.called), loop.time()
            elif loop.time() - since > RESUMED_AFTER_S:
                since = loop.time()
                with suppress(aiohttp.ClientError, OSError, TimeoutError):
                    for verb in ("pause", "resume"):
                        await self.client.session.post(f"/v1/webhooks/{self.webhook}/{verb}")
            await asyncio.sleep(0.2)


@asynccontextmanager
async def listening(client: Client) -> AsyncIterator[Listeners]:
    """Both, for as long as the block lasts. What comes before the webhook is made, it is not told."""
    listeners, port = Listeners(client), free_port()
    app = web.Application()
    app.router.add_post("/", listeners.hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    following = asyncio.create_task(listeners.follow())
    try:
        wanted = {"url": f"http://127.0.0.1:{port}/", "historic": True}
        async with client.session.post("/v1/webhooks", json=wanted) as response:
            answer = await response.json()
            if response.status != 201:
                raise RuntimeError(f"No webhook: {response.status} {answer}")
            listeners.webhook = answer["id"]
        yield listeners
    finally:
        following.cancel()
        await runner.cleanup()
