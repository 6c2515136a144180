import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis import db
from chassis.assignments import learn
from chassis.consumer import Delivery
from chassis.db import driver
from chassis.ids import uuid7
from chassis.installation import checked
from contracts.customers import Assignment, Holding, IdentitiesAssigned, Resolution
from contracts.event import event_class
from contracts.identity import Installation
from contracts.topics import PARTIES
from services.community.app import Settings, router
from services.community.handlers.imports.kinds import KINDS
from tests.growing import grown
from tests.serving import HERE, serving


@pytest.fixture(scope="session")
async def community_database(make_database) -> db.Database:
    return await grown(await make_database("services.community"))


@pytest.fixture
async def database(community_database: db.Database) -> db.Database:
    async with community_database.transaction() as session:
        await (await driver(session)).execute(
            "TRUNCATE member, member_version, membership, community_group, group_version, group_member, post,"
            " post_version, post_name, reaction, reaction_version, referral,"
            " known_assignment, known_resolution, idempotency_key, outbox,"
            " import_job, import_chunk, import_line, import_reject CASCADE"
        )
    return community_database


@pytest.fixture(scope="session")
async def served(community_database: db.Database, tmp_path_factory) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("key")
    async with serving("community", Settings, router, KINDS, checked, community_database, folder) as client:
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
            data = json.loads(row["payload"])["data"]
            declared = event_class(row["type"])
            assert set(data) <= set(declared.model_fields)
            decoded = declared.decode(UUID(row["key"]), json.dumps(data).encode())
            assert json.loads(decoded.model_dump_json(exclude_none=True)) == data
            taken.append((row["type"].split(".")[1], row["key"], data | {"_id": str(row["event_id"])}))
        return taken

    return take


@pytest.fixture
def told(database: db.Database):
    """Have the service learn that identities are held by parties, and where party ids lead."""
    numbers = count(1)

    async def tell(holdings, resolutions=None) -> None:
        version = next(numbers)
        event = IdentitiesAssigned(
            subject=uuid7(),
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
            assignments=[
                Assignment(
                    identity_id=identity,
                    version=version,
                    holdings=[Holding(party_id=party, from_day=day) for party, day in held],
                )
                for identity, held in holdings.items()
            ],
            resolutions=[
                Resolution(party_id=party, version=version, resolves_to=top)
                for party, top in (resolutions or {}).items()
            ],
        )
        delivery = Delivery(event, uuid7(), PARTIES.name, 0, 1, version, datetime(2026, 1, 1, tzinfo=UTC))
        async with database.transaction() as session:
            await learn(session, [delivery])

    return tell


def uuid(outer: str) -> UUID:
    return UUID(hex=outer.rpartition("_")[2])


def party_id(id: UUID) -> str:
    return f"party_{id.hex}"


@pytest.fixture
def member(api):
    """Make a member of the forum known."""

    async def make(name: str, **other: Any) -> dict[str, Any]:
        answer = await api.post("/v1/members", json={"community": "forum", "source_id": name} | other)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    return make


@pytest.fixture
def post(api):
    """Record a post of a member of the forum, by its name there."""

    async def make(name: str, text: str = "Hello", **other: Any) -> dict[str, Any]:
        body = {"member": {"community": "forum", "source_id": name}, "text": text} | other
        answer = await api.post("/v1/posts", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    return make
