"""What a process of the gateway writes on standard error while it is used, misused, and cut off from its database."""

import asyncio
import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy.engine import make_url

from chassis.db import Database, plain_url
from gateway.queries.keys import create_admin_key

from .conftest import NOWHERE, MakeDatabase, a_socket
from .feeding import ROOT
from .people import accept
from .test_jwt import AUDIENCE, Told, an_issuer

PASSWORD = "the heron waits for planted words"
WRONG_PASSWORD = "another heron with planted words"


@dataclass
class Process:
    """A gateway in a process of its own, with everything it may log."""

    client: httpx.AsyncClient
    database: Database
    role: str
    log: Path
    planted: dict[str, str]
    issuer: Told

    async def asked(self, secret: str, method: str, path: str, **more: Any) -> httpx.Response:
        """A request that comes with a secret."""
        return await self.client.request(method, path, headers={"Authorization": f"Bearer {secret}"}, **more)

    def lines(self) -> list[str]:
        """What was written."""
        return self.log.read_text().splitlines()


@asynccontextmanager
async def administering(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(plain_url(database.url))
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def process(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Process]:
    database = await make_database("gateway")
    planted = {"api key": await create_admin_key(database.url), "database password": token_urlsafe(24)}
    planted["internal secret"], planted["client secret"] = token_urlsafe(32), token_urlsafe(24)
    role = f"gateway_{token_urlsafe(6).replace('-', '_').lower()}"
    async with administering(database) as connection:
        password = planted["database password"]
        await connection.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}' IN ROLE postgres")
    url = make_url(database.url).set(username=role, password=planted["database password"])
    bound = a_socket()
    port = bound.getsockname()[1]
    bound.close()
    async with an_issuer() as issuer:
        settings = {
            "GATEWAY_DATABASE_URL": url.render_as_string(hide_password=False),
            "GATEWAY_SERVICES": json.dumps({"customers": NOWHERE, "scoring": NOWHERE}),
            "GATEWAY_PORT": str(port),
            "GATEWAY_ISSUER": issuer.name,
            "GATEWAY_AUDIENCE": AUDIENCE,
            "GATEWAY_ROLES_CLAIM": "roles",
            "GATEWAY_OIDC_CLIENT_ID": "shuke",
            "GATEWAY_OIDC_CLIENT_SECRET": planted["client secret"],
            "GATEWAY_WEBHOOK_ALLOW": "127.0.0.1/32",
            "SHUKE_INTERNAL_SECRET": planted["internal secret"],
            "SHUKE_LOG_LEVEL": "DEBUG",
        }
        log = tmp_path / "gateway.log"
        command = (sys.executable, "-P", "-m", "deploy.cli", "serve", "gateway", "gateway-deliverer")
        with log.open("wb") as written:
            child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stdout=written, stderr=written)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                await until_it_answers(client)
                yield Process(client, database, role, log, planted, issuer)
        finally:
            child.terminate()
            child.wait(timeout=60)


async def until_it_answers(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(240):
        while True:
            try:
                await client.get("/healthz")
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def use(process: Process) -> None:
    """Everything that has to do with a secret, done rightly and wrongly; `planted` has the secrets afterwards."""
    planted, client = process.planted, process.client
    key = planted["api key"]

    link = (await process.asked(key, "POST", "/v1/invitations/first")).json()
    planted["invitation"], planted["password"], planted["wrong password"] = link["token"], PASSWORD, WRONG_PASSWORD
    signed_in = await accept(client, link["token"], PASSWORD, name="Olga", email="olga@example.com")
    assert signed_in.status_code == 201, signed_in.text
    planted["session"], planted["device"] = signed_in.json()["token"], signed_in.json()["device"]
    await accept(client, link["token"], PASSWORD, name="Olga", email="olga@example.com")
    said = {"email": "olga@example.com", "password": WRONG_PASSWORD}
    assert (await client.post("/v1/sessions", json=said)).status_code == 401
    assert (await client.post("/v1/sessions", json={**said, "password": {"is": PASSWORD}})).status_code == 422
    assert (await client.post("/v1/sessions", content=f'{{"password": "{PASSWORD}",')).status_code in (400, 415, 422)

    planted["wrong key"], planted["wrong session"] = f"shuke_{token_urlsafe(32)}", f"shukes_{token_urlsafe(32)}"
    for wrong in ("wrong key", "wrong session"):
        assert (await process.asked(planted[wrong], "GET", "/v1/me")).status_code == 401
    assert (await process.asked(planted["session"], "GET", "/v1/me")).status_code == 200
    assert (await process.asked(planted["session"], "GET", "/v1/parties")).status_code == 503
    planted["jwt"], planted["expired jwt"] = process.issuer.token(), process.issuer.token(exp=1_000_000_000)
    assert (await process.asked(planted["jwt"], "GET", "/v1/me")).status_code == 200
    assert (await process.asked(planted["expired jwt"], "GET", "/v1/me")).status_code == 401

    made = await process.asked(key, "POST", "/v1/keys", json={"name": "Shop", "scopes": ["reader"]})
    planted["made key"] = made.json()["secret"]
    webhook = await process.asked(key, "POST", "/v1/webhooks", json={"url": f"{NOWHERE}/hooks"})
    assert webhook.status_code == 201, webhook.text
    planted["webhook secret"] = webhook.json()["secret"]
    tested = await process.asked(key, "POST", f"/v1/webhooks/{webhook.json()['id']}/test")
    assert tested.status_code < 300, tested.text
    rotated = await process.asked(key, "POST", f"/v1/webhooks/{webhook.json()['id']}/rotate")
    planted["new webhook secret"] = rotated.json()["secret"]
    basic = b64encode(f"shop:{planted['made key']}".encode()).decode()
    await client.get("/v1/me", headers={"Authorization": f"Basic {basic}"})
    await client.get("/parties", headers={"Cookie": f"shuke_session={planted['session']}"})
    await client.get("/v1/sessions/oidc")


async def use_without_database(process: Process) -> None:
    """The database turns the gateway away in the middle of its work, for a while."""
    async with administering(process.database) as connection:
        await connection.execute(f'ALTER ROLE "{process.role}" CONNECTION LIMIT 0')
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", process.role
        )
    answers = [
        await process.asked(process.planted["api key"], "GET", "/v1/keys"),
        await process.asked(process.planted["wrong key"], "GET", "/v1/keys"),
        await process.client.post("/v1/sessions", json={"email": "olga@example.com", "password": PASSWORD}),
        await process.client.get("/readyz"),
    ]
    assert [answer.status_code >= 500 for answer in answers] == [True] * 4
    async with administering(process.database) as connection:
        await connection.execute(f'ALTER ROLE "{process.role}" CONNECTION LIMIT -1')


async def test_no_secret_is_in_what_is_logged(process: Process) -> None:
    await use(process)
    await use_without_database(process)
    logged = "\n".join(process.lines())
    assert '"/v1/sessions"' in logged
    assert '"status":503' in logged
    found = [name for name, secret in process.planted.items() if secret in logged]
    assert found == []
    assert len(process.planted) == 16


async def test_what_a_client_says_makes_no_line_of_its_own_in_the_log(process: Process) -> None:
    before = len(process.lines())
    forged = '%0a{"event":"forged","level":"critical"}'
    unseen = "%1b[2K%C2%9b2K%E2%80%A8%E2%80%AE"
    for path in (f"/v1/parties/{forged}", f"/v1/parties?q={forged}", f"/{forged}", f"/v1/{unseen}{forged}"):
        await process.asked(process.planted["api key"], "GET", path)
    await process.client.get("/v1/me", headers={"Authorization": 'Bearer a\t{"event":"forged"}', "X-Request-Id": "{}"})
    async with asyncio.timeout(60):
        # The line of a request is written when it has been answered.
        while sum('"event":"request"' in line for line in process.lines()[before:]) < 5:
            await asyncio.sleep(0.05)
    said = [json.loads(line) for line in process.lines()[before:]]
    assert not [line for line in said if line["event"] == "forged"]
    assert not [line for line in process.lines() if not line.isprintable()]
