"""Rebuilding the calendars from the facts, beside the worker that goes on writing.

The new calendars are folded into a table of their own, page by page, each from the facts that are there at that moment.
Whatever the worker changes meanwhile it writes down as touched, and is folded again. At last, with nobody writing, both
tables change places.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.scoring.domain.calendar import Calendar, pack
from services.scoring.queries.rulings import BARRIER, Connection, new_ruling


async def touch(connection: Connection, identities: Iterable[UUID]) -> None:
    """Tell the rebuild that the calendars of identities change while it runs."""
    await connection.execute(_TOUCH, sorted(identities))


async def rebuild_to_carry_on(connection: Connection) -> asyncpg.Record | None:
    """The open rebuild, locked until the transaction ends; None without one, or while another process works on it."""
    return await connection.fetchrow(_OPEN)


async def begin(connection: Connection, rebuild_id: UUID, at: datetime) -> None:
    """From here on the worker writes down what it touches: nobody writes while that is agreed."""
    identities = await connection.fetchval("SELECT count(DISTINCT identity_id) FROM fact")
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    await connection.execute("TRUNCATE touched_identity, calendar_rebuilt")
    await connection.execute("UPDATE installation SET rebuilding = true")
    await connection.execute(_BEGIN, rebuild_id, at, identities)


async def identities_behind(connection: Connection, after: UUID, limit: int) -> list[UUID]:
    """Identities with facts behind one, in id order."""
    return [row["identity_id"] for row in await connection.fetch(_IDENTITIES, after, limit)]


async def folded_up_to(connection: Connection, rebuild_id: UUID, last: UUID, count: int) -> None:
    """So many more identities are folded, up to this one."""
    await connection.execute(
        "UPDATE rebuild SET folded = folded + $3, after_identity = $2 WHERE id = $1", rebuild_id, last, count
    )


async def touched(connection: Connection) -> int:
    """How many identities have to be folded again."""
    count: int = await connection.fetchval("SELECT count(*) FROM touched_identity")
    return count


async def take_touched(connection: Connection, limit: int) -> list[UUID]:
    """Touched identities, which are folded again by this transaction: facts are read only after this."""
    return [row["identity_id"] for row in await connection.fetch(_TAKE, limit)]


async def write_rebuilt(connection: Connection, identities: Sequence[UUID], calendars: dict[UUID, Calendar]) -> None:
    """Put calendars in the place of what was folded of these identities before."""
    await connection.execute("DELETE FROM calendar_rebuilt WHERE identity_id = ANY($1)", identities)
    records = [
        (identity, year, days) for identity, calendar in calendars.items() for year, days in pack(calendar).items()
    ]
    await connection.copy_records_to_table("calendar_rebuilt", records=records, columns=["identity_id", "year", "days"])


async def end_writing(connection: Connection, *, lock_timeout_s: float) -> None:
    """Nobody else writes or reads a calendar until the transaction ends. Gives up early, for readers may take long."""
    await connection.execute(f"SET LOCAL lock_timeout = {int(lock_timeout_s * 1000)}")
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    await connection.execute("LOCK TABLE calendar, calendar_rebuilt IN ACCESS EXCLUSIVE MODE")


async def change_places(connection: Connection, rebuild_id: UUID, time_zone: str, at: datetime) -> None:
    """The rebuilt calendars are the calendars. A new ruling has every party assessed by them."""
    for statement in _SWAP:
        await connection.execute(statement)
    await connection.execute("UPDATE installation SET rebuilding = false, time_zone = $1", time_zone)
    made = await new_ruling(connection, "rebuild", at)
    await connection.execute(_FINISH, rebuild_id, made)


async def give_up(connection: Connection, rebuild_id: UUID, at: datetime, error: str) -> None:
    """End a rebuild without an effect, and say why."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    await connection.execute("TRUNCATE touched_identity, calendar_rebuilt")
    await connection.execute("UPDATE installation SET rebuilding = false")
    await connection.execute(
        "UPDATE rebuild SET state = 'failed', finished_at = $2, error = $3 WHERE id = $1", rebuild_id, at, error
    )


_FINISH = """
UPDATE rebuild SET state = 'done', finished_at = active_from FROM ruling WHERE rebuild.id = $1 AND ruling.id = $2
"""

# The row is locked even where it is there: a rebuild that takes it waits for the facts that are written with it.
_TOUCH = """
INSERT INTO touched_identity SELECT unnest($1::uuid[])
ON CONFLICT (identity_id) DO UPDATE SET identity_id = excluded.identity_id
"""

_OPEN = """
SELECT id, state, time_zone, after_identity FROM rebuild
WHERE state IN ('waiting', 'running') FOR UPDATE SKIP LOCKED
"""

_BEGIN = """
UPDATE rebuild SET state = 'running', started_at = $2, folded = 0, after_identity = NULL, identities = $3
WHERE id = $1
"""

_IDENTITIES = "SELECT DISTINCT identity_id FROM fact WHERE identity_id > $1 ORDER BY identity_id LIMIT $2"

_TAKE = """
DELETE FROM touched_identity
WHERE identity_id = ANY(ARRAY(SELECT identity_id FROM touched_identity ORDER BY identity_id LIMIT $1 FOR UPDATE))
RETURNING identity_id
"""

_SWAP = (
    "ALTER TABLE calendar RENAME TO calendar_before",
    "ALTER TABLE calendar_rebuilt RENAME TO calendar",
    "ALTER TABLE calendar_before RENAME TO calendar_rebuilt",
    "TRUNCATE touched_identity, calendar_rebuilt",
)
