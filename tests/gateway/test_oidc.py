import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import httpx
import pytest
from sqlalchemy import text

from deploy.ports import free_port
from gateway import app as gateway_app
from gateway.console.api import SESSION
from gateway.domain.tokens import ASKED_EVERY_S
from tests.gateway.oidc.provider import SECRET, installed

from .conftest import Door, serving
from .people import person, refused

BACK = "http://127.0.0.1:1/sign-in/oidc"


@pytest.fixture(scope="module")
def modules() -> Path:
    """The provider's package, as the lock file has it, in a cache."""
    return installed()


@asynccontextmanager
async def a_provider(modules: Path) -> AsyncIterator[str]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "node",
        "provider.mjs",
        str(port),
        BACK,
        cwd=modules,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert (await process.stdout.readline()).strip() == b"listening"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.communicate()


@asynccontextmanager
async def a_gateway(monkeypatch: pytest.MonkeyPatch, issuer: str, **settings: str) -> AsyncIterator[httpx.AsyncClient]:
    wanted = {
        "ISSUER": issuer,
        "OIDC_CLIENT_ID": "shuke",
        "OIDC_CLIENT_SECRET": SECRET,
        "OIDC_REDIRECT_URL": BACK,
        "ROLES_CLAIM": "groups",
        "ROLES_MAPPING": json.dumps({"sellers": "agent"}),
        **settings,
    }
    for name, value in wanted.items():
        monkeypatch.setenv(f"GATEWAY_{name}", value)
    async with serving(gateway_app.app()) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield client


async def there_and_back(url: str, who: str) -> dict[str, str]:
    """What the provider sends a browser back with that signs in there as somebody."""
    async with httpx.AsyncClient(headers={"x-who": who}, trust_env=False, timeout=60) as browser:
        answer = await browser.get(url)
        while not answer.headers["location"].startswith(BACK):
            answer = await browser.get(answer.url.join(answer.headers["location"]))
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return {"code": query["code"][0], "state": query["state"][0]}


async def signed_in(client: httpx.AsyncClient, who: str) -> httpx.Response:
    way = (await client.get("/v1/sessions/oidc")).json()
    back = await there_and_back(way["url"], who)
    return await client.post("/v1/sessions/oidc", json={**back, "flow": way["flow"]})


async def test_somebody_signs_in_elsewhere_and_is_made_where_that_is_allowed(
    door: Door, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_provider(modules) as issuer:
        async with a_gateway(monkeypatch, issuer) as client:
            assert refused(await signed_in(client, "sara")) == (403, "oidc_unknown_person")
        async with a_gateway(monkeypatch, issuer, OIDC_MAKES_PEOPLE="true") as client:
            first, again = await signed_in(client, "sara"), await signed_in(client, "sara")
            assert first.status_code == 201, first.text
            said = first.json()["user"]
            assert (said["name"], said["email"], said["roles"]) == ("Sara", "sara@example.com", ["agent"])
            assert again.json()["user"]["id"] == said["id"]
            assert refused(await signed_in(client, "eve")) == (403, "oidc_unknown_person")
            await door.client.post(f"/v1/users/{said['id']}/disable")
            assert refused(await signed_in(client, "sara")) == (403, "user_disabled")


async def test_who_has_the_address_here_is_the_same_person_if_the_provider_vouches_for_it(
    door: Door, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sara = await person(door, "sara@example.com", "reader")
    await person(door, "tom@example.com", "reader")
    async with a_provider(modules) as issuer, a_gateway(monkeypatch, issuer, OIDC_MAKES_PEOPLE="true") as client:
        said = (await signed_in(client, "sara")).json()["user"]
        assert (said["id"], said["roles"]) == (sara.id, ["agent"])
        assert refused(await signed_in(client, "tom")) == (409, "oidc_address_taken")


async def test_what_comes_back_must_be_what_was_begun_and_counts_once(
    door: Door, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person(door, "sara@example.com", "reader")
    async with a_provider(modules) as issuer, a_gateway(monkeypatch, issuer) as client:
        way, other = [(await client.get("/v1/sessions/oidc")).json() for _ in range(2)]
        assert "code_challenge_method=S256" in way["url"]
        back = await there_and_back(way["url"], "sara")
        for wrong in (
            {**back, "flow": other["flow"]},
            {**back, "state": other["state"], "flow": way["flow"]},
            {**back, "state": other["state"], "flow": other["flow"]},
            {**back, "flow": "x.y.z"},
            {**back, "code": "made up", "flow": way["flow"]},
        ):
            assert refused(await client.post("/v1/sessions/oidc", json=wrong)) == (401, "oidc_refused"), wrong
        back = await there_and_back(way["url"], "sara")
        assert (await client.post("/v1/sessions/oidc", json={**back, "flow": way["flow"]})).status_code == 201
        assert refused(await client.post("/v1/sessions/oidc", json={**back, "flow": way["flow"]})) == (
            401,
            "oidc_refused",
        )


async def test_the_provider_rotates_its_key_and_goes_away(
    door: Door, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person(door, "sara@example.com", "reader")
    async with a_provider(modules) as issuer:
        async with a_gateway(monkeypatch, issuer) as client:
            assert (await signed_in(client, "sara")).status_code == 201
            async with httpx.AsyncClient(trust_env=False) as browser:
                await browser.get(f"{issuer}/rotate")
            assert refused(await signed_in(client, "sara")) == (401, "oidc_refused")
            monkeypatch.setattr("gateway.queries.published.ASKED_EVERY_S", 0.0)
            assert (await signed_in(client, "sara")).status_code == 201
        assert ASKED_EVERY_S > 0
        way_gone = a_gateway(monkeypatch, "http://127.0.0.1:1")
    async with way_gone as client:
        assert refused(await client.get("/v1/sessions/oidc")) == (503, "issuer_away")


async def id_token(issuer: str, who: str) -> str:
    """What the provider vouches for somebody with, to a program that asks for it by itself."""
    verifier = "a" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    wanted = {"client_id": "shuke", "redirect_uri": BACK, "code_challenge": challenge, "code_challenge_method": "S256"}
    wanted |= {"response_type": "code", "scope": "openid profile", "state": "any"}
    back = await there_and_back(f"{issuer}/auth?{urlencode(wanted)}", who)
    given = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": BACK, "code_verifier": verifier}
    async with httpx.AsyncClient(auth=("shuke", quote_plus(SECRET)), trust_env=False, timeout=60) as client:
        return str((await client.post(f"{issuer}/token", data=given)).json()["id_token"])


async def test_a_gateway_that_starts_while_the_provider_is_away_knows_it_for_a_day(
    door: Door, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_provider(modules) as issuer:
        bearer = {"Authorization": f"Bearer {await id_token(issuer, 'sara')}"}
        async with a_gateway(monkeypatch, issuer, AUDIENCE="shuke") as client:
            assert (await client.get("/v1/me", headers=bearer)).json()["roles"] == ["agent"]
    async with a_gateway(monkeypatch, issuer, AUDIENCE="shuke") as client:
        assert (await client.get("/v1/me", headers=bearer)).json()["roles"] == ["agent"]
        assert (await client.get("/v1/sessions/oidc")).json()["url"].startswith(f"{issuer}/auth?")
    async with door.app.state.database.transaction() as session:
        await session.execute(text("UPDATE issuer_document SET got_at = got_at - interval '1 day'"))
    async with a_gateway(monkeypatch, issuer, AUDIENCE="shuke") as client:
        assert refused(await client.get("/v1/me", headers=bearer)) == (503, "issuer_away")
        assert refused(await client.get("/v1/sessions/oidc")) == (503, "issuer_away")


async def test_whoever_signs_in_elsewhere_comes_to_the_page_that_they_wanted(
    door: Door, modules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person(door, "sara@example.com", "reader")
    wanted = "/parties?stage=customer&sort=silent"
    async with a_provider(modules) as issuer, a_gateway(monkeypatch, issuer) as client:
        led = await client.get(wanted)
        page = await client.get(led.headers["location"])
        way = re.search(r'href="(/sign-in/elsewhere[^"]*)"', page.text)
        assert way is not None
        for asked, reached in ((way[1], wanted), ("/sign-in/elsewhere", "/"), ("/sign-in/elsewhere?next=//evil", "/")):
            there = await client.get(asked)
            back = await there_and_back(there.headers["location"], "sara")
            come = await client.get("/sign-in/oidc", params=back)
            assert (come.status_code, come.headers["location"]) == (303, reached)
            client.cookies.delete(SESSION)


async def test_without_a_provider_nobody_signs_in_elsewhere(door: Door) -> None:
    assert refused(await door.client.get("/v1/sessions/oidc")) == (404, "oidc_not_configured")
