"""What every page has: who looks at it, in which language, the API in their name, and how it is rendered."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from chassis.auth import Reach
from chassis.clock import now
from gateway.console import forms
from gateway.console.api import SESSION, Api, Refused
from gateway.console.assets import address
from gateway.console.formats import Formats
from gateway.console.forms import FIELD, SENDER, VISITOR, Fields, form_token
from gateway.console.layout import BELOW, ENVIRONMENT, HEADERS, NAVIGATION, NEEDS, compressed
from gateway.console.messages import LANGUAGES, preferred, say, word
from gateway.console.telling import Telling
from gateway.domain.rights import area_of, powers, rights


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
    written: Fields | None = None
    """The form that was sent, without its token; None as long as it is not read."""
    introduced: bool = False
    """Whether it was asked who looks at it, whatever came of that."""

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

    @property
    def sends(self) -> bool:
        """Whether something was sent here, rather than a page asked for."""
        return self.request.method not in ("GET", "HEAD")

    @property
    def form(self) -> Fields:
        """What was sent; its token is checked before the page is asked for."""
        return self.written or {}

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
            raise forms.unreadable(name, "2026-12-01T08:00") from None
        return (local if local.tzinfo else local.replace(tzinfo=self.zone)).isoformat()

    def render(self, template: str, /, status: int = 200, **values: Any) -> Response:
        """A page, or a part of one, from a template."""
        return self.sealed(compressed(self.request, HTMLResponse(self.html(template, **values), status)))

    def html(self, template: str, /, **values: Any) -> str:
        """The same as text."""
        return ENVIRONMENT.get_template(template).render(
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
            sender_field=SENDER,
            navigation=[(name, path) for name, path in NAVIGATION.items() if self.may(*NEEDS[name])],
            path=self.request.url.path,
            place=BELOW.get(self.request.url.path, self.request.url.path),
            here=self.here,
            back=self.back,
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
    def back(self) -> str:
        """Path and query of a page that can be asked for again: this one, or the one whose form was sent here."""
        return forms.sender(self.request, self.form) if self.sends else self.here

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


def page_of(request: Request) -> Page:
    """The page that a request is for, as long as nobody knows who asks: one for each request."""
    known: Page | None = getattr(request.state, "page", None)
    if known is not None:
        return known
    visitor = request.cookies.get(VISITOR) or secrets.token_urlsafe(24)
    language = preferred(request.headers.get("accept-language", ""))
    page = request.state.page = Page(request, Api(request, request.cookies.get(SESSION)), language, None, visitor)
    if VISITOR not in request.cookies:
        page.cookies[VISITOR] = visitor
    page.zone = _zone(request.app.state.settings.time_zone)
    return page


async def introduce(page: Page) -> None:
    """Find out who looks at a page, once. Raises `Refused`, but not where nobody is signed in."""
    if page.introduced or not page.request.cookies.get(SESSION):
        return
    page.introduced = True
    try:
        me = page.me = await page.api.get("/v1/me")
    except Refused as refused:
        if refused.status != 401:
            raise
        return
    page.language = me.get("language") or page.language
    page.zone = _zone(me["time_zone"]) if me.get("time_zone") else page.zone


async def anybody(request: Request) -> Page:
    """A page that needs nobody to be signed in; who is, is known.

    Raises `NotOurForm`, `ContentTooLarge` and `Refused`.
    """
    page, token = page_of(request), ""
    if page.sends:
        forms.refuse_foreign(request)
        # Before it is known who sends it: where that cannot be told, what was written is kept all the same.
        token, page.written = forms.token_apart(request, await forms.fields(request))
    await introduce(page)
    if page.sends:
        forms.refuse_unless_ours(page.secret, page.bound_to, token)
    return page


Anybody = Annotated[Page, Depends(anybody)]


async def somebody(page: Anybody) -> Page:
    """A page for whoever is signed in. Raises `SignInNeeded`."""
    if page.me is None:
        raise SignInNeeded
    return page


Somebody = Annotated[Page, Depends(somebody)]


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
