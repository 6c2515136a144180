"""Carry out imports: each step records a part of a file and how far the import is, in one transaction."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Never
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import Database, database_is_away
from chassis.ids import uuid7
from chassis.rest import rest
from contracts.identity import FURTHEST_AHEAD, Installation
from contracts.telling import Outcome
from services.customers.domain.imports.amounts import DecimalMark
from services.customers.domain.imports.dates import DateOrder
from services.customers.domain.imports.facts import (
    Origin,
    Understood,
    lines_understood,
    purchase,
    returned,
    rows_understood,
    tally,
)
from services.customers.domain.imports.fields import Field, Kind
from services.customers.domain.imports.jobs import OPEN, State
from services.customers.domain.imports.rows import Plan, Refusal, order_key, read
from services.customers.domain.imports.uploads import CHUNK_ROWS, Row, positions_of
from services.customers.models.imports import ImportJob
from services.customers.queries.imports.progress import (
    chunk_rows,
    claim,
    forget_file,
    held,
    keep_lines,
    keep_rejects,
    next_orders,
)
from services.customers.queries.purchases import record_purchases, withdraw_purchases
from services.customers.queries.returns import record_returns, withdraw_returns

log = structlog.get_logger()

REST_S = 0.25
"""Seconds between looks for a waiting import."""


async def carry_out_imports(database: Database, installation: Installation) -> Never:
    """Carry out one import after the other, until cancelled; any number of processes may do so.

    A fault of ours ends the import as failed; a database that is away is waited for.
    """
    importer = uuid7()
    while True:
        import_id = None
        try:
            async with database.transaction() as session:
                import_id = await claim(session, importer, now())
            while import_id and await move_on(database, installation, import_id, importer):
                pass
        except Exception as error:
            if not database_is_away(error):
                log.exception("import failed", import_id=import_id)
                if import_id is None:
                    raise
                await give_up(database, import_id, importer)
        if import_id is None:
            await rest(REST_S)


async def move_on(database: Database, installation: Installation, import_id: UUID, importer: UUID) -> bool:
    """Take one step of an import; whether there is more to do, and still ours."""
    async with database.transaction() as session:
        job = await held(session, import_id, importer, now())
        if job is None:
            return False
        if job.state == State.UNDOING:
            await undo_step(session, job)
        else:
            await step(session, job, installation)
        return job.state in OPEN


async def step(session: AsyncSession, job: ImportJob, installation: Installation) -> None:
    """Record the next chunk, or the next orders once all lines are sorted into them, or end."""
    job.state = State.RUNNING
    plan, latest = plan_of(job, installation.zone), now() + FURTHEST_AHEAD
    if job.next_chunk < job.chunks:
        rows = await chunk_rows(session, job)
        if plan.by_lines:
            await sort_lines(session, job, plan, rows)
        else:
            found = await asyncio.to_thread(rows_understood, plan, rows, latest=latest)
            await record(session, job, installation, found, rows)
        job.next_chunk += 1
    elif plan.by_lines and (orders := await next_orders(session, job, CHUNK_ROWS)):
        found = await asyncio.to_thread(lines_understood, plan, orders.values(), latest=latest)
        await record(session, job, installation, found, [row for rows in orders.values() for row in rows])
        job.after_order = list(orders)[-1]
    else:
        job.state, job.finished_at, job.leased_until = State.DONE, now(), None
        await forget_file(session, job)


async def record(
    session: AsyncSession, job: ImportJob, installation: Installation, found: Understood, rows: Sequence[Row]
) -> None:
    """Record what rows say, keep those that are not taken, and count them all."""
    outcomes: Mapping[int, Outcome] = {}
    if not job.dry_run:
        origin, kind = Origin(installation, job.source, job.id, job.content_hash), Kind(job.kind)
        if kind is Kind.PURCHASES:
            purchases = [purchase(order, origin) for order in found.orders]
            outcomes = dict(enumerate(await record_purchases(session, purchases, installation)))
        else:
            returns = [returned(order, origin) for order in found.orders]
            outcomes = dict(enumerate(await record_returns(session, returns, installation)))
    counted = tally(Kind(job.kind), found, outcomes)
    job.rows_read += len(rows)
    job.accepted += counted.accepted
    job.duplicate += counted.duplicate
    job.conflict += counted.conflict
    job.rejected += len(counted.refusals) - counted.conflict
    await keep_rejects(session, job, counted.refusals, dict(rows))


async def sort_lines(session: AsyncSession, job: ImportJob, plan: Plan, rows: Sequence[Row]) -> None:
    """Put lines aside under their orders; those that name none are not taken."""
    named = [(order, (row, cells)) for row, cells in rows if (order := order_key(plan, cells))]
    known = {row for _, (row, _) in named}
    nameless = [(row, cells) for row, cells in rows if row not in known]
    await keep_lines(session, job, named)
    refusals = [read(plan, row, cells, latest=now()) for row, cells in nameless]
    job.rows_read += len(nameless)
    job.rejected += len(nameless)
    await keep_rejects(session, job, [each for each in refusals if isinstance(each, Refusal)], dict(nameless))


async def undo_step(session: AsyncSession, job: ImportJob) -> None:
    """Withdraw some of what an import brought, or end."""
    withdraw = withdraw_purchases if job.kind == Kind.PURCHASES else withdraw_returns
    withdrawn = await withdraw(session, job.id, CHUNK_ROWS)
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


def plan_of(job: ImportJob, days: ZoneInfo) -> Plan:
    """How the rows of an import are read."""
    return Plan(
        Kind(job.kind),
        positions_of(job.columns, {Field(field): column for field, column in job.mapping.items()}),
        len(job.columns),
        job.currency,
        ZoneInfo(job.time_zone),
        days,
        DateOrder(job.dates) if job.dates else None,
        job.days_only,
        DecimalMark(job.decimal_mark) if job.decimal_mark else None,
    )
