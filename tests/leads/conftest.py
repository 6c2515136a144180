import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from chassis import db
from chassis.clock import now
from chassis.db import driver
from contracts.event import event_class
from contracts.identity import Installation
from services.leads.app import Settings, opened, router
from services.leads.handlers.imports.kinds import KINDS
from services.leads.queries.rubrics import open_rubrics
from tests.growing import grown
from tests.serving import HERE, serving


@pytest.fixture(scope="session")
async def leads_database(make_database) -> db.Database:
    return await grown(await make_database("services.leads"))


@pytest.fixture
async def database(leads_database: db.Database) -> db.Database:
    async with leads_database.transaction() as session:
        await (await driver(session)).execute(
            "TRUNCATE lead, lead_version, rubric, activation, known_assignment, known_resolution, idempotency_key,"
            " outbox, consumer_offset, import_job, import_chunk, import_line, import_reject CASCADE"
        )
        await open_rubrics(session, now())
    return leads_database


@pytest.fixture(scope="session")
async def served(leads_database: db.Database, tmp_path_factory) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("key")
    async with serving("leads", Settings, router, KINDS, opened, leads_database, folder) as client:
        yield client


@pytest.fixture
def api(served: httpx.AsyncClient, database: db.Database) -> httpx.AsyncClient:
    return served


@pytest.fixture
def here() -> Installation:
    return HERE


@pytest.fixture
def published(database: db.Database):
    """Take the events published since the last call: (type, subject, data), in order. Each must match its contract."""

    async def take() -> list[tuple[str, str, dict[str, Any]]]:
        async with database.transaction() as session:
            rows = await (await driver(session)).fetch("DELETE FROM outbox RETURNING id, event_id, type, key, payload")
        rows.sort(key=lambda row: row["id"])
        taken = []
        for row in rows:
            envelope = json.loads(row["payload"])
            data = envelope["data"]
            declared = event_class(row["type"])
            assert declared is not None
            assert set(data) <= set(declared.model_fields)
            told = declared.decode(row["key"], json.dumps(data).encode())
            assert json.loads(told.model_dump_json(exclude_none=True)) == data
            taken.append((row["type"].split(".")[1], row["key"], data | {"_id": str(row["event_id"])}))
        return taken

    return take
