"""An outside issuer: where it is, its keys, and what its tokens say."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chassis.auth import Unauthorized
from chassis.db import Database
from gateway.domain.tokens import (
    ALGORITHMS,
    LEEWAY_S,
    Claims,
    IssuerAway,
    looks_like_token,
)
from gateway.domain.users import id_of_subject
from gateway.models.users import Team
from gateway.queries import keyring
from gateway.queries.keyring import Holder, person_with
from gateway.queries.published import Published
from gateway.queries.users import user_of_subject

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "jwks_uri"
ENDPOINTS = "authorization_endpoint", "token_endpoint"
"""What it says of itself that is needed: for its tokens, and where people sign in there."""
ANSWER_S = 5.0
"""Seconds that the issuer has for an answer."""


class Issuer:
    """Who signs tokens, and with `signs_in` people in. `clock` gives seconds that never go back."""

    def __init__(
        self,
        issuer: str,
        *,
        jwks_url: str | None = None,
        signs_in: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = issuer
        self._jwks_url = jwks_url
        self._needed = [*([] if jwks_url else [KEYS]), *(ENDPOINTS if signs_in else [])]
        self._clock = clock
        self.client = httpx.AsyncClient(timeout=ANSWER_S, trust_env=False)
        self._description = Published(issuer.rstrip("/") + DISCOVERY, self._description_of, self.client, clock)
        self._keys: Published[KeySet] | None = None

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def claims(self, database: Database, token: str, audience: str) -> dict[str, Any]:
        """What a token says that this issuer signed for an audience. Raises `Unauthorized` or `IssuerAway`."""
        try:
            header = jws.extract_compact(token.encode()).headers()
            if header.get("alg") not in ALGORITHMS:
                raise Unauthorized("The token is not signed in a way that is taken.", allowed=list(ALGORITHMS))
            named = header.get("kid")
            keys = await self._holding(database, named)
            known = [each for each in keys.keys if named is None or each.kid == named]
            if len(known) != 1:
                raise Unauthorized("The token names no key that its issuer has.")
            claims = jwt.decode(token, known[0], algorithms=list(ALGORITHMS)).claims
            self._registry(audience).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError):
            raise Unauthorized("The token does not hold: wrong signature, issuer or audience, or too old.") from None
        return claims

    async def described(self, database: Database) -> Mapping[str, Any]:
        """What the issuer says of itself, with all that is needed (OpenID Connect Discovery 1.0 §4).

        Raises `IssuerAway`.
        """
        return await self._description.held(database)

    async def _holding(self, database: Database, named: str | None) -> KeySet:
        url = self._jwks_url or str((await self.described(database))[KEYS])
        if self._keys is None or self._keys.url != url:
            self._keys = Published(url, _keys_of, self.client, self._clock)
        return await self._keys.held(database, lambda keys: named is None or named in {each.kid for each in keys.keys})

    def _description_of(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        if said.get("issuer") != self.name:
            raise IssuerAway("The outside issuer calls itself by another name than the one that is configured.")
        if missing := [name for name in self._needed if not isinstance(said.get(name), str)]:
            raise IssuerAway(f"What the outside issuer says of itself is without {', '.join(missing)}.")
        return said

    def _registry(self, audience: str) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(time.time()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.name},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        )


class Tokens:
    """Reads tokens that an outside issuer signed for this installation."""

    def __init__(self, issuer: Issuer, audience: str, says: Claims) -> None:
        self._issuer = issuer
        self._audience = audience
        self._says = says

    def looks_like_token(self, secret: str) -> bool:
        """Whether a secret has the form of one."""
        return looks_like_token(secret)

    async def holder(self, database: Database, token: str) -> Holder:
        """Whose token it is. Raises `Unauthorized` or `IssuerAway`."""
        claims = await self._issuer.claims(database, token, self._audience)
        subject, ends = str(claims["sub"]), float(claims["exp"]) + LEEWAY_S
        async with database.transaction() as session:
            row = await user_of_subject(session, self._issuer.name, subject)
            team_id = await team_of(session, self._says, claims)
        if row is not None and row.disabled_at is not None:
            raise Unauthorized("You may not come in any more.")
        said = self._says.roles_in(claims)
        roles = frozenset(map(str, said if said is not None else row.roles if row else ()))
        if not roles:
            raise Unauthorized("The token gives no role here.")
        user_id = row.id if row else id_of_subject(self._issuer.name, subject)
        caller = person_with(user_id, team_id or (row.team_id if row else None), roles)

        def refusal(_: object) -> str | None:
            # Lifetimes of others are real time, not the decision clock.
            return "The token has expired." if time.time() >= ends else None

        return Holder(caller, None, refusal, time.monotonic() + keyring.KNOWN_S)


async def team_of(session: AsyncSession, says: Claims, claims: Mapping[str, Any]) -> Any:
    """The id of the team that claims name, if there is one."""
    named = says.team_in(claims)
    if named is None:
        return None
    same = func.lower(Team.name) == named.lower() if isinstance(named, str) else col(Team.id) == named
    return (await session.execute(select(Team.id).where(same))).scalar_one_or_none()


def _keys_of(said: Mapping[str, Any]) -> KeySet:
    # Of keys for other purposes, or of kinds that nobody here knows, none is asked.
    usable = [each for each in said["keys"] if each.get("kty") in ("RSA", "EC", "OKP") and _signs(each)]
    return KeySet.import_key_set({"keys": usable})


def _signs(key: Mapping[str, Any]) -> bool:
    return bool(key.get("use", "sig") == "sig")
