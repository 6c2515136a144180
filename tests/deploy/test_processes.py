"""Every kind of process by itself: what it tells a supervisor and Prometheus, and how it ends when it is told to."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import httpx
import pytest

from chassis.app import GRACE_S
from chassis.auth import HEADER, Caller, Signer
from chassis.db import Database, plain_url
from chassis.presence import SEEN
from deploy import product
from deploy.databases import variable
from deploy.ports import free_port
from deploy.roles import PACKAGES, SERVICES
from tests.docs.pages import ROOT
from tests.docs.test_metrics import told_metrics

SECRET = "a secret of at least thirty-two characters"
NO_BROKER = "kafka://127.0.0.1:1"
KINDS = {
    "customers": "log://",
    "customers-importer": "log://",
    "customers-worker": "log://",
    "scoring-worker": "log://",
    "scoring-sweeper": "log://",
    "leads-publisher": NO_BROKER,
    "community-worker": NO_BROKER,
    "gateway": "log://",
    "gateway-feed": "log://",
    "gateway-deliverer": "log://",
}
"""A role of each kind, and its bus; two of them find no broker."""


class Running:
    """Processes, each with the address at which it is asked."""

    def __init__(self, databases: dict[str, Database], folder: Path) -> None:
        self.databases, self.folder = databases, folder
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.addresses: dict[str, str] = {}

    def start(self, role: str, bus_url: str) -> None:
        port = free_port()
        service = role.partition("-")[0]
        urls = {name: plain_url(database.url) for name, database in self.databases.items()}
        env = {name: value for name, value in os.environ.items() if not name.startswith("SHUKE_")} | {
            "SHUKE_BUS_URL": bus_url,
            "SHUKE_INTERNAL_SECRET": SECRET,
            "SHUKE_IDENTITY_KEY_FILE": str(self.folder / "identity.key"),
            "SHUKE_PROBE_PORT": str(port),
            "SHUKE_MEMBER": role,
            f"{service.upper()}_PORT": str(port),
            variable(service): self.databases[service].url,
            "GATEWAY_SERVICES": "{}",
            f"{service.upper()}_SOURCE_URLS": json.dumps(
                {each: urls[each] for known in SERVICES if known.name == service for each in known.reads}
            ),
        }
        command = (sys.executable, "-P", "-m", "deploy.cli", "serve", role)
        with (self.folder / f"{role}.log").open("wb") as log:
            self.children[role] = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        self.addresses[role] = f"http://127.0.0.1:{port}"

    async def answer(self, role: str, path: str) -> httpx.Response:
        async with asyncio.timeout(240), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert self.children[role].poll() is None, role
                try:
                    return await client.get(self.addresses[role] + path, timeout=10)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)

    async def ready(self, role: str) -> None:
        async with asyncio.timeout(240):
            while (await self.answer(role, "/readyz")).status_code != 200:
                await asyncio.sleep(0.1)

    async def end(self, role: str) -> float:
        """Tell it to end; the seconds that it took."""
        began = time.monotonic()
        self.children[role].send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(self.children[role].wait, 20) == 0, role
        return time.monotonic() - began


@pytest.fixture
async def running(make_database: Callable[[str | None], Awaitable[Database]], tmp_path: Path) -> AsyncIterator[Running]:
    (tmp_path / "identity.key").write_text("5c" * 32)
    databases = {name: await make_database(package) for name, package in PACKAGES.items()}
    made = Running(databases, tmp_path)
    try:
        yield made
    finally:
        for child in made.children.values():
            child.kill()
            child.wait()


async def test_every_kind_of_process_answers_probes_and_metrics_and_ends_in_order(running: Running) -> None:
    exposed: set[str] = set()
    for role, bus_url in KINDS.items():
        running.start(role, bus_url)
    for role, bus_url in KINDS.items():
        assert (await running.answer(role, "/healthz")).status_code == 200
        if bus_url == NO_BROKER:
            cut = await running.answer(role, "/readyz")
            assert (cut.status_code, "not connected" in cut.json()["status"]) == (503, True), role
        else:
            await running.ready(role)
        metrics = (await running.answer(role, "/metrics")).text
        exposed |= set(re.findall(r"^# TYPE (shuke_\w+)", metrics, re.MULTILINE))
        assert "shuke_event_loop_lag_seconds_count" in metrics

    async with asyncio.timeout(60):
        while await seen(running) != {role: {"running"} for role in KINDS}:
            await asyncio.sleep(0.1)
    known = told_metrics().keys()
    assert {name for name in exposed if name not in known and not name.endswith("_created")} == set()
    assert known - exposed == set()
    taken = {role: await running.end(role) for role in KINDS}
    assert max(taken.values()) < 15, taken
    assert await seen(running) == {}


async def seen(running: Running) -> dict[str, set[str]]:
    """The states of the processes that said lately that they run, by name."""
    found: dict[str, set[str]] = {}
    for database in running.databases.values():
        connection = await asyncpg.connect(plain_url(database.url))
        for row in await connection.fetch(SEEN):
            found.setdefault(row["name"], set()).add(row["state"])
        await connection.close()
    return found


async def test_a_request_under_way_at_sigterm_is_answered_and_no_other_is_taken(running: Running) -> None:
    running.start("customers", "log://")
    await running.ready("customers")
    connection = await asyncpg.connect(plain_url(running.databases["customers"].url))
    holding = connection.transaction()
    await holding.start()
    await connection.execute("LOCK TABLE party IN ACCESS EXCLUSIVE MODE")
    body = {"identifiers": [{"scheme": "email", "value": "ann@example.org"}]}
    signed = {HEADER: Signer(SECRET).sign(Caller("key_1", frozenset({"admin"})))}
    async with httpx.AsyncClient(base_url=running.addresses["customers"], trust_env=False, timeout=60) as client:
        asked = asyncio.create_task(client.post("/v1/parties", json=body, headers=signed))
        waiting = (
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE NOT granted AND datname = current_database()"
        )
        async with asyncio.timeout(60):
            while not await connection.fetchval(waiting):
                await asyncio.sleep(0.02)
        running.children["customers"].send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            while await takes_connections(running.addresses["customers"]):
                await asyncio.sleep(0.02)
        await holding.rollback()
        answered = await asked
    await connection.close()

    assert answered.status_code == 201
    assert await asyncio.to_thread(running.children["customers"].wait, 20) == 0


async def takes_connections(address: str) -> bool:
    host, _, port = address.removeprefix("http://").partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


STUBBORN = """
import asyncio
from deploy import roles

async def stubborn():
    while True:
        try:
            print("stays", flush=True)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

roles.ROLES["stubborn"], roles.LONGEST_END_S = "__main__:stubborn", 0.5
roles.serve(["stubborn"])
"""


def test_a_process_that_does_not_end_when_it_is_told_to_is_ended() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    with child:
        assert child.stdout
        while "stays" not in child.stdout.readline():
            pass
        child.send_signal(signal.SIGTERM)
        said = child.stdout.read()
    assert child.returncode == 1
    assert "stays" in said
    assert "did not end when it was told to" in said


def test_a_supervised_process_has_longer_to_end_than_the_requests_that_it_answers() -> None:
    assert product.process(product.role("customers"), {"CUSTOMERS_PORT": "1"}).stop_s > GRACE_S
