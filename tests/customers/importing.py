"""Imports carried out in the tests' own process, step by step."""

import io
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import UploadFile

from chassis import db
from chassis.db import Database
from chassis.ids import uuid7
from chassis.imports.importer import move_on
from chassis.imports.jobs import State, undo
from chassis.imports.keeping import keep_upload
from chassis.imports.lookup import import_job, rejects
from chassis.imports.progress import claim
from chassis.imports.table import ImportIn, ImportJob
from contracts.identity import Installation
from services.customers.handlers.imports.kinds import KINDS

KEY = b"k" * 32
INSTALLATION = Installation(KEY, ZoneInfo("Asia/Taipei"))
AT = datetime(2026, 1, 1, tzinfo=UTC)


async def start(database: Database, content: str, kind: str = "purchases", **wanted: Any) -> ImportJob:
    file = UploadFile(io.BytesIO(content.encode()), filename="orders.csv")
    [known] = [each for each in KINDS if each.name == kind]
    async with database.transaction() as session:
        return await keep_upload(session, ImportIn(file=file, **wanted), known, INSTALLATION, currency="EUR")


async def carried_out(database: Database, job: ImportJob) -> ImportJob:
    importer = uuid7()
    async with database.transaction() as session:
        assert await claim(session, importer, AT) == job.id
    while await move_on(database, KINDS, INSTALLATION, job.id, importer):
        pass
    async with database.transaction() as session:
        return await import_job(session, job.id)


async def imported(database: Database, content: str, **wanted: Any) -> ImportJob:
    return await carried_out(database, await start(database, content, **wanted))


async def undone(database: Database, job: ImportJob) -> ImportJob:
    async with database.transaction() as session:
        there = await import_job(session, job.id, to_change=True)
        there.state = undo(State(there.state), dry_run=there.dry_run)
    return await carried_out(database, job)


async def rejected(database: Database, job: ImportJob) -> list[tuple[str, str]]:
    return [(row[0], row[1]) async for part in rejects(database, job.id) for row in part]


async def value(database: Database, query: str, *arguments: Any) -> Any:
    async with database.sessions() as session:
        return await (await db.driver(session)).fetchval(query, *arguments)


def counts(job: ImportJob) -> tuple[str, int, int, int, int]:
    return job.state, job.accepted, job.duplicate, job.conflict, job.rejected
