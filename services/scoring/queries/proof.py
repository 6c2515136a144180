"""What verification compares, read as it lies there, by other ways than those that the worker and the reads go."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from services.scoring.domain.facts import Fact
from services.scoring.domain.plain import counting
from services.scoring.domain.verdict import Difference, Evidence, verdict
from services.scoring.queries.facts import facts_of
from services.scoring.queries.parties import NOBODY
from services.scoring.queries.rulings import Connection, Present, ruling_of

PAGE = 100
"""Parties; comparing so many plainly takes about half a second."""


class Judge:
    """Compares, each party under the ruling that it stands under."""

    def __init__(self, connection: Connection, last_rebuild: int) -> None:
        self._connection = connection
        self._last_rebuild = last_rebuild
        self._rulings: dict[int, Present] = {}
        self.waiting = 0

    async def judge(self, stored: Evidence) -> tuple[int, list[Difference]]:
        """See `verdict`."""
        number: int | None = stored.row["ruling"]
        if number is None:
            return verdict(stored, None, ())
        if number not in self._rulings:
            self._rulings[number] = await ruling_of(self._connection, number)
        here, waiting = self._rulings[number], number < self._last_rebuild
        self.waiting += waiting
        # In a thread: the plain computation is slow, and others want answers meanwhile.
        return await asyncio.to_thread(verdict, stored, here.as_lived, here.rate_rows, waiting=waiting)


async def all_evidence(connection: Connection) -> AsyncIterator[list[Evidence]]:
    """Everything that is stored about every party, page by page."""
    cursor = await connection.cursor(f"{_ROWS} ORDER BY party_id")
    while rows := await cursor.fetch(PAGE):
        yield await _evidence(connection, rows)


async def evidence_of_some(connection: Connection, number: int) -> AsyncIterator[list[Evidence]]:
    """The same about so many parties as they happen to be drawn, of all where there are no more; page by page."""
    everybody = await count_parties(connection)
    # More are drawn than are needed, for the share of rows is that of each row and not of their number.
    percent = min(100.0, 100 * (1.5 * number + 50) / max(1, everybody))
    drawn = [row["party_id"] for row in await connection.fetch(_DRAWN, percent, number)]
    for start in range(0, len(drawn), PAGE):
        rows = await connection.fetch(f"{_ROWS} WHERE party_id = ANY($1)", drawn[start : start + PAGE])
        yield await _evidence(connection, rows)


async def evidence_behind(connection: Connection, after: UUID, limit: int) -> list[Evidence]:
    """The same about the parties behind one, in the order of their ids."""
    rows = await connection.fetch(f"{_ROWS} WHERE party_id > $1 ORDER BY party_id LIMIT $2", after, limit)
    return await _evidence(connection, rows)


class Verified(NamedTuple):
    """How far the standing check has come."""

    behind: UUID
    """The last party that it looked at in this round."""
    parties: int
    """So many it looked at since the beginning, most of them often."""
    disagreements: int
    """So many stored fields were not what the facts give."""
    at: datetime | None
    """When it looked last."""


async def verified(connection: Connection) -> Verified:
    """How far the standing check has come."""
    row = await connection.fetchrow("SELECT behind, parties, disagreements, at FROM verification")
    return Verified(NOBODY, 0, 0, None) if row is None else Verified(*row)


async def note_verified(connection: Connection, behind: UUID, parties: int, disagreements: int, at: datetime) -> None:
    """Add so many parties, up to one, and what was found about them."""
    await connection.execute(_NOTE_VERIFIED, behind, parties, disagreements, at)


async def evidence(connection: Connection, party_id: UUID) -> Evidence | None:
    """Everything that is stored about the party that an id leads to."""
    rows = await connection.fetch(
        f"{_ROWS} WHERE party_id = (SELECT resolves_to FROM party WHERE party_id = $1)", party_id
    )
    return (await _evidence(connection, rows))[0] if rows else None


async def count_parties(connection: Connection) -> int:
    """All parties, also those that stand nowhere."""
    count: int = await connection.fetchval("SELECT count(*) FROM party")
    return count


async def last_rebuild(connection: Connection) -> int:
    """The ruling since which calendars are as they are; who stands under an older one waits to be assessed by them.

    Where standings have grown and nobody was assessed again so far, it is behind every ruling.
    """
    number: int = await connection.fetchval(_LAST_REBUILD)
    return number


async def astray(connection: Connection) -> list[Difference]:
    """What no party accounts for: identities without a party, and holders that are not those of the assignments."""
    rows = await connection.fetch(_ASTRAY)
    return [Difference(*(row[field] for field in Difference.__struct_fields__)) for row in rows]


async def missummed(connection: Connection) -> list[Difference]:
    """Where the sums of the summary are not those over the stored standings of all parties."""
    rows = await connection.fetch(_MISSUMMED)
    return [
        Difference(None, None, f"summary {row['stage']} {row['tier']} {name}", str(row[stored]), str(row[name]))
        for row in rows
        for name, stored in (("count", "stored_count"), ("value_minor", "stored_minor"))
        if row[name] != row[stored]
    ]


async def _evidence(connection: Connection, rows: Sequence[asyncpg.Record]) -> list[Evidence]:
    ids = [row["party_id"] for row in rows]
    identities: defaultdict[UUID, set[UUID]] = defaultdict(set)
    holdings: dict[UUID, list[tuple[UUID, date | None]]] = {}
    for row in await connection.fetch(_IDENTITIES, ids):
        identities[row["party_id"]].add(row["identity_id"])
        if row["parties"] is not None:
            holdings[row["identity_id"]] = list(zip(row["parties"], row["from_days"], strict=True))
    wanted = {identity for held in identities.values() for identity in held}
    facts: defaultdict[UUID, list[Fact]] = defaultdict(list)
    for fact in counting(*await facts_of(connection, wanted)):
        facts[fact.identity_id].append(fact)
    years: defaultdict[UUID, list[tuple[int, bytes]]] = defaultdict(list)
    for row in await connection.fetch(_YEARS, list(wanted)):
        years[row["identity_id"]].append((row["year"], row["days"]))
    return [
        Evidence(
            row=dict(row),
            holdings=holdings,
            identities=frozenset(identities[row["party_id"]]),
            facts=[fact for identity in sorted(identities[row["party_id"]]) for fact in facts[identity]],
            years=years,
        )
        for row in rows
    ]


_ROWS = """
SELECT party_id, first_identity, stage, tier, since, p, value_minor, turnover_minor, level, spend_minor, purchase_days,
       first_day, last_day, last_sign_day, last_contact_day, loss_reason, satisfaction, satisfaction_band, loyalty,
       loyalty_band, posture, treatment, flags, vip, potential, next_change_at, next_stage_at, next_stage, assessed_at,
       ruling
FROM party
"""

BEHIND_EVERY_RULING = 2**31 - 1
"""As a column of its type holds it."""

_LAST_REBUILD = f"""
SELECT CASE
    WHEN EXISTS (SELECT FROM installation WHERE grown_at IS NOT NULL) THEN {BEHIND_EVERY_RULING}
    ELSE (SELECT coalesce(max(id), 0) FROM ruling WHERE reason = 'rebuild')
END
"""

_NOTE_VERIFIED = """
INSERT INTO verification (behind, parties, disagreements, at) VALUES ($1, $2, $3, $4)
ON CONFLICT (sole) DO UPDATE SET
    behind = $1, parties = verification.parties + $2, disagreements = verification.disagreements + $3, at = $4
"""

# Not ORDER BY random() over everybody: of a million parties few are wanted.
_DRAWN = "SELECT party_id FROM party TABLESAMPLE BERNOULLI ($1) ORDER BY random() LIMIT $2"

_IDENTITIES = """
SELECT holder.party_id, identity_id, parties, from_days
FROM holder JOIN assignment USING (identity_id) WHERE holder.party_id = ANY($1)
UNION ALL
SELECT id, id, NULL, NULL FROM unnest($1::uuid[]) AS id
WHERE NOT EXISTS (SELECT FROM assignment WHERE identity_id = id)
"""

_YEARS = "SELECT identity_id, year, days FROM calendar WHERE identity_id = ANY($1) ORDER BY identity_id, year"

_ASTRAY = """
WITH assigned AS (SELECT DISTINCT unnest(parties) AS party_id, identity_id FROM assignment),
told AS (SELECT identity_id FROM fact UNION SELECT identity_id FROM calendar)
SELECT party_id, identity_id, 'holder' AS field, NULL AS stored, 'holds' AS computed
FROM (SELECT * FROM assigned EXCEPT SELECT party_id, identity_id FROM holder) AS missing
UNION ALL
SELECT party_id, identity_id, 'holder', 'holds', NULL
FROM (SELECT party_id, identity_id FROM holder EXCEPT SELECT * FROM assigned) AS needless
UNION ALL
SELECT party_id, identity_id, 'party', NULL, 'some standing'
FROM (
    SELECT * FROM assigned
    UNION ALL
    SELECT identity_id, identity_id FROM told
    WHERE NOT EXISTS (SELECT FROM assignment WHERE assignment.identity_id = told.identity_id)
) AS belonging (party_id, identity_id)
WHERE NOT EXISTS (SELECT FROM party WHERE party.party_id = belonging.party_id)
ORDER BY 1, 2, 3
LIMIT 10000
"""

_MISSUMMED = """
WITH summed AS (
    SELECT stage, tier, sum(count)::bigint AS count, sum(value_minor)::bigint AS minor FROM cell_change GROUP BY 1, 2
), counted AS (
    SELECT stage, tier, count(*) AS count, sum(value_minor)::bigint AS minor FROM party
    WHERE stage IS NOT NULL GROUP BY 1, 2
)
SELECT stage, tier, coalesce(summed.count, 0) AS stored_count, coalesce(summed.minor, 0) AS stored_minor,
       coalesce(counted.count, 0) AS count, coalesce(counted.minor, 0) AS value_minor
FROM summed FULL JOIN counted USING (stage, tier)
ORDER BY stage, tier
"""
