import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Response
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey
from sqlalchemy import text

from chassis.auth import Unauthorized
from chassis.db import Database
from gateway import app as gateway_app
from gateway.domain.rights import Role
from gateway.domain.tokens import ASKED_EVERY_S, FRESH_S, KEPT_S, Claims, IssuerAway
from gateway.queries.issuer import Issuer

from .conftest import Door, MakeDatabase, serving
from .people import person, refused

AUDIENCE = "shuke"


@dataclass
class Told:
    """An issuer: its keys, whether it answers, and how often it was asked."""

    keys: list[Any] = field(default_factory=lambda: [RSAKey.generate_key(2048, {"kid": "one"})])
    away: bool = False
    asked: int = 0
    name: str = ""

    def token(self, *, key: Any = None, alg: str = "RS256", header: dict[str, Any] | None = None, **claims: Any) -> str:
        key = key or self.keys[-1]
        said = {"iss": self.name, "aud": AUDIENCE, "sub": "42", "exp": int(time.time()) + 300, "roles": ["reader"]}
        kept = {name: value for name, value in {**said, **claims}.items() if value is not None}
        return jwt.encode({"alg": alg, "kid": key.kid} | (header or {}), kept, key, algorithms=[alg])


@asynccontextmanager
async def an_issuer() -> AsyncIterator[Told]:
    """An issuer on a real socket."""
    told, app = Told(), FastAPI()

    @app.get("/.well-known/openid-configuration")
    async def described() -> dict[str, str]:
        ends = {f"{end}_endpoint": f"{told.name}/{end}" for end in ("authorization", "token")}
        return {"issuer": told.name, "jwks_uri": f"{told.name}/jwks", **ends}

    @app.get("/jwks")
    async def jwks(response: Response) -> dict[str, Any]:
        told.asked += 1
        response.status_code = 500 if told.away else 200
        return dict(KeySet(told.keys).as_dict(private=False))

    async with serving(app) as told.name:
        yield told


@pytest.fixture
async def issuer() -> AsyncIterator[Told]:
    async with an_issuer() as told:
        yield told


@pytest.fixture
async def database(make_database: MakeDatabase) -> Database:
    return await make_database("gateway")


@asynccontextmanager
async def taking(told: Told, monkeypatch: pytest.MonkeyPatch, **settings: str) -> AsyncIterator[httpx.AsyncClient]:
    """A process of the gateway that takes the issuer's tokens."""
    wanted = {"ISSUER": told.name, "AUDIENCE": AUDIENCE, "ROLES_CLAIM": "roles", **settings}
    for name, value in wanted.items():
        monkeypatch.setenv(f"GATEWAY_{name}", value)
    async with serving(gateway_app.app()) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield client


async def me(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})


def test_words_of_an_issuer_are_roles_by_the_mapping_or_by_their_own_name() -> None:
    says = Claims("realm_access.roles", {"crm-admins": Role.ADMIN}, "team")
    given = {"realm_access": {"roles": ["crm-admins", "reader", "king", 7]}}
    assert says.roles_in(given) == frozenset({Role.ADMIN, Role.READER})
    assert says.roles_in({"realm_access.roles": "agent manager"}) == frozenset({Role.AGENT, Role.MANAGER})
    assert says.roles_in({}) == frozenset()
    assert Claims(None, {}, None).roles_in({"roles": ["admin"]}) is None
    assert says.team_in({"team": "North"}) == "North"
    assert says.team_in({"team": ["North East"]}) == "North East"
    assert says.team_in({}) is None


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("RS256", RSAKey.generate_key(2048, {"kid": "a"})),
        ("ES256", ECKey.generate_key("P-256", {"kid": "a"})),
        ("EdDSA", OKPKey.generate_key("Ed25519", {"kid": "a"})),
    ],
    ids=["RS256", "ES256", "EdDSA"],
)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_a_token_is_taken_by_each_algorithm_of_the_list(
    issuer: Told, database: Database, alg: str, key: Any
) -> None:
    issuer.keys = [key]
    asked = Issuer(issuer.name)
    assert (await asked.claims(database, issuer.token(alg=alg), AUDIENCE))["sub"] == "42"
    await asked.close()


async def test_a_token_opens_what_its_roles_may(door: Door, issuer: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    team = (await door.client.post("/v1/teams", json={"name": "North"})).json()["id"]
    async with taking(issuer, monkeypatch, ROLES_MAPPING='{"sellers": "agent"}', TEAM_CLAIM="team") as client:
        said = (await me(client, issuer.token(roles=["sellers"], team="north"))).json()
        assert (said["roles"], said["reach"], said["id"][:5]) == (["agent"], "team", "user_")
        await client.get("/v1/parties", headers={"Authorization": f"Bearer {issuer.token(roles='reader', team=team)}"})
        assert door.customers.caller is not None
        caller = door.customers.caller
        assert (f"team_{caller.team_id.hex if caller.team_id else ''}", caller.scopes) == (team, frozenset({"reader"}))
        again = (await me(client, issuer.token(roles=["admin"]))).json()
        other = (await me(client, issuer.token(sub="43"))).json()
        assert again["id"] == said["id"] != other["id"]
        assert refused(await me(client, issuer.token(roles=["king"]))) == (401, "unauthorized")


async def test_a_token_that_does_not_hold_opens_nothing(
    door: Door, issuer: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    header, payload, signature = issuer.token().split(".")
    present = int(time.time())
    wrong = {
        "another signature": issuer.token(key=stranger),
        "another issuer": issuer.token(iss="https://id.example.com"),
        "another audience": issuer.token(aud="others"),
        "no audience": issuer.token(aud=None),
        "expired": issuer.token(exp=present - 61),
        "no end": issuer.token(exp=None),
        "not yet": issuer.token(nbf=present + 120),
        "nobody": issuer.token(sub=None),
        "unsigned": "eyJhbGciOiJub25lIn0." + payload + ".",
        "unsigned, with something": "eyJhbGciOiJub25lIn0." + payload + "." + signature,
        "payload of another": header + "." + payload[:-4] + "AAAA." + signature,
        "unknown key": issuer.token(header={"kid": "other"}),
        "the public key as a secret": jwt.encode(
            {"alg": "HS256", "kid": "one"}, {"iss": issuer.name, "aud": AUDIENCE, "sub": "42", "exp": present + 300},
            OctKey.import_key(issuer.keys[0].as_pem(private=False).hex()), algorithms=["HS256"],
        ),
    }  # fmt: skip
    async with taking(issuer, monkeypatch) as client:
        for why, token in wrong.items():
            assert refused(await me(client, token)) == (401, "unauthorized"), why
        late = issuer.token(exp=present - 30)
        assert (await me(client, late)).status_code == 200, "clocks may be apart"
        assert (await me(client, issuer.token(aud=["others", AUDIENCE]))).status_code == 200


async def test_without_an_audience_no_token_is_taken(door: Door, issuer: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(await me(door.client, issuer.token())) == (401, "unauthorized")
    monkeypatch.setenv("GATEWAY_ISSUER", issuer.name)
    async with serving(gateway_app.app()) as url, httpx.AsyncClient(base_url=url) as client:
        assert refused(await me(client, issuer.token())) == (401, "unauthorized")


async def test_somebody_disabled_here_stays_out_whatever_the_token_says(
    door: Door, issuer: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    sara = await person(door, "sara@example.com", "manager")
    async with door.app.state.database.transaction() as session:
        await session.execute(text("UPDATE app_user SET issuer = :name, subject = '42'"), {"name": issuer.name})
    async with taking(issuer, monkeypatch) as client:
        assert (await me(client, issuer.token())).json()["id"] == sara.id
        await door.client.post(f"/v1/users/{sara.id}/disable")
        assert refused(await me(client, issuer.token(sub="42", jti="fresh"))) == (401, "unauthorized")


async def test_keys_are_rotated_and_unknown_ones_do_not_make_it_ask_on_and_on(issuer: Told, database: Database) -> None:
    at = 0.0
    asked = Issuer(issuer.name, clock=lambda: at)
    await asked.claims(database, issuer.token(), AUDIENCE)
    issuer.keys.append(RSAKey.generate_key(2048, {"kid": "two"}))
    with pytest.raises(Unauthorized):
        await asked.claims(database, issuer.token(), AUDIENCE)
    at = ASKED_EVERY_S
    await asked.claims(database, issuer.token(), AUDIENCE)
    assert issuer.asked == 2
    for number in range(20):
        with pytest.raises(Unauthorized):
            await asked.claims(database, issuer.token(header={"kid": f"made up {number}"}), AUDIENCE)
    assert issuer.asked == 2
    issuer.keys = issuer.keys[1:]
    at = ASKED_EVERY_S + FRESH_S + 1
    await asked.claims(database, issuer.token(), AUDIENCE)
    assert issuer.asked == 3
    await asked.close()


async def test_the_last_keys_are_believed_for_a_day_while_the_issuer_is_away(issuer: Told, database: Database) -> None:
    at = 0.0
    asked = Issuer(issuer.name, clock=lambda: at)
    await asked.claims(database, issuer.token(), AUDIENCE)
    issuer.away = True
    at = FRESH_S + 1
    await asked.claims(database, issuer.token(), AUDIENCE)
    at = KEPT_S
    await asked.claims(database, issuer.token(), AUDIENCE)
    at = KEPT_S + 1
    with pytest.raises(IssuerAway):
        await asked.claims(database, issuer.token(), AUDIENCE)
    issuer.away = False
    at = KEPT_S + ASKED_EVERY_S + 1
    await asked.claims(database, issuer.token(), AUDIENCE)
    await asked.close()


async def test_every_process_follows_what_one_of_them_learns_and_a_new_one_asks_when_that_is_old(
    issuer: Told, database: Database
) -> None:
    at, before = 0.0, issuer.token()
    one, other, third = [Issuer(issuer.name, clock=lambda: at) for _ in range(3)]
    for each in (one, other):
        await each.claims(database, before, AUDIENCE)
    assert issuer.asked == 1

    issuer.keys = [RSAKey.generate_key(2048, {"kid": "two"})]
    at = ASKED_EVERY_S
    await one.claims(database, issuer.token(), AUDIENCE)
    await other.claims(database, issuer.token(), AUDIENCE)
    assert issuer.asked == 2
    with pytest.raises(Unauthorized):
        await other.claims(database, before, AUDIENCE)
    assert issuer.asked == 3, "it names a key that is unknown now"

    second, issuer.keys = issuer.token(), [RSAKey.generate_key(2048, {"kid": "three"})]
    async with database.transaction() as session:
        await session.execute(text("UPDATE issuer_document SET got_at = got_at - make_interval(secs => 3601)"))
    with pytest.raises(Unauthorized):
        await third.claims(database, second, AUDIENCE)
    assert issuer.asked == 4
    for each in (one, other, third):
        await each.close()


async def test_a_gateway_starts_while_the_issuer_is_away(
    door: Door, issuer: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.away = True
    async with taking(issuer, monkeypatch) as client:
        assert refused(await me(client, issuer.token())) == (503, "issuer_away")
        assert (await client.get("/v1/me", headers=door.key("reader"))).status_code == 200
