import json
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from chassis import auth, db
from chassis.app import create_app
from chassis.clock import now
from chassis.db import driver
from contracts.event import event_class
from contracts.identity import Installation
from services.leads.app import Settings, opened, router
from services.leads.handlers.imports.kinds import KINDS
from services.leads.queries.rubrics import open_rubrics

SECRET = "leads-tests-have-a-secret-of-their-own-too"
HERE = Installation(bytes(range(32)), ZoneInfo("Europe/Berlin"))


@pytest.fixture(scope="session")
async def leads_database(make_database) -> db.Database:
    return await make_database("services.leads")


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
    """The API in this process, with its outbox left alone so that tests can read it."""
    key_file = tmp_path_factory.mktemp("key") / "identity.key"
    key_file.write_text(HERE.key.hex())
    settings = Settings(
        database_url=leads_database.url,
        internal_secret=SECRET,
        time_zone="Europe/Berlin",
        identity_key_file=key_file,
    )
    app = create_app("leads", router=router, settings=settings)
    app.state.installation = settings.installation()
    app.state.import_kinds = KINDS
    async with opened(app):
        headers = {auth.HEADER: app.state.signer.sign("tests", ["admin"])}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://leads", headers=headers) as client:
            yield client
    await app.state.database.close()


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
