"""Parties of a stretch of ids under an older ruling: read without a lock, and written if nobody else has meanwhile."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from services.scoring.domain.calendar import Calendar, unpack_each
from services.scoring.domain.days import start_of_day
from services.scoring.domain.quiet import BETWEEN, Quiet
from services.scoring.queries.copying import copied
from services.scoring.queries.parties import STOOD
from services.scoring.queries.reading import WITH_OTHERS, Stretch, own_years
from services.scoring.queries.rulings import Connection, Present

BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


class Kept(NamedTuple):
    """A party that stands somewhere, as it is stored."""

    party_id: UUID
    written: int
    """Which transaction wrote it last."""
    assessed_at: datetime
    grades: str
    since: date
    steady: bool
    """See `Stood`."""
    calendar: Calendar


async def kept(connection: Connection, stretch: Stretch, here: Present) -> list[Kept]:
    """Those under an older ruling, in id order, without who shares identities with others."""
    lived, zone = here.lived, here.ruling.zone
    until, before = ([each.until for each in lived.earlier] + [0, 0])[:2]
    days = (start_of_day(day, zone) if day else BEFORE_ALL for day in (until, before, until and until + 1))
    rows = await connection.fetch(_KEPT, *stretch, here.ruling_id, lived.own_from, lived.built_on_from, *days)
    # Asked behind the rows: whose calendar changes or who comes to share from now on is written, too, and so not as it
    # was read.
    years = await own_years(connection, stretch)
    others = {row["party_id"] for row in await connection.fetch(WITH_OTHERS, *stretch)}
    own = [row for row in rows if row["party_id"] not in others] if others else rows
    found = unpack_each([years.get(row["party_id"], ()) for row in own])
    return [
        Kept(party_id, written, assessed_at, grades, since, steady, calendar)
        for (party_id, written, assessed_at, grades, since, steady), calendar in zip(own, found, strict=True)
    ]


async def write_quiet(
    connection: Connection, parties: Sequence[Kept], at: Sequence[datetime], quiet: Quiet, ruling_id: int
) -> None:
    """Store what is counted of parties whose grades stay, without those that somebody holds or has written since."""
    some = [parties[place] for place in quiet.places]
    rows = zip(
        (party.party_id for party in some), (party.written for party in some), (at[place] for place in quiet.places),
        *quiet[1:], strict=True,
    )  # fmt: skip
    await copied(connection, "renewed", _RENEWED, rows)
    # By what is renewed, and not through all parties.
    await connection.execute(_BY_PLACE)
    await connection.execute(_WRITE, ruling_id)


async def take_older(
    connection: Connection, stretch: Stretch, ruling_id: int, after: UUID, limit: int
) -> list[asyncpg.Record]:
    """The rows of parties behind one, under an older ruling, locked; without those that somebody else has locked."""
    return await connection.fetch(_TAKE, after, stretch.until, ruling_id, limit)


_GRADES = f"""concat_ws(
    e'\\x{ord(BETWEEN):02x}', stage, tier, coalesce(level, ''), satisfaction_band, loyalty_band, posture, treatment,
    array_to_string(flags, ' '), vip, coalesce(potential, '')
)"""

_KEPT = f"""
SELECT party_id, xmin, assessed_at, {_GRADES} AS grades, since,
       (ruling >= $4 AND assessed_at >= $6)
       OR (ruling >= $5 AND assessed_at >= $7 AND assessed_at < $8
           AND (next_change_at IS NULL OR next_change_at >= $8)) AS steady
FROM party
WHERE party_id > $1 AND party_id <= $2 AND ruling < $3 AND assessed_at IS NOT NULL AND stage IS NOT NULL
ORDER BY party_id
"""

_TAKE = f"""
SELECT {STOOD} FROM party WHERE party_id > $1 AND party_id <= $2 AND ruling < $3
ORDER BY party_id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
"""

_BY_PLACE = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"

_RENEWED: Mapping[str, str] = {
    "party_id": "uuid", "written": "xid", "assessed_at": "timestamptz", "value_minor": "bigint",
    "spend_minor": "bigint", "last_sign_day": "date", "last_contact_day": "date", "next_change_at": "timestamptz",
    "next_stage_at": "timestamptz", "next_stage": "text", "p": "float8", "turnover_minor": "bigint",
    "satisfaction": "float8", "loyalty": "float8",
}  # fmt: skip
"""What is written of such a party, and its types."""

_WRITE = """
WITH new AS MATERIALIZED (
    SELECT new.*
    FROM pg_temp.renewed AS new
    JOIN party ON party.party_id = new.party_id AND party.xmin = new.written
    FOR NO KEY UPDATE OF party SKIP LOCKED
), written AS (
    UPDATE party SET
        value_minor = new.value_minor, spend_minor = new.spend_minor,
        last_sign_day = new.last_sign_day, last_contact_day = new.last_contact_day,
        next_change_at = new.next_change_at, next_stage_at = new.next_stage_at, next_stage = new.next_stage, p = new.p,
        turnover_minor = new.turnover_minor, satisfaction = new.satisfaction, loyalty = new.loyalty,
        assessed_at = new.assessed_at, ruling = $1
    FROM new
    WHERE party.party_id = new.party_id
    RETURNING WITH (OLD AS before, NEW AS after) after.stage, after.tier, after.value_minor - before.value_minor AS more
)
INSERT INTO cell_change SELECT stage, tier, 0, sum(more) FROM written GROUP BY stage, tier HAVING sum(more) <> 0
"""
