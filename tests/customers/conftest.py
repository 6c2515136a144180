import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from chassis import db
from chassis.db import driver
from chassis.installation import checked
from contracts.identity import Installation
from services.customers.app import Settings, router
from services.customers.handlers.imports.kinds import KINDS
from services.customers.queries.deciding import decide
from tests.serving import HERE, serving


@pytest.fixture(scope="session")
async def customers_database(make_database) -> db.Database:
    return await make_database("services.customers")


@pytest.fixture
async def database(customers_database: db.Database) -> db.Database:
    async with customers_database.transaction() as session:
        await (await driver(session)).execute(
            "TRUNCATE party, identity, holding, merge, purchase, purchase_return, import_job, import_chunk,"
            " party_owner, ownership, registration, interaction, problem, problem_step, observation, former_version,"
            " pair_told, fact_taken_back, pair_to_decide, seen_together, shared_identity, likeness, duplicate_rules,"
            " import_line, import_reject, idempotency_key, outbox CASCADE"
        )
    return customers_database


@pytest.fixture(scope="session")
async def served(customers_database: db.Database, tmp_path_factory) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("key")
    async with serving("customers", Settings, router, KINDS, checked, customers_database, folder) as client:
        yield client


@pytest.fixture
def api(served: httpx.AsyncClient, database: db.Database) -> httpx.AsyncClient:
    return served


@pytest.fixture
def here() -> Installation:
    return HERE


@pytest.fixture
def published(database: db.Database):
    """Take the events published since the last call: (type, subject, data), in order."""

    async def take() -> list[tuple[str, str, dict[str, Any]]]:
        async with database.transaction() as session:
            rows = await (await driver(session)).fetch("DELETE FROM outbox RETURNING id, event_id, type, key, payload")
        rows.sort(key=lambda row: row["id"])
        return [
            (row["type"].split(".")[1], row["key"], json.loads(row["payload"])["data"] | {"_id": str(row["event_id"])})
            for row in rows
        ]

    return take


@pytest.fixture
def decided(database, here):
    async def all_of_them():
        while True:
            async with database.transaction() as session:
                if not await decide(session, here.zone):
                    return

    return all_of_them
