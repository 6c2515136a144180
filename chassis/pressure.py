"""Back-pressure: what would make a deep outbox deeper, or fill the disk, is refused before it is recorded.

Never by the age of what is not published yet: through hours without a broker events are numbered and wait in the log.
"""

import shutil
from pathlib import Path
from typing import Never

import structlog

from chassis.db import Database, database_is_away, driver
from chassis.rest import rest
from chassis.settings import ServiceSettings
from chassis.telemetry import DISK_FREE, INTAKE_REFUSED, OUTBOX_EVENTS
from contracts.problems import Unavailable

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
MEGABYTE = 1_000_000


class Backlogged(Unavailable):
    """Too many events wait for their numbers; what would add to them is refused."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(f"{waiting} events or more wait for their numbers.", limit=limit, retry_after_s=5)


class DiskFull(Unavailable):
    """The disk has too little room left to record anything more."""

    def __init__(self, free_mb: int, least_mb: int) -> None:
        super().__init__(f"The disk has {free_mb} MB left.", least_mb=least_mb, retry_after_s=60)


async def watch(database: Database, *, service: str, settings: ServiceSettings) -> Never:
    """Set and lift `database.refusal`, until cancelled."""
    while True:
        try:
            await look(database, service=service, settings=settings)
        except Exception as error:
            if not database_is_away(error):
                raise
        await rest(LOOK_EVERY_S)


def full(database: Database) -> DiskFull | None:
    """What refuses whatever may change anything before its body is read: of a full disk a rollback is no relief."""
    return database.refusal if isinstance(database.refusal, DiskFull) else None


async def lifted(database: Database) -> None:
    """Wait for as long as nothing may be announced: for who would only have it rolled back."""
    while database.refusal is not None:
        await rest(LOOK_EVERY_S)


async def look(database: Database, *, service: str, settings: ServiceSettings) -> None:
    """Look once how much waits and how much room there is."""
    full = _full(settings.disk_folder, service, settings.disk_least_mb)
    if full is not None:
        # Before the database is asked, which may be away for that very reason.
        _refuse(database, service, full)
    deep = await _deep(database, service, settings.outbox_limit)
    _refuse(database, service, full or deep)


def _refuse(database: Database, service: str, refusal: Backlogged | DiskFull | None) -> None:
    if type(refusal) is not type(database.refusal):
        log.warning("intake refused" if refusal else "intake goes on", service=service, why=refusal and refusal.detail)
    database.refusal = refusal
    INTAKE_REFUSED.labels(service).set(refusal is not None)


async def _deep(database: Database, service: str, limit: int) -> Backlogged | None:
    async with database.transaction() as session:
        waiting: int = await (await driver(session)).fetchval(_DEPTH, limit + 1)
    OUTBOX_EVENTS.labels(service).set(waiting)
    return Backlogged(waiting, limit) if waiting > limit else None


def _full(folder: Path | None, service: str, least_mb: int) -> DiskFull | None:
    if folder is None:
        return None
    try:
        free = shutil.disk_usage(folder).free
    except FileNotFoundError:
        return None
    DISK_FREE.labels(service).set(free)
    return DiskFull(free // MEGABYTE, least_mb) if free < least_mb * MEGABYTE else None


_DEPTH = "SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS waiting"
