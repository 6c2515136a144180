"""A filled database is brought to the newest version while it is read and written, and nobody notices."""

import asyncio
import json
from collections.abc import Awaitable
from itertools import count
from pathlib import Path

import asyncpg
import httpx
import pytest

from chassis import db, migrations
from chassis.db import plain_url
from chassis.installation import checked
from services.customers.app import Settings, router
from services.customers.handlers.imports.kinds import KINDS
from tests.conftest import MakeDatabase
from tests.serving import serving

FROM = "0008"
"""The oldest version on which the present code takes and lists purchases: indexes, tables and columns come after it."""
FILLED = 20_000
STARVED_S = 10.0
"""No request may wait for as long as this, which is many times what the machine's other work can cost."""


def purchase(number: int) -> dict[str, object]:
    return {
        "identifier": {"scheme": "external", "system": "shop", "value": str(number % 5_000)},
        "source": "shop",
        "source_id": str(number),
        "occurred_at": "2026-03-01T10:00:00Z",
        "amount_minor": 100,
        "currency": "EUR",
    }


@pytest.fixture
async def older(make_database: MakeDatabase) -> db.Database:
    database = await make_database(None)
    connection = await asyncpg.connect(plain_url(database.url))
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    await migrations.migrate(database.url, "services.customers", to=FROM)
    return database


async def test_reads_and_writes_go_on_while_a_filled_database_is_upgraded(older: db.Database, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    waited: list[float] = []
    numbers = count(FILLED)

    async def good(answering: Awaitable[httpx.Response]) -> httpx.Response:
        began = loop.time()
        response = await answering
        waited.append(loop.time() - began)
        assert response.is_success, response.text
        return response

    async def write(api: httpx.AsyncClient) -> None:
        while not over.is_set():
            await good(api.post("/v1/purchases", json=purchase(next(numbers))))

    async def read(api: httpx.AsyncClient) -> None:
        while not over.is_set():
            page = (await good(api.get("/v1/purchases", params={"limit": 50}))).json()
            assert len(page["data"]) == 50

    async with serving("customers", Settings, router, KINDS, checked, older, tmp_path) as api:
        for first in range(0, FILLED, 5_000):
            lines = "\n".join(json.dumps(purchase(number)) for number in range(first, first + 5_000))
            await good(api.post("/v1/purchases/bulk", content=lines.encode()))
        waited.clear()
        async with asyncio.TaskGroup() as load:
            load.create_task(write(api))
            load.create_task(write(api))
            load.create_task(read(api))
            applied = await migrations.migrate(older.url, "services.customers")
            over.set()
        kept = await asyncpg.connect(plain_url(older.url))
        assert await kept.fetchval("SELECT count(*) FROM purchase") == next(numbers)
        assert not await kept.fetch("SELECT FROM pg_index WHERE NOT indisvalid")
        await kept.close()

    assert applied == [version for version in migrations.versions("services.customers") if version > FROM]
    assert len(waited) > len(applied)
    assert max(waited) < STARVED_S
