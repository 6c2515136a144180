"""What a page says where there is nothing else to show: no session, refused, wrongly asked, broken. And the way on."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from fastapi import Request
from starlette.responses import RedirectResponse, Response

from chassis import problems
from gateway.console import forms
from gateway.console.api import Refused, problem_in
from gateway.console.frame import Page, SignInNeeded, introduce, page_of
from gateway.console.layout import HEADERS

log = structlog.get_logger()

FOR_PROGRAMS = ("/v1/", "/openapi.json", "/docs/assets/", "/static/", "/healthz", "/readyz", "/metrics")
"""Beginnings of what nobody looks at as a page: there a problem is told as one, whoever asks."""

Renderer = Callable[[Request, Any], Awaitable[Response]]


async def lead_to_sign_in(request: Request, error: SignInNeeded) -> Response:
    """Where a visitor goes who must sign in first, and back from there; what they wrote waits meanwhile."""
    page = page_of(request)
    there = _looked_at(page)
    target = "/sign-in" if there == "/" else f"/sign-in?next={quote(there)}"
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": target})
    if again := _again(page):
        ended = Refused(401, {"code": "unauthorized"})
        shown = page.render("frame/refused.html", status=401, refused=ended, again=again, there=there, sign_in=target)
        shown.headers["WWW-Authenticate"] = "Bearer"
        return shown
    return RedirectResponse(target, 303, headers=HEADERS)


def _looked_at(page: Page) -> str:
    """Path and query of the page that somebody looks at: that of a part is no page, so htmx tells which has it."""
    if "hx-request" not in page.request.headers:
        return page.back
    try:
        url = urlsplit(page.request.headers.get("hx-current-url", ""))
    except ValueError:
        return "/"
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _again(page: Page) -> list[tuple[str, str]] | None:
    """What was written, to be sent once more; None where nothing was, it was not read, or not by a page of ours."""
    if page.written is None or not forms.is_of_here(page.request):
        return None
    return forms.repeated(page.request, page.written)


async def show_refused(request: Request, refused: Refused) -> Response:
    """What a page says that the API let it down: gone, not allowed, changed meanwhile, a service away."""
    page = page_of(request)
    with suppress(Refused):
        await introduce(page)
    # The cookie of a session that was long ago is gone, and what its forms were bound to.
    if refused.status == 401 or (refused.kind == "stale" and page.me is None and _again(page)):
        return await lead_to_sign_in(request, SignInNeeded())
    return _shown(page, refused)


def _shown(page: Page, refused: Refused) -> Response:
    template = "frame/refused_part.html" if page.by_script else "frame/refused.html"
    # htmx shows what comes with a good status only; the page says in words what went wrong.
    status = 200 if page.by_script else refused.status
    again = _again(page) if refused.passes else None
    response = page.render(template, status=status, refused=refused, again=again, there=_looked_at(page), sign_in=None)
    # What the request itself was counted as is told of any answer.
    told = {name.decode() for name, _ in getattr(page.request.state, "rate_fields", ())}
    response.headers.update({name: said for name, said in refused.headers.items() if name not in told})
    return response


def as_page(render: Renderer) -> Renderer:
    """A renderer of problems that shows them as a page to whoever looks at pages."""

    async def rendered(request: Request, error: Any) -> Response:
        response = await render(request, error)
        return await show_refused(request, _refusal(response)) if _is_looked_at(request) else response

    return rendered


def unexpected(request: Request, error: Exception) -> Response:
    """What nobody named, as `chassis.problems.unexpected` tells it, and as a page to whoever looks at pages."""
    response = problems.unexpected(request, error)
    if not _is_looked_at(request):
        return response
    try:
        return _shown(page_of(request), _refusal(response))
    except Exception:
        # It may be the frame of all pages that is broken.
        log.exception("page of a failure failed")
        return response


def _is_looked_at(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(FOR_PROGRAMS)


def _refusal(response: Response) -> Refused:
    return Refused(response.status_code, problem_in(bytes(response.body), ""), response.headers)


RENDERERS: dict[Any, Any] = {
    **{wrong: as_page(render) for wrong, render in problems.RENDERERS.items()},
    SignInNeeded: lead_to_sign_in,
    Refused: show_refused,
}
"""For the exception handlers of the app."""
