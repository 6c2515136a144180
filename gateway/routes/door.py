"""Who stands at the door: every public route asks here first."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes
from uuid import UUID

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.auth import Caller, Forbidden, Reach, Unauthorized
from gateway.domain.bulkheads import ServiceBusy
from gateway.domain.drain import IntakeClosed
from gateway.domain.rates import Level, Rate, RateLimited, fields, neighbourhood
from gateway.domain.retiring import Retirements
from gateway.domain.rights import Area, Grants, PathNotFound, UnreadableAddress, area_of, changes, is_open, rights
from gateway.domain.roles import Role, powers, widest
from gateway.domain.services import ServiceFailed, ServiceTimeout, ServiceUnavailable
from gateway.domain.sessions import UNATTENDED, PeopleAlone
from gateway.models.users import AppUser
from gateway.queries import keyring
from gateway.queries.intake import Intake
from gateway.queries.keyring import Holder, Keyring
from gateway.queries.meter import Meter

KEY, ADDRESS = "key", "address"
"""Names of the two policies in the header fields: by key, and by address for who has none."""
MAY_END_IN = (
    *(UnreadableAddress, Unauthorized, Forbidden, PathNotFound, RateLimited),
    *(IntakeClosed, ServiceUnavailable, ServiceBusy, ServiceFailed, ServiceTimeout),
)
"""What any request may end in before a service has had its say, or without one."""
NOBODY = Caller("nobody", frozenset())
"""Whoever asks for what anybody may."""
ANYBODY: dict[str, Any] = {"security": []}
"""For `openapi_extra=` of what anybody may ask for."""
WHO = {KEY: "This key", ADDRESS: "Whoever has no valid key"}


async def caller(request: Request) -> Caller:
    """Whose key the request carries, if it may do what it asks for and has not asked too often.

    Asked again within a request, it is not counted again.
    """
    admitted: Caller | None = getattr(request.state, "caller", None)
    if admitted is not None:
        return admitted
    refuse_unreadable(request)
    if is_open(request.method, request.scope["path"]):
        await stranger(request)
        request.state.caller = NOBODY
        return NOBODY
    holder = request.state.holder = await known(request)
    state = request.app.state
    rate = state.rates.of(holder.rate, holder.caller.scopes)
    refuse_too_many(request, KEY, rate, state.meter.take(holder.caller.key_id, rate))
    needed = rights(request.method, request.scope["path"], area(request))
    admitted = granted(holder.caller, needed)
    if admitted is None:
        raise Forbidden("You may not do this.", scopes=sorted(holder.caller.scopes), needed=sorted(needed))
    await refuse_while_drained(request)
    request.state.caller = admitted
    return admitted


def granted(caller: Caller, needed: Grants) -> Caller | None:
    """A caller as services see it, if one of its roles may do what takes one of those; None otherwise."""
    may = frozenset((role, needed[role]) for role in _roles_of(caller.scopes) if role in needed)
    return signed_as(caller, may) if may else None


@lru_cache(4_096)
def _roles_of(scopes: frozenset[str]) -> tuple[Role, ...]:
    return tuple(map(Role, sorted(scopes)))


@lru_cache(4_096)
def signed_as(caller: Caller, granted: frozenset[tuple[Role, Reach]]) -> Caller:
    """A caller as services see it: the scopes of its roles, and the reach of those that may do what is asked for."""
    reach, contact = widest(dict(granted))
    return replace(
        caller,
        scopes=powers(caller.scopes).scopes,
        reach=min(reach, caller.reach),
        contact=contact and caller.contact,
    )


async def refuse_while_drained(request: Request) -> None:
    """Raise `IntakeClosed` for what would change something in a service, or bring something, during a drain."""
    path, there = request.scope["path"], area(request)
    if there.service is not None and changes(request.method, path, there):
        intake: Intake = request.app.state.intake
        if await intake.is_closed(request.app.state.database):
            raise IntakeClosed


async def known(request: Request, *, used: bool = True) -> Holder:
    """Whose secret it is; who has none, or a wrong one, may not try again and again.

    A session that is only looked at, or asked by a page on its own, is not `used` by that.
    """
    used = used and UNATTENDED not in request.headers
    keyring: Keyring = request.app.state.keyring
    secret = bearer(request.scope["headers"])
    if keyring.seen(secret):
        return await keyring.holder(request.app.state.database, secret, used=used)
    give_back = await stranger(request)
    if not secret:
        raise Unauthorized("Send an API key or the token of a session: Authorization: Bearer shuke_…")
    holder = await keyring.holder(request.app.state.database, secret, used=used)
    give_back()
    return holder


async def stranger(request: Request) -> Callable[[], None]:
    """Count a request by its address, and tell how to take that back. Raises `RateLimited`."""
    meter: Meter = request.app.state.meter
    rate: Rate = request.app.state.settings.limit_stranger
    who = _place(request)
    refuse_too_many(request, ADDRESS, rate, meter.take(who, rate))
    return lambda: meter.give_back(who, rate)


def count_visitor(request: Request) -> None:
    """Count a request for a page by its address, in a bucket of its own. Raises `RateLimited`.

    Signing in takes some pages, and what they ask the API counts there: neither uses up the other.
    """
    meter: Meter = request.app.state.meter
    rate: Rate = request.app.state.settings.limit_visitor
    refuse_too_many(request, ADDRESS, rate, meter.take(f"page {_place(request)}", rate))


def _place(request: Request) -> str:
    return neighbourhood(request.client.host if request.client else "nowhere")


def refuse_too_many(request: Request, policy: str, rate: Rate, level: Level) -> None:
    """Have the answer tell what is left. Raises `RateLimited` where nothing is."""
    request.state.rate_fields = fields(policy, rate, level)
    if not level.allowed:
        raise RateLimited(
            f"Wait {level.wait_s} s. {WHO[policy]} may make {rate.per_s} requests per second, {rate.burst} at once.",
            policy=policy,
            limit={"per_s": rate.per_s, "burst": rate.burst},
            retry_after_s=level.wait_s,
        )


def refuse_unreadable(request: Request) -> None:
    """Raise `UnreadableAddress` for a path or query that no service could read or keep."""
    refuse_unreadable_parts(request.scope["raw_path"], request.scope["query_string"])


def refuse_unreadable_parts(*parts: bytes) -> None:
    """The same of parts of an address."""
    for part in parts:
        if b"%" not in part and part.isascii() and b"\0" not in part:
            continue
        plain = unquote_to_bytes(part)
        if b"\0" in plain:
            raise UnreadableAddress("Path and query hold no NUL.")
        try:
            plain.decode()
        except UnicodeDecodeError:
            raise UnreadableAddress("Path and query are UTF-8, percent-encoded.") from None


def area(request: Request) -> Area:
    """The area of the request's path. Raises `PathNotFound`."""
    found: Area | None = request.scope.get("shuke.area") or area_of(request.scope["path"])
    if found is None:
        raise PathNotFound("Nothing answers under this path.")
    request.scope["shuke.area"] = found
    return found


SAFE: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    # What a browser may do with an answer: show it, and in no frame. Pages say what else.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of every answer that does not say otherwise."""
UNKEPT = (b"cache-control", b"no-store")
"""Who is who stays in no cache, neither on the way nor on the disk of a browser."""
SAFE_IN_API = (*SAFE, UNKEPT)
TLS_ALONE = (b"strict-transport-security", b"max-age=31536000")
"""Behind TLS a browser comes by nothing else for a year."""


Pairs = list[tuple[bytes, bytes]]


def wanted_headers(scope: Scope, retirements: Retirements) -> tuple[tuple[bytes, bytes], ...]:
    """What the answer to a request shall say, unless it says otherwise: safety, and whether its operation goes away."""
    wanted = SAFE
    if scope["path"].startswith("/v1/"):
        wanted = SAFE_IN_API + retirements.headers(scope["method"], scope["path"])
    return (*wanted, TLS_ALONE) if scope.get("scheme") == "https" else wanted


def with_those_wanted(headers: Pairs, wanted: tuple[tuple[bytes, bytes], ...]) -> Pairs:
    """The headers of an answer, and those wanted of which it says nothing."""
    said = {name for name, _ in headers}
    return [*headers, *[pair for pair in wanted if pair[0] not in said]]


class SafeHeaders:
    """Adds to every answer what keeps browsers from making more of it than it is, and that its operation goes away."""

    def __init__(self, app: ASGIApp, *, retirements: Retirements) -> None:
        self.app = app
        self.retirements = retirements

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        wanted = wanted_headers(scope, self.retirements)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_those_wanted(list(message.get("headers", ())), wanted)
            await send(message)

        await self.app(scope, receive, send_safely)


class RateFields:
    """Adds to every answer what is left of the caller's rate, also to those that are problems."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        state = scope.setdefault("state", {})

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *state.get("rate_fields", ())]
            await send(message)

        await self.app(scope, receive, send_with_fields)


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The secret that a request carries; empty without one."""
    said = next((value for name, value in headers if name == b"authorization"), b"").decode("latin-1")
    scheme, _, secret = said.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


Asking = Annotated[Caller, Depends(caller)]


async def person(request: Request, asking: Asking) -> UUID:
    """The id of the person who asks. Raises `PeopleAlone`."""
    if asking.user_id is None:
        raise PeopleAlone("Sign in by POST /v1/sessions, and send the token of the session.")
    return asking.user_id


async def session_id(request: Request, asking: Asking) -> UUID | None:
    """The session that the request came with; None where it came with something else."""
    holder: Holder = request.state.holder
    return holder.session_id


async def key_id(request: Request, asking: Asking) -> UUID | None:
    """The API key that the request came with; None where it came with something else."""
    holder: Holder = request.state.holder
    return holder.key_id


async def roles(request: Request, asking: Asking) -> list[Role]:
    """The roles of whoever asks, without what they imply."""
    holder: Holder = request.state.holder
    return [role for role in Role if role in holder.caller.scopes]


def signed_as_person(row: AppUser) -> Caller:
    """Somebody who has just signed in, as the caller that they will be."""
    known = keyring.person(row)
    return replace(known, scopes=powers(known.scopes).scopes)


PersonAsking = Annotated[UUID, Depends(person)]
SessionAsking = Annotated[UUID | None, Depends(session_id)]
KeyAsking = Annotated[UUID | None, Depends(key_id)]
RolesAsking = Annotated[list[Role], Depends(roles)]
