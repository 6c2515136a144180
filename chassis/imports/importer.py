"""Carry out imports: each step records a part of a file and how far the import is, in one transaction."""

import asyncio
import gc
from collections.abc import Mapping, Sequence
from typing import Any, Never
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import pressure
from chassis.clock import now
from chassis.db import Database, connect, database_is_away
from chassis.ids import uuid7
from chassis.imports.amounts import DecimalMark
from chassis.imports.dates import DateOrder
from chassis.imports.jobs import DRY_RUN_KEPT, OPEN, State
from chassis.imports.keeping import forget_dry_runs
from chassis.imports.kinds import ImportKind, Origin
from chassis.imports.plans import Plan, Refusal, Row
from chassis.imports.progress import (
    chunk_rows,
    claim,
    forget_file,
    forget_lines,
    held,
    keep_lines,
    keep_rejects,
    next_groups,
)
from chassis.imports.table import ImportJob
from chassis.imports.understanding import (
    Understood,
    group_of,
    groups_understood,
    read,
    rows_understood,
    tally,
)
from chassis.imports.uploads import CHUNK_ROWS, plan_of
from chassis.installation import IdentifyingSettings
from chassis.rest import rest
from contracts.identity import FURTHEST_AHEAD, Installation
from contracts.telling import Outcome

log = structlog.get_logger()

REST_S = 0.5
"""Seconds between looks for a waiting import."""
FORGET_S = 600
"""Seconds between looks for dry runs whose day is over."""


Kinds = Sequence[ImportKind[Any]]


async def run(service: str, settings: IdentifyingSettings, kinds: Kinds) -> Never:
    """Carry out the imports of a service, one at a time; any number of these processes may run."""
    database = connect(settings.database_url, pool_size=2, silence_s=60)
    # Rows come and go by the thousand and make no cycles: looking for some took a fifth of the time.
    gc.set_threshold(50_000, 20, 20)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pressure.watch(database, service=service, settings=settings))
            tasks.create_task(carry_out_imports(database, kinds, settings.installation()))
            tasks.create_task(forget_what_was_looked_at(database))
    finally:
        await database.close()
    raise AssertionError("unreachable")


async def carry_out_imports(database: Database, kinds: Kinds, installation: Installation) -> Never:
    """Carry out one import after the other, until cancelled; any number of processes may do so.

    A fault of ours ends the import as failed; a database that is away is waited for.
    """
    importer = uuid7()
    while True:
        import_id = None
        try:
            if database.refusal is not None:
                await rest(1)
                continue
            async with database.transaction() as session:
                import_id = await claim(session, importer, now())
            while import_id and await move_on(database, kinds, installation, import_id, importer):
                while database.refusal is not None:
                    await rest(1)
        except Exception as error:
            if not database_is_away(error):
                log.exception("import failed", import_id=import_id)
                if import_id is None:
                    raise
                await give_up(database, import_id, importer)
        if import_id is None:
            await rest(REST_S)


async def forget_what_was_looked_at(database: Database) -> Never:
    """Forget the rows of dry runs when their day is over, until cancelled."""
    while True:
        try:
            async with database.transaction() as session:
                await forget_dry_runs(session, now() - DRY_RUN_KEPT)
        except Exception as error:
            if not database_is_away(error):
                raise
        await rest(FORGET_S)


async def move_on(
    database: Database, kinds: Kinds, installation: Installation, import_id: UUID, importer: UUID
) -> bool:
    """Take one step of an import; whether there is more to do, and still ours."""
    async with database.transaction() as session:
        job = await held(session, import_id, importer, now())
        if job is None:
            return False
        kind = next(kind for kind in kinds if kind.name == job.kind)
        if job.state == State.UNDOING:
            await undo_step(session, job, kind)
        else:
            await step(session, job, kind, installation)
        return job.state in OPEN


async def step(session: AsyncSession, job: ImportJob, kind: ImportKind[Any], installation: Installation) -> None:
    """Record the next chunk, or the next groups once all rows are sorted into them, or end."""
    job.state = State.RUNNING
    plan = planned(job, kind, installation)
    origin = Origin(installation, job.source, job.id, job.content_hash)
    if job.next_chunk < job.chunks:
        rows = await chunk_rows(session, job)
        if plan.grouped:
            await sort_rows(session, job, kind, plan, rows)
        else:
            found = await asyncio.to_thread(rows_understood, kind, plan, rows)
            await record(session, job, kind, origin, found, rows)
        job.next_chunk += 1
    elif plan.grouped and (groups := await next_groups(session, job, CHUNK_ROWS)):
        found = await asyncio.to_thread(groups_understood, kind, plan, groups.values())
        await record(session, job, kind, origin, found, [row for rows in groups.values() for row in rows])
        job.after_group = list(groups)[-1]
    else:
        job.state, job.finished_at, job.leased_until = State.DONE, now(), None
        # What a dry run looked at may be imported as it was looked at.
        await (forget_lines if job.dry_run else forget_file)(session, job)


async def record(
    session: AsyncSession,
    job: ImportJob,
    kind: ImportKind[Any],
    origin: Origin,
    found: Understood[Any],
    rows: Sequence[Row],
) -> None:
    """Record what rows say, keep those that are not taken, and count them all."""
    outcomes: Mapping[int, Outcome] = {}
    if not job.dry_run:
        outcomes = dict(enumerate(await kind.record(session, origin, [taken.told for taken in found.taken])))
    counted = tally(kind.prefix, found, outcomes)
    job.rows_read += len(rows)
    job.accepted += counted.accepted
    job.duplicate += counted.duplicate
    job.conflict += counted.conflict
    job.rejected += counted.rejected
    job.noted += counted.noted
    await keep_rejects(session, job, counted.refusals, dict(rows))


async def sort_rows(
    session: AsyncSession, job: ImportJob, kind: ImportKind[Any], plan: Plan, rows: Sequence[Row]
) -> None:
    """Put rows aside under what they are parts of; those that name nothing are not taken."""
    named = [(group, (row, cells)) for row, cells in rows if (group := group_of(kind, plan, cells))]
    known = {row for _, (row, _) in named}
    nameless = [(row, cells) for row, cells in rows if row not in known]
    await keep_lines(session, job, named)
    refusals = [read(kind, plan, row, cells) for row, cells in nameless]
    job.rows_read += len(nameless)
    job.rejected += len(nameless)
    await keep_rejects(session, job, [each for each in refusals if isinstance(each, Refusal)], dict(nameless))


async def undo_step(session: AsyncSession, job: ImportJob, kind: ImportKind[Any]) -> None:
    """Withdraw some of what an import brought, or end."""
    withdrawn = await kind.withdraw(session, job.id, CHUNK_ROWS)
    job.withdrawn += withdrawn
    if not withdrawn:
        job.state, job.finished_at, job.leased_until = State.UNDONE, job.finished_at or now(), None
        await forget_file(session, job)


async def give_up(database: Database, import_id: UUID, importer: UUID) -> None:
    """End an import that met a fault of ours; it can be undone."""
    async with database.transaction() as session:
        if job := await held(session, import_id, importer, now()):
            job.state, job.finished_at, job.leased_until = State.FAILED, now(), None
            await forget_file(session, job)


def planned(job: ImportJob, kind: ImportKind[Any], installation: Installation) -> Plan:
    """How the rows of an import are read."""
    return plan_of(
        kind,
        job.columns,
        job.mapping,
        installation=installation,
        source=job.source,
        currency=job.currency or "",
        times=ZoneInfo(job.time_zone),
        latest=now() + FURTHEST_AHEAD,
        order=DateOrder(job.dates) if job.dates else None,
        days_only=job.days_only,
        mark=DecimalMark(job.decimal_mark) if job.decimal_mark else None,
        day=job.day,
        constants=job.constants,
    )
