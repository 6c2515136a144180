"""Trials as they are asked for, carried out and shown."""

from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from chassis.conditions import Conditions
from contracts.trials import MovesNotKept, TrialNotDone, TrialNotFound
from services.scoring.domain.moment import Care
from services.scoring.domain.trials import TooManyTrials
from services.scoring.queries.reach import keep_to
from services.scoring.queries.rulings import Connection

TRYING = 7_002
"""Advisory lock: held by the one process that carries a trial out."""
ASKING = 7_004
"""Advisory lock: held by whoever asks for a trial."""
MOST_WAITING = 20
"""So many trials may wait or be under way."""


async def ask_for_trial(
    connection: Connection,
    trial_id: UUID,
    policy: str,
    *,
    model: str | None,
    span: tuple[date | None, date | None],
    keep_moves: bool,
    at: datetime,
    by: str | None,
) -> asyncpg.Record:
    """A trial that waits to be carried out, after those before it."""
    await connection.execute(_ASK, trial_id, policy, model, *span, keep_moves, at, by)
    return await trial(connection, trial_id)


async def check_waiting(connection: Connection) -> None:
    """Raise `TooManyTrials` where as many wait as may; nobody else asks for one until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", ASKING)
    waiting = await connection.fetchval("SELECT count(*) FROM trial WHERE state IN ('waiting', 'running')")
    if waiting >= MOST_WAITING:
        raise TooManyTrials(waiting)


async def trial(connection: Connection, trial_id: UUID) -> asyncpg.Record:
    """A trial and how far it is. Raises `TrialNotFound`."""
    row = await connection.fetchrow(f"{_TRIALS} WHERE id = $1", trial_id)
    if row is None:
        raise TrialNotFound("There is no such trial. `GET /v1/trials` lists them.")
    return row


async def trials_before(
    connection: Connection, before: UUID, *, policy: str | None, limit: int
) -> list[asyncpg.Record]:
    """Trials before one, the newest first."""
    return await connection.fetch(_LISTED, before, policy, limit)


async def end(connection: Connection, trial_id: UUID, at: datetime) -> None:
    """Cancel a trial that has not come to its end, and forget its moves. Raises `TrialNotFound`."""
    if await connection.fetchval(_END, trial_id, at) is None:
        raise TrialNotFound("There is no such trial. `GET /v1/trials` lists them.")
    await connection.execute("DELETE FROM trial_move WHERE trial_id = $1", trial_id)


async def check_moves(connection: Connection, trial_id: UUID) -> None:
    """Raise what keeps the moves of a trial from being read: `TrialNotFound`, `TrialNotDone` or `MovesNotKept`."""
    row = await trial(connection, trial_id)
    if row["state"] != "done":
        raise TrialNotDone("The trial has not come to its end.", state=row["state"])
    if not row["keep_moves"]:
        raise MovesNotKept("This trial kept no moves. Have another one with `keep_moves`.")


async def moves_of(
    connection: Connection, trial_id: UUID, limit: int, care: Care | None = None
) -> AsyncIterator[list[asyncpg.Record]]:
    """The moves that a trial kept, party by party, each party's in order, page by page in flat memory.

    Of all parties, or of those of an owner or a team.
    """
    conditions = Conditions(trial_id)
    keep_to(care, conditions)
    query = _MOVES.format(whose=_WHOSE if care else "", conditions=conditions)
    cursor = await connection.cursor(query, *conditions.arguments)
    while rows := await cursor.fetch(limit):
        yield rows


async def open_trial(connection: Connection) -> UUID | None:
    """The trial to be carried out next, also one whose process was killed."""
    found: UUID | None = await connection.fetchval(_OPEN)
    return found


async def alone(connection: Connection) -> bool:
    """Whether no other process carries a trial out; none does until the transaction ends."""
    free: bool = await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", TRYING)
    return free


async def begin(connection: Connection, trial_id: UUID, at: datetime) -> asyncpg.Record | None:
    """Begin a trial, from the beginning also where a killed process had begun it; None where it has ended since."""
    if await connection.fetchval(_BEGIN, trial_id, at) is None:
        return None
    # Now nobody writes moves any more who was begun before.
    await connection.execute("DELETE FROM trial_move WHERE trial_id = $1", trial_id)
    return await trial(connection, trial_id)


async def go_on(connection: Connection, trial_id: UUID, done: int) -> bool:
    """Write down how far a trial is; whether it is to go on."""
    return await connection.fetchval(_GO_ON, trial_id, done) is not None


async def keep_moves(
    connection: Connection, trial_id: UUID, begun_at: datetime, first: int, moves: Iterable[tuple[object, ...]]
) -> bool:
    """Write moves from a place on, unless the trial has ended or was begun anew; whether it was so.

    Of a move: party, instant, stage from and to, tier from and to, kind, why.
    """
    if await connection.fetchval(_UNDER_WAY, trial_id, begun_at) is None:
        return False
    records = ((trial_id, place, *row) for place, row in enumerate(moves, first))
    await connection.copy_records_to_table("trial_move", records=records, columns=_MOVE)
    return True


async def finish(connection: Connection, trial_id: UUID, result: dict[str, Any], at: datetime) -> None:
    """The trial has come to its end."""
    await connection.execute(_FINISH, trial_id, msgspec.json.encode(result).decode(), at)


async def fail(connection: Connection, trial_id: UUID, at: datetime, error: str) -> None:
    """End a trial without a result, and say why."""
    await connection.execute(_FAIL, trial_id, at, error)
    await connection.execute("DELETE FROM trial_move WHERE trial_id = $1", trial_id)


async def forget_moves(connection: Connection, present: datetime, *, days: int) -> None:
    """Forget the moves of trials that ended so many days ago; their results stay."""
    ended = [row["id"] for row in await connection.fetch(_ENDED, present - timedelta(days=days))]
    if ended:
        await connection.execute("DELETE FROM trial_move WHERE trial_id = ANY($1)", ended)


_ASK = """
INSERT INTO trial (id, policy, model, from_day, until_day, keep_moves, state, asked_at, asked_by)
VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7, $8)
"""

_TRIALS = """
SELECT id, policy, model, from_day, until_day, keep_moves, state, parties, done, result::text AS result, asked_at,
       asked_by, started_at, finished_at, error
FROM trial
"""

_LISTED = f"{_TRIALS} WHERE id < $1 AND ($2::text IS NULL OR policy = $2) ORDER BY id DESC LIMIT $3"

_END = """
UPDATE trial
SET state = CASE WHEN state IN ('waiting', 'running') THEN 'cancelled' ELSE state END,
    finished_at = coalesce(finished_at, $2), keep_moves = false
WHERE id = $1 RETURNING id
"""

_ENDED = """
UPDATE trial SET keep_moves = false
WHERE keep_moves AND finished_at < $1 AND state NOT IN ('waiting', 'running') RETURNING id
"""

_OPEN = "SELECT id FROM trial WHERE state IN ('waiting', 'running') ORDER BY id LIMIT 1"

_BEGIN = """
UPDATE trial
SET state = 'running', started_at = $2, done = 0,
    parties = (SELECT count(*) FROM party WHERE first_identity IS NOT NULL OR stage IS NOT NULL)
WHERE id = $1 AND state IN ('waiting', 'running') RETURNING id
"""

_GO_ON = "UPDATE trial SET done = $2 WHERE id = $1 AND state = 'running' RETURNING id"

# Who ends it, or begins it anew, waits until what is being written can be forgotten.
_UNDER_WAY = "SELECT id FROM trial WHERE id = $1 AND state = 'running' AND started_at = $2 FOR SHARE"

_FINISH = "UPDATE trial SET state = 'done', result = $2::text::jsonb, finished_at = $3 WHERE id = $1"

_FAIL = """
UPDATE trial SET state = 'failed', finished_at = $2, error = $3
WHERE id = $1 AND state IN ('waiting', 'running')
"""

_MOVE = ["trial_id", "place", "party_id", "at", "from_stage", "to_stage", "from_tier", "to_tier", "kind", "reason"]

_MOVES = """
SELECT party_id, at, from_stage, to_stage, from_tier, to_tier, kind, reason
FROM trial_move{whose} WHERE trial_id = $1{conditions} ORDER BY place
"""

_WHOSE = """
    JOIN LATERAL (
        SELECT top.owner_id, top.team_id FROM party AS asked JOIN party AS top ON top.party_id = asked.resolves_to
        WHERE asked.party_id = trial_move.party_id
    ) AS party ON true"""
