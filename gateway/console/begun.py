"""Pages whose frame is on its way while what they show is still asked for, so that something can be painted at once."""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import structlog
from starlette.responses import Response

from chassis.http import Streamed
from gateway.console.api import Refused
from gateway.console.frame import Page

log = structlog.get_logger()

MAIN = '<main id="content" tabindex="-1">'
"""Where the frame of a page ends and what it shows begins."""
GZIP = 31
"""What zlib calls gzip."""

Shown = tuple[str, Mapping[str, Any]]
"""A template and its values."""
Later = Callable[[], Awaitable[Shown]]


async def begun(page: Page, needs: str, template: str, shown: Later, **known: Any) -> Response:
    """A page whose frame is that of a template, with what is known already, and whose content is given by `shown`.

    The status is 200 before anything can be refused: that is said where the content would stand. So it is for pages
    that there are, and for whoever may GET the path that it `needs`; others get it as a whole, or `Refused`.
    """
    if not page.may("GET", needs):
        whole, values = await shown()
        return page.render(whole, **values)
    frame, _, _ = page.html("frame/begun.html", begins=template, **known).partition(MAIN)
    zipped = "gzip" in page.request.headers.get("accept-encoding", "")
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    return page.sealed(
        Streamed(_pieces(page, frame + MAIN, shown, zipped=zipped), media_type="text/html", headers=headers)
    )


async def _pieces(page: Page, frame: str, shown: Later, *, zipped: bool) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP) if zipped else None
    yield _packed(packer, frame, zlib.Z_SYNC_FLUSH)
    try:
        template, values = await shown()
        whole = page.html(template, **values)
    except Refused as refused:
        whole = page.html("frame/refused.html", refused=refused)
    except Exception:
        log.exception("a page could not be ended", path=page.request.url.path)
        whole = page.html("frame/refused.html", refused=Refused(500, {}))
    yield _packed(packer, whole.partition(MAIN)[2], zlib.Z_FINISH)


def _packed(packer: "zlib._Compress | None", text: str, flush: int) -> bytes:
    data = text.encode()
    return data if packer is None else packer.compress(data) + packer.flush(flush)
