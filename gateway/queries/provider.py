"""Signing in at an OpenID provider: the way there, and what comes back (OpenID Connect Core 1.0 §3.1, RFC 7636)."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import Unauthorized
from chassis.db import Database
from gateway.domain.rights import Role
from gateway.domain.sessions import Means, UserDisabled
from gateway.domain.tokens import Claims, IssuerAway, OidcAddressTaken, OidcRefused, OidcUnknownPerson
from gateway.domain.users import email_key, id_of_subject
from gateway.models.users import AppUser
from gateway.queries.issuer import Issuer, team_of
from gateway.queries.sessions import Whence
from gateway.queries.signing_in import Entrance, Opened
from gateway.queries.users import add_user, user_by_email, user_of_subject

LASTS_S = 600
"""Seconds that somebody may spend at the provider."""


@dataclass(frozen=True, slots=True)
class Client:
    """What the provider knows this installation by, and what is done with whom it vouches for."""

    id: str
    secret: str | None
    redirect_url: str
    scopes: str
    makes_people: bool
    """Whether somebody who was never here is made at the first sign-in."""


class Provider:
    """The way to the provider and back. `secret` is that of the installation."""

    def __init__(self, issuer: Issuer, client: Client, says: Claims, secret: str) -> None:
        self._issuer = issuer
        self._client = client
        self._says = says
        self._key = OctKey.import_key(hmac.digest(secret.encode(), b"shuke oidc", hashlib.sha256))

    async def begin(self, database: Database) -> tuple[str, str, str]:
        """Where to go, the state that comes back, and what must be kept until then. Raises `IssuerAway`."""
        there = str((await self._issuer.described(database))["authorization_endpoint"])
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self._client.id,
            "redirect_uri": self._client.redirect_url,
            "scope": self._client.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "exp": int(time.time()) + LASTS_S}
        flow = jwt.encode({"alg": "HS256"}, kept, self._key)
        return f"{there}{'&' if '?' in there else '?'}{urlencode(asked)}", state, flow

    async def finish(self, entrance: Entrance, code: str, state: str, flow: str, whence: Whence) -> Opened:
        """A session for whoever came back.

        Raises `OidcRefused`, `OidcUnknownPerson`, `OidcAddressTaken`, `UserDisabled` or `IssuerAway`.
        """
        kept = self._opened(flow, state)
        claims = await self._vouched(entrance.database, code, kept)
        async with entrance.database.transaction() as session:
            row = await self._person(session, claims)
            if row.disabled_at is not None:
                raise UserDisabled("You may not sign in any more. Ask who administers people.")
            return entrance.opened(session, row, Means.OIDC, whence)

    def _opened(self, flow: str, state: str) -> Mapping[str, Any]:
        try:
            kept = jwt.decode(flow, self._key, algorithms=["HS256"]).claims
        except (JoseError, ValueError):
            kept = {}
        if not hmac.compare_digest(str(kept.get("state", "")).encode(), state.encode()) or not state:
            raise OidcRefused("This sign-in was begun elsewhere. Begin again.")
        if kept["exp"] < time.time():
            raise OidcRefused("This took too long. Begin again.")
        return kept

    async def _vouched(self, database: Database, code: str, kept: Mapping[str, Any]) -> dict[str, Any]:
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._client.redirect_url,
            "code_verifier": kept["verifier"],
        }
        # By HTTP Basic where there is a secret, both of it as in a form (RFC 6749 §2.3.1), else as a public client.
        id, secret = quote_plus(self._client.id), quote_plus(self._client.secret or "")
        basic = httpx.BasicAuth(id, secret) if secret else None
        there = str((await self._issuer.described(database))["token_endpoint"])
        try:
            form = asked if basic else {**asked, "client_id": self._client.id}
            answer = await self._issuer.client.post(there, data=form, auth=basic or httpx.USE_CLIENT_DEFAULT)
            said = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            raise IssuerAway("The provider does not answer.", retry_after_s=30) from None
        if not answer.is_success or not isinstance(said, dict) or not isinstance(said.get("id_token"), str):
            raise OidcRefused("The provider did not take the code. Begin again.")
        try:
            claims = await self._issuer.claims(database, said["id_token"], self._client.id)
        except Unauthorized as error:
            raise OidcRefused(error.detail) from None
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), str(kept["nonce"]).encode()):
            raise OidcRefused("What the provider said belongs to another sign-in. Begin again.")
        return claims

    async def _person(self, session: AsyncSession, claims: Mapping[str, Any]) -> AppUser:
        subject = str(claims["sub"])
        said = self._says.roles_in(claims)
        if said is not None and not said:
            raise OidcUnknownPerson("The provider gives you no role here. Ask who administers people.")
        row = await user_of_subject(session, self._issuer.name, subject) or await self._by_address(session, claims)
        if row is None:
            row = await self._made(session, subject, claims, said)
        await session.refresh(row, with_for_update=True)
        row.issuer, row.subject = self._issuer.name, subject
        roles = row.roles if said is None else sorted({*map(str, said), *({Role.OWNER} & {*map(Role, row.roles)})})
        team_id = await team_of(session, self._says, claims) or row.team_id
        if (roles, team_id) != (row.roles, row.team_id):
            row.roles, row.team_id = roles, team_id
            row.version += 1
        return row

    async def _by_address(self, session: AsyncSession, claims: Mapping[str, Any]) -> AppUser | None:
        email = claims.get("email")
        row = await user_by_email(session, email_key(email)) if isinstance(email, str) else None
        if row is not None and (claims.get("email_verified") is not True or row.subject is not None):
            raise OidcAddressTaken("Somebody here has this address, and the provider does not say that it is yours.")
        return row

    async def _made(
        self, session: AsyncSession, subject: str, claims: Mapping[str, Any], said: frozenset[Role] | None
    ) -> AppUser:
        email = claims.get("email")
        if not self._client.makes_people or not said or not isinstance(email, str):
            raise OidcUnknownPerson("You are not known here. Ask who administers people to invite you.")
        name = str(claims.get("name") or email)[:100]
        return await add_user(
            session, id_of_subject(self._issuer.name, subject), name=name, email=email, roles=sorted(map(str, said))
        )
