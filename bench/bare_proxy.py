"""What passes requests on at the least: aiohttp on both sides. No identity, no limit, no log, no measurement.

`python -m bench.bare_proxy PORT UPSTREAM`
"""

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"})


async def upstream(app: web.Application) -> AsyncIterator[None]:
    """Connections that stay open."""
    connector = aiohttp.TCPConnector(limit=512)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as app[SESSION]:
        yield


async def forward(request: web.Request) -> web.Response:
    """Pass one request on, and its answer back."""
    headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
    body = await request.read() if request.body_exists else None
    async with request.app[SESSION].request(
        request.method, sys.argv[2] + request.raw_path, headers=headers, data=body
    ) as answer:
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
        return web.Response(status=answer.status, body=await answer.read(), headers=dict(kept))


SESSION = web.AppKey("session", aiohttp.ClientSession)

if __name__ == "__main__":
    app = web.Application()
    app.cleanup_ctx.append(upstream)
    app.router.add_route("*", "/{path:.*}", forward)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), loop=uvloop.new_event_loop(), print=None, access_log=None)
