"""What all pages share: their headers, the navigation, the templates."""

from collections.abc import Mapping
from gzip import compress
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response

from gateway.console.standing import forecast
from gateway.domain.feed import TYPES

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    # A form tells from which page it was sent, and nobody else is told.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Cookie, HX-Request, Accept-Language",
}
COMPRESSED_FROM = 1_000
"""Bytes from which a page is compressed."""

NAVIGATION: Mapping[str, str] = {
    "today": "/",
    "population": "/population",
    "parties": "/parties",
    "import": "/import",
    "duplicates": "/duplicates",
    "policies": "/policies",
    "models": "/models",
    "operations": "/operations",
    "users": "/users",
}
"""The pages that lead to all others, by the area of their messages (`frame.nav_…`)."""
BELOW: Mapping[str, str] = {"/unanswered": "/", "/problems": "/", "/teams": "/users"}
"""Pages that belong to another one by what they are about, not by their address."""

NEEDS: Mapping[str, tuple[str, str]] = {
    "today": ("GET", "/v1/standings"),
    "population": ("GET", "/v1/standings/summary"),
    "parties": ("GET", "/v1/standings"),
    "import": ("GET", "/v1/imports"),
    "duplicates": ("GET", "/v1/duplicates"),
    "policies": ("GET", "/v1/policies"),
    "models": ("GET", "/v1/models"),
    "operations": ("GET", "/v1/status"),
    "users": ("POST", "/v1/users"),
}
"""What a person must be allowed to ask for a page to be of use."""

ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals["forecast"] = forecast
ENVIRONMENT.globals["told"] = " ".join(sorted(TYPES))
"""All that the stream tells: pages that follow it listen to each of these."""


def compressed(request: Request, response: HTMLResponse) -> Response:
    """The page, compressed where it is long and the browser takes that."""
    body = bytes(response.body)
    if len(body) >= COMPRESSED_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = compress(body, 6, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
    return response
