"""Who is asking: the gateway signs it, the services verify it."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

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


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and what they may do."""

    key_id: str
    scopes: frozenset[str]


class Signer:
    """Signs callers (HS256) and verifies what it or another process with the same secret signed.

    Lifetimes are real time, not the decision clock: a process whose clock is set ahead is still one of ours.
    """

    def __init__(self, secret: str) -> None:
        self._key = OctKey.import_key(secret)
        self._signed: OrderedDict[tuple[str, frozenset[str]], tuple[float, str]] = OrderedDict()
        self._verified: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    def sign(self, key_id: str, scopes: Iterable[str]) -> str:
        """A token for `HEADER`."""
        known = key_id, frozenset(scopes)
        present = time.time()
        expires, token = self._signed.get(known, (0.0, ""))
        if expires - present < LIFETIME_S / 2:
            expires = present + LIFETIME_S
            claims = {"sub": key_id, "scopes": sorted(known[1]), "exp": int(expires)}
            token = jwt.encode({"alg": "HS256"}, claims, self._key)
            _keep(self._signed, known, (expires, token))
        return token

    def verify(self, token: str) -> Caller:
        """The caller in a token. Raises `Unauthorized`."""
        expires, caller = self._verified.get(token, (0.0, None))
        if caller is None:
            try:
                claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
                expires, caller = float(claims["exp"]), Caller(str(claims["sub"]), frozenset(claims["scopes"]))
            except (JoseError, ValueError, KeyError, TypeError):
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


def require(scope: str) -> Callable[[Caller], Awaitable[None]]:
    """A dependency that lets through callers with a scope: `dependencies=[Depends(require("operator"))]`."""

    async def allowed(actor: Actor) -> None:
        if scope not in actor.scopes:
            raise Forbidden(f"This needs the scope {scope}.", scopes=sorted(actor.scopes), needed=[scope])

    return allowed
