"""What ties say becomes automatic merges, and candidates where it does not."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from services.customers.domain.duplicates import CandidateStatus, Edge, score
from services.customers.queries.assignments import MADE_ONE_BY_PEOPLE, parties_to_change, reassign


async def settle(session: AsyncSession, edges: Iterable[Edge]) -> None:
    """Make and take back automatic merges and candidates, as the ties of these parties and what people decided say."""
    connection = await driver(session)
    ordered = sorted(edges)
    asked = [[one for one, _ in ordered], [other for _, other in ordered]]
    due = await connection.fetch(_DUE, *asked)
    connected = None
    if due:
        connected = await parties_to_change(session, *{party for row in due for party in row[:2]})
        # Behind the locks a person may have decided otherwise.
        due = await connection.fetch(_DUE, [row[0] for row in due], [row[1] for row in due])
        made = [(uuid7(), row[0], row[1]) for row in due if row["merge_id"] is None]
        await connection.executemany(_MERGE, [(*row, now()) for row in made])
        await connection.execute(_UNMERGE, [row["merge_id"] for row in due if row["merge_id"]], now())
    # Candidates come before identities, as they do for people who merge: their parties are not all locked here.
    await _queue(session, asked)
    if connected:
        await reassign(session, connected, by_people=False)


async def _queue(session: AsyncSession, asked: Sequence[Sequence[UUID]]) -> None:
    """Have a candidate for parties that something speaks for, and that no automatic merge makes one."""
    connection = await driver(session)
    idle, rows = [], []
    for row in await connection.fetch(_SPEAKS, *asked):
        pair = row["party_id"], row["other_id"]
        if not row["kinds"] or row["merged"]:
            idle.append(pair)
        else:
            status = CandidateStatus.DISMISSED if row["apart"] else CandidateStatus.OPEN
            rows.append((uuid7(), *pair, status, score(row["scores"]), row["kinds"], now(), row["told_by"]))
    await connection.executemany(_FORGET_CANDIDATE, idle)
    await connection.executemany(_CANDIDATE, rows)


_DUE = f"""
WITH RECURSIVE edge AS (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS asked(party_id, other_id)),
asked(id) AS (SELECT party_id FROM edge UNION SELECT other_id FROM edge),
alike AS ({MADE_ONE_BY_PEOPLE.format(asked="asked")}),
apart AS (
    SELECT least(one.id, other.id) AS party_id, greatest(one.id, other.id) AS other_id
    FROM told_apart
    JOIN alike AS one ON one.alike_id = told_apart.party_id
    JOIN alike AS other ON other.alike_id = told_apart.other_id
)
SELECT party_id, other_id, merge_id FROM (
    SELECT asked.party_id, asked.other_id, merge.id AS merge_id,
        EXISTS (
            SELECT FROM tie WHERE tie.party_id = asked.party_id AND tie.other_id = asked.other_id
                AND kind = 'seen_together' AND obstacle IS NULL
        ) AND NOT EXISTS (
            SELECT FROM apart WHERE apart.party_id = asked.party_id AND apart.other_id = asked.other_id
        ) AS wanted
    FROM edge AS asked
    LEFT JOIN merge ON merge.party_id = asked.party_id AND merge.other_id = asked.other_id
        AND merge.kind = 'automatic' AND unmerged_at IS NULL
) AS edge WHERE wanted <> (merge_id IS NOT NULL)
"""

_MERGE = "INSERT INTO merge (id, party_id, other_id, kind, merged_at) VALUES ($1, $2, $3, 'automatic', $4)"

_UNMERGE = "UPDATE merge SET unmerged_at = $2 WHERE id = ANY($1)"

_SPEAKS = """
SELECT asked.party_id, asked.other_id, kinds, scores, told_at IS NOT NULL AS apart, told_by,
    EXISTS (
        SELECT FROM merge WHERE merge.party_id = asked.party_id AND merge.other_id = asked.other_id
            AND kind = 'automatic' AND unmerged_at IS NULL
    ) AS merged
FROM unnest($1::uuid[], $2::uuid[]) AS asked(party_id, other_id)
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT kind ORDER BY kind) AS kinds, array_agg(score) AS scores FROM tie
    WHERE tie.party_id = asked.party_id AND tie.other_id = asked.other_id
) AS said
LEFT JOIN told_apart ON told_apart.party_id = asked.party_id AND told_apart.other_id = asked.other_id
"""

_FORGET_CANDIDATE = "DELETE FROM candidate WHERE party_id = $1 AND other_id = $2 AND status = 'open'"

_CANDIDATE = """
INSERT INTO candidate (
    id, party_id, other_id, status, score, kinds, opened_at, decided_at, decided_by, decided_kinds
)
SELECT $1, $2, $3, status, $5, $6, $7,
    CASE WHEN status = 'dismissed' THEN $7::timestamptz END, $8,
    CASE WHEN status = 'dismissed' THEN $6::text[] ELSE '{}' END
FROM (SELECT $4::text AS status) AS new
ON CONFLICT (party_id, other_id) DO UPDATE SET score = excluded.score, kinds = excluded.kinds,
    status = CASE
        WHEN candidate.status = 'dismissed' AND NOT excluded.kinds <@ candidate.decided_kinds THEN 'open'
        WHEN candidate.status = 'open' AND candidate.decided_kinds = '{}' THEN excluded.status
        ELSE candidate.status
    END,
    decided_kinds = CASE
        WHEN candidate.status = 'open' AND candidate.decided_kinds = '{}' THEN excluded.decided_kinds
        ELSE candidate.decided_kinds
    END
"""
