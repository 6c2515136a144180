"""Pages whose frame is sent before what they show, as a browser gets them."""

import asyncio
import zlib

import httpx
from fastapi.routing import APIRoute
from starlette.responses import Response

from gateway.console.api import SESSION, Refused
from gateway.console.begun import AT_ONCE_S, GZIP, Shown, begun
from gateway.console.frame import Somebody
from gateway.console.messages import say

from .conftest import Door
from .people import owner


async def test_a_page_that_is_begun_is_ended_and_what_nobody_waits_for_is_let_go(door: Door) -> None:
    left = asyncio.Event()

    async def later(page: Somebody, end: str, begins: str = "frame/missing.html") -> Response:
        async def shown() -> Shown:
            try:
                await asyncio.sleep(60 if end == "never" else AT_ONCE_S * 4)
            except asyncio.CancelledError:
                left.set()
                raise
            if end != "whole":
                raise Refused(int(end), {})
            return "frame/missing.html", {}

        return await begun(page, "/v1/standings", begins, shown)

    async def is_let_go() -> None:
        await asyncio.wait_for(left.wait(), 20)
        left.clear()

    door.app.router.routes.insert(0, APIRoute("/later", later, methods=["GET"]))
    olga = await owner(door)
    async with httpx.AsyncClient(base_url=door.url, timeout=60, trust_env=False) as browser:
        browser.cookies.set(SESSION, olga.token)
        browser.headers["Accept"] = "text/html"

        for end, said in (
            ("whole", "frame.missing_title"),
            ("401", "frame.refused_ended_read_hint"),
            ("503", "frame.refused_away_hint"),
        ):
            for encoding in ("gzip", "identity"):
                headers = {"Accept-Encoding": encoding}
                async with browser.stream("GET", f"/later?end={end}", headers=headers) as answer:
                    raw = b"".join([piece async for piece in answer.aiter_raw()])
                assert (answer.status_code, answer.headers.get("content-encoding")) == (
                    200,
                    "gzip" if encoding == "gzip" else None,
                )
                if encoding == "gzip":
                    unpacker = zlib.decompressobj(wbits=GZIP)
                    raw = unpacker.decompress(raw)
                    assert (unpacker.eof, unpacker.unused_data) == (True, b"")
                text = raw.decode()
                assert [text.count(once) for once in ("<!doctype html>", "<main ", "</main>", "</html>")] == [1] * 4
                assert say("en", said) in text
                assert ('href="/sign-in?next=/later%3Fend%3D401"' in text) == (end == "401")

        head = await browser.head("/later?end=never")
        assert (head.status_code, head.content) == (200, b"")
        await is_let_go()

        async with browser.stream("GET", "/later?end=never") as answer:
            assert await anext(answer.aiter_raw())
        await is_let_go()

        broken = await browser.get("/later?end=never&begins=frame/none.html")
        assert broken.is_server_error
        await is_let_go()

        for path in ("/operations/audit?cursor=junk",):
            assert (await browser.get(path)).status_code == 400
