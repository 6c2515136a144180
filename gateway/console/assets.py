"""Scripts, styles and pictures: each under an address that names its content, so that browsers keep it for ever."""

import hashlib
import mimetypes
from functools import cache
from gzip import compress
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

router = APIRouter(include_in_schema=False)

FOREVER = "public, max-age=31536000, immutable"
OWN = Path(__file__).parent / "static"
HTMX = "htmx.js"
COMPRESSIBLE = frozenset({"text/javascript", "text/css", "image/svg+xml"})


class Asset(NamedTuple):
    """A file as it is sent."""

    plain: bytes
    zipped: bytes | None
    media_type: str
    digest: str


@cache
def asset(name: str) -> Asset | None:
    """A file by its name, None where there is none."""
    if name == HTMX:
        plain = (files("js_lib_htmx") / "static/htmx/htmx.min.js").read_bytes()
    elif (file := OWN / name).parent == OWN and file.is_file():
        plain = file.read_bytes()
    else:
        return None
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    zipped = compress(plain, 9, mtime=0) if media_type in COMPRESSIBLE else None
    return Asset(plain, zipped, media_type, hashlib.sha256(plain).hexdigest()[:12])


def address(name: str) -> str:
    """Where a file is found. Raises `KeyError` where there is none."""
    found = asset(name)
    if found is None:
        raise KeyError(name)
    return f"/static/{found.digest}/{name}"


@router.get("/static/{digest}/{name}")
async def read_asset(digest: str, name: str, request: Request) -> Response:
    """A file; with an older digest it is the present one, and not kept."""
    found = asset(name)
    if found is None:
        raise HTTPException(404)
    headers = {"Cache-Control": FOREVER if digest == found.digest else "no-cache", "Vary": "Accept-Encoding"}
    headers["X-Content-Type-Options"] = "nosniff"
    # A shared worker goes by what its own script says, not by the pages that share it.
    headers["Content-Security-Policy"] = "default-src 'self'"
    if found.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.zipped, media_type=found.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(found.plain, media_type=found.media_type, headers=headers)
