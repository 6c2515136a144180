import json
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from chassis import auth, db
from chassis.app import create_app
from chassis.db import driver
from chassis.installation import checked
from contracts.identity import Installation
from services.customers.app import Settings, router
from services.customers.handlers.imports.kinds import KINDS

SECRET = "customers-tests-have-a-secret-of-their-own"
HERE = Installation(bytes(range(32)), ZoneInfo("Europe/Berlin"))


@pytest.fixture(scope="session")
async def customers_database(make_database) -> db.Database:
    return await make_database("services.customers")


@pytest.fixture
async def database(customers_database: db.Database) -> db.Database:
    async with customers_database.transaction() as session:
        await (await driver(session)).execute(
            "TRUNCATE party, identity, holding, merge, purchase, purchase_return, import_job, import_chunk,"
            " party_owner, ownership, interaction, problem, problem_step, former_version,"
            " pair_told, fact_taken_back, pair_to_decide, seen_together, shared_identity, likeness, duplicate_rules,"
            " import_line, import_reject, idempotency_key, outbox CASCADE"
        )
    return customers_database


@pytest.fixture(scope="session")
async def served(customers_database: db.Database, tmp_path_factory) -> AsyncIterator[httpx.AsyncClient]:
    """The API in this process, with its outbox left alone so that tests can read it."""
    key_file = tmp_path_factory.mktemp("key") / "identity.key"
    key_file.write_text(HERE.key.hex())
    settings = Settings(
        database_url=customers_database.url,
        internal_secret=SECRET,
        time_zone="Europe/Berlin",
        identity_key_file=key_file,
    )
    app = create_app("customers", router=router, settings=settings)
    app.state.installation = settings.installation()
    app.state.import_kinds = KINDS
    async with checked(app):
        headers = {auth.HEADER: app.state.signer.sign("tests", ["admin"])}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://customers", headers=headers) as client:
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
