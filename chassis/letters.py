"""Dead letters of a service: what was set aside, put back through the handler or given up."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import APIRouter, Request
from pydantic import Field

from chassis.acts import administrative
from chassis.auth import Actor
from chassis.clock import now
from chassis.conditions import Conditions
from chassis.consumer import Delivery, Handler, StartOver
from chassis.db import Database, database_is_away, driver
from chassis.envelope import Envelope, Unreadable, open_data, open_envelope
from chassis.fields import Body, Instant, Shown
from chassis.http import Limit, Session, TransactionalRoute
from contracts.problems import NotFound

router = APIRouter(prefix="/internal/dead-letters", include_in_schema=False, route_class=TransactionalRoute)
putting_back = APIRouter(prefix="/internal/dead-letters", include_in_schema=False)

MOST = 1_000
"""Letters that one request names."""
LATEST_LETTER = 2**63 - 1


class LetterState(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    REQUEUED = "requeued"
    DISCARDED = "discarded"


class Became(StrEnum):
    """What a request made of a letter."""

    HANDLED = "handled"
    """Its effects are there now, for the first time."""
    FAILED = "failed"
    """It was refused again and stays open, with the new reason."""
    DISCARDED = "discarded"
    """It is given up."""
    WAS_REQUEUED = "was_requeued"
    """It had been handled before; nothing was done."""
    WAS_DISCARDED = "was_discarded"
    """It had been given up before; nothing was done."""
    UNKNOWN = "unknown"
    """There is none with this id, or no longer."""


class DeadLetterNotFound(NotFound):
    """There is no dead letter with this id; a closed one goes after a time."""


class Chosen(Body):
    """Letters by their ids, or the open ones that fit; `after` goes on behind a letter."""

    ids: Annotated[list[int], Field(max_length=MOST)] | None = None
    topic: str | None = None
    reason: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    after: int = 0
    limit: Annotated[int, Field(ge=1, le=MOST)] = 100


class Discarding(Chosen):
    """Letters to be given up, and why."""

    why: Annotated[str, Field(max_length=1_000)] | None = None


class Outcome(Shown):
    """What became of a letter."""

    id: int
    became: Became
    reason: str | None = None
    detail: str | None = None


class Outcomes(Shown):
    """What became of each, and whether more of those that fit are open behind the last one."""

    data: list[Outcome]
    has_more: bool


@router.get("")
async def list_letters_of_service(
    session: Session,
    status: Literal["open", "requeued", "discarded", "any"] = "open",
    topic: str | None = None,
    reason: str | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    before: int = LATEST_LETTER,
    limit: Limit = 100,
) -> dict[str, Any]:
    """What was set aside by this service, the last first."""
    conditions = Conditions(before)
    conditions.equal(status=None if status == "any" else status)
    _narrow(conditions, topic, reason, since, until)
    connection = await driver(session)
    query = f"{_LETTERS} WHERE id < $1{conditions} ORDER BY id DESC LIMIT {limit + 1}"
    rows = await connection.fetch(query, *conditions.arguments)
    return {"data": [_shown(row) for row in rows[:limit]], "has_more": len(rows) > limit}


@router.get("/{id}")
async def read_letter_of_service(id: int, session: Session) -> dict[str, Any]:
    """A letter with its payload as it stood on the bus."""
    row = await (await driver(session)).fetchrow(f"{_LETTERS} WHERE id = $1", id)
    if row is None:
        raise DeadLetterNotFound("There is no such dead letter.")
    payload = None if row["value"] is None else bytes(row["value"]).decode(errors="backslashreplace")
    return {**_shown(row), "payload": payload}


@router.post("/discard")
async def discard_letters_of_service(body: Discarding, session: Session, actor: Actor) -> Outcomes:
    """Give letters up."""
    connection = await driver(session)
    ids, has_more = await _chosen(connection, body)
    rows = await connection.fetch(_LOCK, ids)
    closing = [row["id"] for row in rows if row["status"] == LetterState.OPEN]
    await connection.execute(_CLOSE, closing, LetterState.DISCARDED, now(), actor.key_id, body.why)
    outcomes = {row["id"]: _was(row["id"], row["status"]) for row in rows}
    outcomes |= {id: Outcome(id=id, became=Became.DISCARDED) for id in closing}
    if closing:
        administrative("dead letters discarded", actor.key_id, letters=closing, why=body.why)
    return Outcomes(data=_in_order(ids, outcomes), has_more=has_more)


@putting_back.post("/requeue")
async def requeue_letters_of_service(body: Chosen, request: Request, actor: Actor) -> Outcomes:
    """Hand letters to the handler once more, each in a transaction of its own, in the order in which they came."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        ids, has_more = await _chosen(await driver(session), body)
    outcomes = {id: await _requeue(database, request.app.state.handler, id, actor.key_id) for id in ids}
    told = _in_order(ids, outcomes)
    if changed := [f"{each.id} {each.became}" for each in told if each.became in (Became.HANDLED, Became.FAILED)]:
        administrative("dead letters requeued", actor.key_id, letters=changed)
    return Outcomes(data=told, has_more=has_more)


def delivery_of(topic: str, partition: int, envelope: Envelope) -> Delivery:
    """The event in an envelope as a handler takes it. Raises `Unreadable`, also for an unknown type."""
    event = open_data(envelope)
    if event is None:
        raise Unreadable(f"{envelope.type}: this version does not know the type")
    return Delivery(event, envelope.id, topic, partition, *envelope.place, envelope.recordedat, envelope.traceparent)


async def _requeue(database: Database, handler: Handler | None, id: int, by: str) -> Outcome:
    try:
        while True:
            try:
                return await _handled(database, handler, id, by)
            except StartOver:
                continue
    except Exception as error:
        if database_is_away(error):
            raise
        reason, detail = type(error).__name__, str(error)
    async with database.transaction() as session:
        await (await driver(session)).execute(_FAILED_AGAIN, id, reason, detail)
    return Outcome(id=id, became=Became.FAILED, reason=reason, detail=detail)


async def _handled(database: Database, handler: Handler | None, id: int, by: str) -> Outcome:
    async with database.transaction() as session:
        connection = await driver(session)
        [*found] = await connection.fetch(_LOCK, [id])
        if not found or found[0]["status"] != LetterState.OPEN or handler is None:
            return _was(id, found[0]["status"] if found else None)
        letter = found[0]
        envelope = open_envelope(letter["value"] or b"")
        await handler(session, [delivery_of(letter["topic"], letter["partition"], envelope)])
        await connection.execute(_CLOSE, [id], LetterState.REQUEUED, now(), by, None)
    return Outcome(id=id, became=Became.HANDLED)


def _was(id: int, status: str | None) -> Outcome:
    match status:
        case LetterState.REQUEUED:
            return Outcome(id=id, became=Became.WAS_REQUEUED)
        case LetterState.DISCARDED:
            return Outcome(id=id, became=Became.WAS_DISCARDED)
        case _:
            return Outcome(id=id, became=Became.UNKNOWN)


def _in_order(ids: Sequence[int], outcomes: dict[int, Outcome]) -> list[Outcome]:
    return [outcomes.get(id) or _was(id, None) for id in ids]


async def _chosen(connection: "asyncpg.Connection[asyncpg.Record]", body: Chosen) -> tuple[list[int], bool]:
    """The ids of the letters that are meant, in order, and whether there are more of them."""
    if body.ids is not None:
        return sorted(set(body.ids)), False
    conditions = Conditions(body.after)
    _narrow(conditions, body.topic, body.reason, body.since, body.until)
    query = (
        f"SELECT id FROM dead_letter WHERE status = 'open' AND id > $1{conditions} ORDER BY id LIMIT {body.limit + 1}"
    )
    ids = [row["id"] for row in await connection.fetch(query, *conditions.arguments)]
    return ids[: body.limit], len(ids) > body.limit


def _narrow(
    conditions: Conditions, topic: str | None, reason: str | None, since: datetime | None, until: datetime | None
) -> None:
    conditions.equal(topic=topic, error_class=reason)
    conditions.add("first_failed_at >= {}", since)
    conditions.add("first_failed_at < {}", until)


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    named: dict[str, str | None]
    try:
        envelope = open_envelope(row["value"] or b"")
        named = {"event_id": f"event_{envelope.id.hex}", "type": envelope.type, "sequence": envelope.sequence}
    except Unreadable:
        named = dict.fromkeys(("event_id", "type", "sequence"))
    return {**{name: row[name] for name in _COLUMNS}, **named, "reason": row["error_class"], "detail": row["error"]}


_COLUMNS = (
    "id",
    "consumer",
    "topic",
    "partition",
    "offset",
    "key",
    "attempts",
    "first_failed_at",
    "status",
    "closed_at",
    "closed_by",
    "note",
)

_LETTERS = "SELECT * FROM dead_letter"

_LOCK = (
    "SELECT id, status, topic, partition, value FROM dead_letter WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE"
)

_CLOSE = """
UPDATE dead_letter SET status = $2, closed_at = $3, closed_by = $4, note = $5,
    attempts = attempts + ($2 = 'requeued')::int
WHERE id = ANY($1::bigint[])
"""

_FAILED_AGAIN = """
UPDATE dead_letter SET attempts = attempts + 1, error_class = $2, error = $3 WHERE id = $1 AND status = 'open'
"""
