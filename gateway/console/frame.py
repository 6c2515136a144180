"""What every page has: who looks at it, in which language, the API in their name, and how it is rendered."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from gzip import compress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import URL
from starlette.responses import Response

from chassis.auth import Reach
from chassis.clock import now
from contracts.problems import Problem
from gateway.console.api import SESSION, Api, Refused
from gateway.console.assets import address
from gateway.console.formats import Formats
from gateway.console.forms import FIELD, HEADER, VISITOR, form_token, is_ours
from gateway.console.messages import LANGUAGES, preferred, say, word
from gateway.console.standing import forecast
from gateway.console.telling import Telling
from gateway.domain.feed import TYPES
from gateway.domain.rights import area_of, powers, rights

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
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

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["forecast"] = forecast
_environment.globals["told"] = " ".join(sorted(TYPES))
"""All that the stream tells: pages that follow it listen to each of these."""


class NotOurForm(Problem):
    """A form came that no page of this browser had sent out."""

    status = 403


class SignInNeeded(Exception):
    """Nobody is signed in."""


@dataclass
class Page:
    """One request for a page, and whoever looks at it."""

    request: Request
    api: Api
    language: str
    me: Mapping[str, Any] | None
    """What `GET /v1/me` says; None where nobody has signed in."""
    visitor: str
    """What forms are bound to until somebody has."""
    zone: tzinfo = UTC
    cookies: dict[str, str] = field(default_factory=dict)
    """Cookies that the answer sets, beside the session's."""
    form: Mapping[str, str | list[str]] = field(default_factory=dict)
    """What was sent, with the token of the form checked and taken out."""

    def t(self, key: str, /, **values: Any) -> str:
        """A message in the reader's language."""
        return say(self.language, key, **values)

    def word(self, kind: str, code: str | None) -> str:
        """What a code is called (`party.way_` of `phone`); one that an installation made up stays as it is."""
        return word(self.language, f"{kind}{code}") or code or ""

    @property
    def formats(self) -> Formats:
        """How values are written for the reader."""
        return Formats(self.language, self.zone, now())

    @property
    def telling(self) -> Telling:
        """What the API says in English, in the reader's language."""
        return Telling(self.language, self.formats)

    def chosen(self, name: str) -> list[str]:
        """The values of a field that may come several times."""
        said = self.form.get(name, [])
        return [said] if isinstance(said, str) else said

    @property
    def by_script(self) -> bool:
        """Whether htmx asks for a part, rather than the browser for the page."""
        return "hx-request" in self.request.headers and "hx-boosted" not in self.request.headers

    @property
    def computes(self) -> bool:
        """Whether what takes longer is computed now: its page comes first and asks for it, or is told `?shown=1`."""
        return self.by_script or "shown" in self.request.query_params

    def may(self, method: str, path: str) -> bool:
        """Whether whoever is signed in may ask the API for this; the API decides again."""
        area = area_of(path)
        return area is not None and not rights(method, path, area).keys().isdisjoint((self.me or {}).get("scopes", ()))

    @property
    def reaches_all(self) -> bool:
        """Whether whoever is signed in reaches every party, and not only those whom they or their team look after."""
        return powers(frozenset((self.me or {}).get("scopes", ()))).reach is Reach.ALL

    def instant(self, name: str) -> str | None:
        """A day and time of day that was filled in where the reader is; None where it is empty.

        Raises `Refused` for what is none: what was to happen later must not happen now.
        """
        said = str(self.form.get(name) or self.request.query_params.get(name, "")).strip()
        if not said:
            return None
        try:
            local = datetime.fromisoformat(said)
        except ValueError:
            raise unreadable(name, "2026-12-01T08:00") from None
        return (local if local.tzinfo else local.replace(tzinfo=self.zone)).isoformat()

    def render(self, template: str, /, status: int = 200, **values: Any) -> Response:
        """A page, or a part of one, from a template."""
        return self.sealed(_compressed(self.request, HTMLResponse(self.html(template, **values), status)))

    def html(self, template: str, /, **values: Any) -> str:
        """The same as text."""
        return _environment.get_template(template).render(
            page=self,
            t=self.t,
            word=self.word,
            f=self.formats,
            telling=self.telling,
            me=self.me,
            language=self.language,
            languages=LANGUAGES,
            asset=address,
            csrf=form_token(self.secret, self.bound_to),
            csrf_field=FIELD,
            navigation=[(name, path) for name, path in NAVIGATION.items() if self.may(*NEEDS[name])],
            path=self.request.url.path,
            place=BELOW.get(self.request.url.path, self.request.url.path),
            here=self.here,
            **values,
        )

    def to(self, path: str, *, notice: str | None = None) -> Response:
        """Lead on to another page, which may say a message there first (`today.saved`)."""
        target = path if notice is None else f"{path}{'&' if '?' in path else '?'}{urlencode({'notice': notice})}"
        if "hx-request" in self.request.headers:
            return self.sealed(Response(status_code=204, headers={"HX-Redirect": target}))
        return self.sealed(RedirectResponse(target, 303))

    def sealed(self, response: Response) -> Response:
        """The answer with the headers and cookies of a page."""
        response.headers.update({name: value for name, value in HEADERS.items() if name not in response.headers})
        for name, value in self.cookies.items():
            response.set_cookie(name, value, httponly=True, samesite="lax", secure=self.secure, path="/")
        return response

    @property
    def here(self) -> str:
        """Path and query of this page, for a link that leads back."""
        query = self.request.url.query
        return self.request.url.path + (f"?{query}" if query else "")

    @property
    def notice(self) -> str | None:
        """The message that the page before left."""
        key = self.request.query_params.get("notice", "")
        try:
            return self.t(key) if key else None
        except (KeyError, IndexError, ValueError):
            return None

    @property
    def secure(self) -> bool:
        """Whether the browser came by TLS."""
        return self.request.url.scheme == "https"

    @property
    def secret(self) -> str:
        """What tokens of forms are made with."""
        return str(self.request.app.state.settings.internal_secret.get_secret_value())

    @property
    def bound_to(self) -> str:
        """What ties a form to this browser."""
        return self.request.cookies.get(SESSION) or self.visitor

    def signed_in(self, response: Response, token: str, *, seconds: int) -> Response:
        """The answer, after which the browser has a session."""
        response.set_cookie(
            SESSION, token, max_age=seconds, httponly=True, samesite="lax", secure=self.secure, path="/"
        )
        return response

    def signed_out(self, response: Response) -> Response:
        """The answer, after which it has none."""
        response.delete_cookie(SESSION, path="/", httponly=True, samesite="lax", secure=self.secure)
        return response


async def anybody(request: Request) -> Page:
    """A page that needs nobody to be signed in; who is, is known. Raises `NotOurForm` and `Refused`."""
    token = request.cookies.get(SESSION)
    visitor = request.cookies.get(VISITOR) or secrets.token_urlsafe(24)
    page = Page(request, Api(request, token), preferred(request.headers.get("accept-language", "")), None, visitor)
    if VISITOR not in request.cookies:
        page.cookies[VISITOR] = visitor
    if token:
        try:
            page.me = await page.api.get("/v1/me")
        except Refused as refused:
            if refused.status != 401:
                raise
    me = page.me or {}
    page.language = me.get("language") or page.language
    page.zone = _zone(me.get("time_zone") or request.app.state.settings.time_zone)
    if request.method not in ("GET", "HEAD"):
        page.form = await _form(page)
    return page


Anybody = Annotated[Page, Depends(anybody)]


async def somebody(page: Anybody) -> Page:
    """A page for whoever is signed in. Raises `SignInNeeded`."""
    if page.me is None:
        raise SignInNeeded
    return page


Somebody = Annotated[Page, Depends(somebody)]


async def _form(page: Page) -> Mapping[str, str | list[str]]:
    """The fields of a form sent by this browser: several values of one name as a list. Files are left to the page."""
    request = page.request
    whole = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    fields: dict[str, str | list[str]] = {}
    if whole:
        async with request.form() as sent:
            for name in sent:
                values = [str(each) for each in sent.getlist(name)]
                fields[name] = values[0] if len(values) == 1 else values
    token = request.headers.get(HEADER) or fields.pop(FIELD, None) or request.query_params.get(FIELD, "")
    foreign = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if foreign or not isinstance(token, str) or not is_ours(page.secret, page.bound_to, token):
        raise NotOurForm("This form is not one of this browser's pages, or it is too old. Load the page again.")
    return fields


def unreadable(name: str, example: str) -> Refused:
    """What is said of a field in which something else stands than a day or a time."""
    detail = f"Write it as in {example}."
    said = {
        "code": "invalid_request",
        "detail": "This is no day or time.",
        "errors": [{"pointer": f"#/{name}", "detail": detail}],
    }
    return Refused(422, said)


async def lead_to_sign_in(request: Request, error: SignInNeeded) -> Response:
    """Where a visitor goes who must sign in first, and back from there."""
    there = _looked_at(request)
    target = "/sign-in" if there == "/" else f"/sign-in?next={quote(there)}"
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303, headers=HEADERS)


def _looked_at(request: Request) -> str:
    """Path and query of the page that somebody looks at: that of a part is no page, so htmx tells which has it."""
    url: URL | SplitResult = request.url
    if "hx-request" in request.headers:
        try:
            url = urlsplit(request.headers.get("hx-current-url", ""))
        except ValueError:
            return "/"
    elif request.method != "GET":
        return "/"
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


async def show_refused(request: Request, refused: Refused) -> Response:
    """What a page says that the API let it down: gone, not allowed, changed meanwhile, a service away."""
    if refused.status == 401:
        return await lead_to_sign_in(request, SignInNeeded())
    language, me = preferred(request.headers.get("accept-language", "")), None
    page = Page(request, Api(request, request.cookies.get(SESSION)), language, me, request.cookies.get(VISITOR, ""))
    try:
        page.me = await page.api.get("/v1/me")
        page.language = page.me.get("language") or page.language if page.me else page.language
    except Refused:
        page.me = None
    template = "frame/refused_part.html" if page.by_script else "frame/refused.html"
    # htmx shows what comes with a good status only; the page says in words what went wrong.
    status = 200 if page.by_script else refused.status
    return page.render(template, status=status, refused=refused)


RENDERERS: dict[Any, Any] = {SignInNeeded: lead_to_sign_in, Refused: show_refused}
"""For the exception handlers of the app."""


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _compressed(request: Request, response: HTMLResponse) -> Response:
    body = bytes(response.body)
    if len(body) >= COMPRESSED_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = compress(body, 6, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Content-Length"] = str(len(response.body))
    return response
