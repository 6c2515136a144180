"""Pages whose frame is on its way while what they show is still asked for, so that something can be painted at once."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import quote

import structlog
from starlette.responses import Response

from chassis.http import Streamed
from gateway.console.api import Refused
from gateway.console.frame import Page

log = structlog.get_logger()

MAIN = '<main id="content" tabindex="-1">'
"""Where the frame of a page ends and what it shows begins."""
AT_ONCE_S = 0.03
"""Seconds after which the frame no longer waits: nobody sees that it did."""
GZIP = 31
"""What zlib calls gzip."""

Shown = tuple[str, Mapping[str, Any]]
"""A template and its values."""
Later = Callable[[], Coroutine[Any, Any, Shown]]


async def begun(page: Page, needs: str, template: str, shown: Later, **known: Any) -> Response:
    """A page whose frame is that of a template, with what is known already, and whose content is given by `shown`.

    What is known or refused at once is answered as a whole. Else the status is 200 before anything can be refused: that
    is said where the content would stand. So it is for pages that there are, and for whoever may GET the path that it
    `needs`; others wait for the whole of it. Raises `Refused`.
    """
    content = asyncio.ensure_future(shown())
    # What becomes of it when nobody waits for it any more is of no interest.
    content.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait({content}, timeout=AT_ONCE_S if page.may("GET", needs) else None)
        if content.done():
            whole, values = content.result()
            return page.render(whole, **values)
        frame, _, _ = page.html("frame/begun.html", begins=template, **known).partition(MAIN)
        zipped = "gzip" in page.request.headers.get("accept-encoding", "")
        pieces = _pieces(page, frame + MAIN, content, zipped=zipped)
        await anext(pieces)
    except BaseException:
        content.cancel()
        raise
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    return page.sealed(Streamed(pieces, media_type="text/html", headers=headers))


async def _pieces(page: Page, frame: str, content: asyncio.Future[Shown], *, zipped: bool) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP) if zipped else None
    try:
        # A generator that has not begun is closed without a word: one that has ends what it waits for.
        yield b""
        yield _packed(packer, frame, zlib.Z_SYNC_FLUSH)
        template, values = await content
        whole = page.html(template, **values)
    except Refused as refused:
        whole = _refused(page, refused)
    except Exception:
        log.exception("a page could not be ended", path=page.request.url.path)
        whole = _refused(page, Refused(500, {}))
    finally:
        content.cancel()
    yield _packed(packer, whole.partition(MAIN)[2], zlib.Z_FINISH)


def _refused(page: Page, refused: Refused) -> str:
    sign_in = f"/sign-in?next={quote(page.here)}" if refused.status == 401 else None
    return page.html("frame/refused.html", refused=refused, again=None, there=page.here, sign_in=sign_in)


def _packed(packer: "zlib._Compress | None", text: str, flush: int) -> bytes:
    data = text.encode()
    return data if packer is None else packer.compress(data) + packer.flush(flush)
