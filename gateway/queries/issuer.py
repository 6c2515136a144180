"""An outside issuer: where it is, its keys, and what its tokens say."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import httpx
import structlog
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
    ASKED_EVERY_S,
    FRESH_S,
    KEPT_S,
    LEEWAY_S,
    Claims,
    IssuerAway,
    looks_like_token,
)
from gateway.domain.users import id_of_subject
from gateway.models.users import Team
from gateway.queries import keyring
from gateway.queries.keyring import Holder, person_with
from gateway.queries.users import user_of_subject

log = structlog.get_logger()

DISCOVERY = "/.well-known/openid-configuration"
ANSWER_S = 5.0
"""Seconds that the issuer has for an answer."""


class Issuer:
    """Who signs tokens. `clock` gives seconds that never go back."""

    def __init__(
        self, issuer: str, *, jwks_url: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = issuer
        self._jwks_url = jwks_url
        self._clock = clock
        self._keys: KeySet | None = None
        self._known: dict[str, Any] | None = None
        self._good_at = self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        self.client = httpx.AsyncClient(timeout=ANSWER_S, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def claims(self, token: str, audience: str) -> dict[str, Any]:
        """What a token says that this issuer signed for an audience. Raises `Unauthorized` or `IssuerAway`."""
        try:
            header = jws.extract_compact(token.encode()).headers()
            if header.get("alg") not in ALGORITHMS:
                raise Unauthorized("The token is not signed in a way that is taken.", allowed=list(ALGORITHMS))
            named = header.get("kid")
            keys = await self._holding(named)
            known = [each for each in keys.keys if named is None or each.kid == named]
            if len(known) != 1:
                raise Unauthorized("The token names no key that its issuer has.")
            claims = jwt.decode(token, known[0], algorithms=list(ALGORITHMS)).claims
            self._registry(audience).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError):
            raise Unauthorized("The token does not hold: wrong signature, issuer or audience, or too old.") from None
        return claims

    async def described(self) -> Mapping[str, Any]:
        """What the issuer says of itself (OpenID Connect Discovery 1.0 §4). Raises `IssuerAway`."""
        if self._known is None:
            try:
                self._known = await self._json(self.name.rstrip("/") + DISCOVERY)
            except (httpx.HTTPError, ValueError) as error:
                log.warning("the outside issuer does not answer", issuer=self.name, error=str(error))
                raise IssuerAway("The outside issuer does not answer.", retry_after_s=int(ASKED_EVERY_S)) from None
            if self._known.get("issuer") != self.name:
                self._known = None
                raise IssuerAway("The outside issuer calls itself by another name than the one that is configured.")
        return self._known

    async def _holding(self, named: str | None) -> KeySet:
        if self._wants(named):
            async with self._asking:
                if self._wants(named):
                    await self._ask()
        if self._keys is None or self._clock() - self._good_at > KEPT_S:
            raise IssuerAway("The outside issuer does not answer.", retry_after_s=int(ASKED_EVERY_S))
        return self._keys

    def _wants(self, named: str | None) -> bool:
        present = self._clock()
        if present - self._asked_at < ASKED_EVERY_S:
            return False
        stale = self._keys is None or present - self._good_at > FRESH_S
        return stale or (named is not None and named not in {each.kid for each in cast(KeySet, self._keys).keys})

    async def _ask(self) -> None:
        self._asked_at = self._clock()
        try:
            url = self._jwks_url or str((await self.described())["jwks_uri"])
            # Of keys for other purposes, or of kinds that nobody here knows, none is asked.
            said = await self._json(url)
            usable = [each for each in said["keys"] if each.get("kty") in ("RSA", "EC", "OKP") and _signs(each)]
            self._keys = KeySet.import_key_set({"keys": usable})
            self._good_at = self._clock()
        except (httpx.HTTPError, JoseError, IssuerAway, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("the keys of the outside issuer stay as they were", issuer=self.name, error=str(error))

    async def _json(self, url: str) -> dict[str, Any]:
        answer = await self.client.get(url, headers={"Accept": "application/json"})
        answer.raise_for_status()
        found = answer.json()
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found

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
        claims = await self._issuer.claims(token, self._audience)
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


def _signs(key: Mapping[str, Any]) -> bool:
    return bool(key.get("use", "sig") == "sig")
