"""What a batch rests on, in two statements: what is guessed before the locks, and what is read under them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from services.scoring.domain.facts import Fact
from services.scoring.queries.facts import FACT, Withdrawn, fact_of_values
from services.scoring.queries.parties import Members, calendars
from services.scoring.queries.rulings import BARRIER, IN_FORCE_NOW, Connection, Present, present_of


class Guess(NamedTuple):
    """Who may be concerned, as it was before any lock."""

    parties: set[UUID]
    there: set[UUID]
    """Those of them, and of others that were asked for, that have a row."""


async def guess(
    connection: Connection, identities: Collection[UUID], resolved: Collection[UUID], named: Iterable[UUID]
) -> Guess:
    """Who may hold identities, what parties that lead elsewhere lead to, and parties that are named.

    Passes the barrier.
    """
    named = set(named)
    row = await connection.fetchrow(_GUESS, BARRIER, list(identities), list(resolved), list(named))
    assert row is not None
    assigned = {identity for identity, _ in row["assigned"]}
    held = {party for _, party in row["assigned"] if party is not None}
    own = {identity for identity in identities if identity not in assigned}
    # Who holds an identity has a row since then.
    return Guess({*held, *own, *row["led"], *named}, {*held, *row["led"], *row["there"]})


@dataclass(slots=True)
class Gathered:
    """What is known under the locks."""

    here: Present
    transaction: int
    """That of all this, as rows that it writes name it."""
    members: Members = field(default_factory=Members)
    years: dict[UUID, dict[int, bytes]] = field(default_factory=dict)
    """The stored calendars of identities and of those that parties hold, without those that are known."""
    versions: dict[UUID, dict[int, int]] = field(default_factory=dict)
    """Of each of these calendars, known or not, the transaction that wrote each year."""
    facts: dict[UUID, Fact] = field(default_factory=dict)
    """Those asked for that are stored."""
    gone: set[Withdrawn] = field(default_factory=set)
    """Those asked for that are withdrawn, whether stored or not."""


async def gathered(
    connection: Connection,
    identities: Collection[UUID],
    parties: Collection[UUID],
    fact_ids: Collection[UUID],
    known: Mapping[UUID, Mapping[int, int]],
) -> Gathered:
    """What there is of identities, of locked parties and of facts. Asked only after the locks.

    `known` names calendars that are read only where one of their years was written by another transaction than it says.
    """
    row = await connection.fetchrow(_GATHER, list({*identities, *parties}), list(parties), list(fact_ids), list(known))
    if row is None:
        raise LookupError("the installation was never opened")
    found = Gathered(await present_of(connection, row), row["transaction"])
    for (identity_id, version), holdings in groupby(row["assigned"], key=lambda held: held[:2]):
        held = [(party_id, from_day) for *_, party_id, from_day in holdings if party_id is not None]
        found.members.assign(identity_id, version, held)
    years: defaultdict[UUID, dict[int, bytes]] = defaultdict(dict)
    versions: defaultdict[UUID, dict[int, int]] = defaultdict(dict)
    for identity_id, year, version, days in row["calendars"]:
        versions[identity_id][year] = version
        if days is not None:
            years[identity_id][year] = days
    if others := [identity_id for identity_id, stored in known.items() if versions.get(identity_id, {}) != stored]:
        years |= await calendars(connection, others)
    found.years, found.versions = years, versions
    found.facts = {values[0]: fact_of_values(values) for values in row["facts"]}
    found.gone = {(fact_id, identity_id) for fact_id, identity_id in row["gone"]}
    return found


# The barrier is passed by the statement that reads least: what it sees from before the wait is only a guess.
# Holdings one by one: within rows the driver knows no arrays.
_GUESS = """
WITH barrier AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared($1))
SELECT
    ARRAY(
        SELECT ROW(identity_id, party_id) FROM assignment LEFT JOIN LATERAL unnest(parties) AS party_id ON true
        WHERE identity_id = ANY($2)
    ) AS assigned,
    ARRAY(SELECT resolves_to FROM party WHERE party_id = ANY($3)) AS led,
    ARRAY(SELECT party_id FROM party WHERE party_id = ANY($2::uuid[] || $4::uuid[])) AS there
FROM barrier
"""

_GATHER = f"""
WITH wanted AS MATERIALIZED (
    SELECT unnest($1::uuid[]) AS identity_id UNION SELECT identity_id FROM holder WHERE party_id = ANY($2)
)
SELECT
    ARRAY(
        SELECT ROW(identity_id, version, party_id, from_day) FROM wanted JOIN assignment USING (identity_id)
        LEFT JOIN LATERAL unnest(parties, from_days) WITH ORDINALITY AS held(party_id, from_day, nth) ON true
        ORDER BY identity_id, nth
    ) AS assigned,
    ARRAY(
        SELECT ROW(identity_id, year, calendar.xmin, CASE WHEN identity_id <> ALL ($4) THEN days END)
        FROM wanted JOIN calendar USING (identity_id)
    ) AS calendars,
    pg_current_xact_id()::xid AS transaction,
    ARRAY(SELECT ROW({", ".join(FACT)}) FROM fact WHERE fact_id = ANY($3)) AS facts,
    ARRAY(SELECT ROW(fact_id, identity_id) FROM withdrawal WHERE fact_id = ANY($3)) AS gone,
    present.*
FROM ({IN_FORCE_NOW}) AS present
"""
