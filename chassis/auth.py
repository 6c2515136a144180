"""Who is asking: the gateway signs it, the services verify it."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.problems import Problem

HEADER = "X-Shuke-Actor"
LIFETIME_S = 300
"""Seconds that a signed actor holds; the gateway renews it at half of that."""
CACHED = 1_024

_K = TypeVar("_K")
_V = TypeVar("_V")


class Unauthorized(Problem):
    """Nobody, or somebody unknown, is asking."""

    status = 401


class Forbidden(Problem):
    """Who is asking may not do this."""

    status = 403


class OutOfReach(Problem):
    """Who asks may change this for some parties, and not for this one."""

    status = 403

    def __init__(self, reach: "Reach") -> None:
        super().__init__(f"You change this only for {_REACHED[reach]}. {_WHO_MAY[reach]} may do it.", reach=str(reach))


class Reach(IntEnum):
    """How far a caller's right goes: the wider one is the greater."""

    OWN = 1
    """Parties that the caller owns."""
    TEAM = 2
    """Those, and the parties of the caller's team."""
    ALL = 3
    """Every party."""

    def __str__(self) -> str:
        return self.name.lower()


_REACHED = {Reach.OWN: "parties that you look after", Reach.TEAM: "parties of your team", Reach.ALL: "everybody"}
_WHO_MAY = {
    Reach.OWN: "Who looks after it, the manager of its team, or an operator",
    Reach.TEAM: "Somebody of its team, or an operator",
    Reach.ALL: "An operator",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, what they may do, how far, and whether they see contact data."""

    key_id: str
    """`key_…` of an API key, `user_…` of a person."""
    scopes: frozenset[str]
    user_id: UUID | None = None
    """Whose parties are the caller's own; None for an API key."""
    team_id: UUID | None = None
    """Whose parties are those of the caller's team."""
    reach: Reach = Reach.ALL
    contact: bool = True
    """Whether e-mail addresses, phone numbers and notes are shown in clear."""

    @property
    def care(self) -> tuple[UUID | None, UUID | None]:
        """The owner and the team of which a party within a reach short of everything has at least one."""
        return self.user_id, self.team_id if self.reach is Reach.TEAM else None

    def claims(self) -> Mapping[str, Any]:
        """What a token says of the caller; what is as usual is left out."""
        said: dict[str, Any] = {"sub": self.key_id, "scopes": sorted(self.scopes)}
        if self.user_id is not None:
            said["user"] = self.user_id.hex
        if self.team_id is not None:
            said["team"] = self.team_id.hex
        if self.reach is not Reach.ALL:
            said["reach"] = str(self.reach)
        if not self.contact:
            said["contact"] = False
        return said

    @classmethod
    def of_claims(cls, said: Mapping[str, Any]) -> "Caller":
        """The caller of whom a token says this. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        contact = said.get("contact", True)
        if not isinstance(contact, bool):
            raise TypeError("contact is true or false")
        return cls(
            str(said["sub"]),
            frozenset(said["scopes"]),
            UUID(hex=said["user"]) if "user" in said else None,
            UUID(hex=said["team"]) if "team" in said else None,
            Reach[said["reach"].upper()] if "reach" in said else Reach.ALL,
            contact,
        )


GATEWAY = Caller("gateway", frozenset())
"""The gateway itself, where it asks for its own sake."""


class Signer:
    """Signs callers (HS256) and verifies what it or another process with the same secret signed.

    Lifetimes are real time, not the decision clock: a process whose clock is set ahead is still one of ours.
    """

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret)
        self._signed: OrderedDict[Caller, tuple[float, str]] = OrderedDict()
        self._verified: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    def sign(self, caller: Caller) -> str:
        """A token for `HEADER`."""
        present = time.time()
        expires, token = self._signed.get(caller, (0.0, ""))
        if expires - present < LIFETIME_S / 2:
            expires = present + LIFETIME_S
            token = jwt.encode({"alg": "HS256"}, {**caller.claims(), "exp": int(expires)}, self._key)
            _keep(self._signed, caller, (expires, token))
        return token

    def verify(self, token: str) -> Caller:
        """The caller in a token. Raises `Unauthorized`."""
        expires, caller = self._verified.get(token, (0.0, None))
        if caller is None:
            try:
                claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
                expires, caller = float(claims["exp"]), Caller.of_claims(claims)
            except (JoseError, ValueError, KeyError, TypeError, AttributeError):
                raise Unauthorized("The signed caller is not one of ours.") from None
            _keep(self._verified, token, (expires, caller))
        if expires < time.time():
            raise Unauthorized("The signed caller has expired.")
        return caller


def _keep(cache: "OrderedDict[_K, _V]", key: _K, value: _V) -> None:
    cache[key] = value
    if len(cache) > CACHED:
        cache.popitem(last=False)


async def caller(request: Request) -> Caller:
    """Who is asking, as the gateway signed it."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        token = request.headers.get(HEADER)
        if token is None:
            raise Unauthorized("Requests to this service come through the gateway.")
        signer: Signer = request.app.state.signer
        known = request.state.caller = signer.verify(token)
    return known


Actor = Annotated[Caller, Depends(caller)]


class Asking(NamedTuple):
    """Who reaches less than everything, and what it asks for."""

    caller: Caller
    request: Request

    @property
    def reads(self) -> bool:
        """Whether it is to be read."""
        return self.request.method in ("GET", "HEAD")


def limited(session: AsyncSession) -> Asking | None:
    """Who asks in a transaction, where its reach is less than everything; None also where no request asks."""
    request: Request | None = session.info.get("request")
    known: Caller | None = getattr(request.state, "caller", None) if request is not None else None
    if request is None or known is None or known.reach is Reach.ALL:
        return None
    return Asking(known, request)


def require(scope: str) -> Callable[[Caller], Awaitable[None]]:
    """A dependency that lets through callers with a scope: `dependencies=[Depends(require("operator"))]`."""

    async def allowed(actor: Actor) -> None:
        if scope not in actor.scopes:
            raise Forbidden(f"This needs the scope {scope}.", scopes=sorted(actor.scopes), needed=[scope])

    return allowed
