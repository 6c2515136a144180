"""What a service knows of whose identity is whose, as it was told by the events of parties."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.conditions import Conditions
from chassis.consumer import Delivery
from chassis.db import driver
from contracts.customers import Assignment, IdentitiesAssigned, Resolution


class Held(NamedTuple):
    """An identity, and the local days on which a party holds it: from `from_day` up to, not including, `until_day`."""

    identity_id: UUID
    from_day: date | None = None
    until_day: date | None = None


async def learn(session: AsyncSession, batch: Sequence[Delivery]) -> None:
    """Take what a batch says of assignments and of where party ids lead; of each the highest version stays.

    A handler for `chassis.consumer`. In any order, and as often as one likes: the result is the same.
    """
    assignments: dict[UUID, Assignment] = {}
    resolutions: dict[UUID, Resolution] = {}
    for assignment in _assignments(batch):
        known = assignments.get(assignment.identity_id)
        if known is None or known.version < assignment.version:
            assignments[assignment.identity_id] = assignment
    for resolution in _resolutions(batch):
        leads = resolutions.get(resolution.party_id)
        if leads is None or leads.version < resolution.version:
            resolutions[resolution.party_id] = resolution
    connection = await driver(session)
    # In id order, each statement and both: two readers that share an identity would wait for each other.
    if assignments:
        await connection.executemany(_ASSIGN, [_row(assignments[id]) for id in sorted(assignments)])
    if resolutions:
        leading = [resolutions[id] for id in sorted(resolutions)]
        await connection.executemany(_RESOLVE, [(each.party_id, each.version, each.resolves_to) for each in leading])


def _assignments(batch: Sequence[Delivery]) -> Iterable[Assignment]:
    for delivery in batch:
        if isinstance(delivery.event, IdentitiesAssigned):
            yield from delivery.event.assignments
        elif (carried := getattr(delivery.event, "assignment", None)) is not None:
            yield carried


def _resolutions(batch: Sequence[Delivery]) -> Iterable[Resolution]:
    for delivery in batch:
        if isinstance(delivery.event, IdentitiesAssigned):
            yield from delivery.event.resolutions


def _row(assignment: Assignment) -> tuple[UUID, int, list[UUID], list[date | None]]:
    holders = [held.party_id for held in assignment.holdings]
    return assignment.identity_id, assignment.version, holders, [held.from_day for held in assignment.holdings]


async def parties_of(session: AsyncSession, asked: Iterable[tuple[UUID, date]]) -> dict[tuple[UUID, date], UUID]:
    """The party that holds each identity on its local day."""
    pairs = sorted(set(asked))
    if not pairs:
        return {}
    rows = await (await driver(session)).fetch(_HOLDERS, *map(list, zip(*pairs, strict=True)))
    return {(row["identity_id"], row["day"]): row["party_id"] for row in rows}


async def surviving(session: AsyncSession, party_id: UUID) -> UUID:
    """The party that an id leads to after every merge; itself, where nobody told otherwise."""
    leads_to = await (await driver(session)).fetchval(
        "SELECT resolves_to FROM known_resolution WHERE party_id = $1", party_id
    )
    return leads_to or party_id


async def identities_of(session: AsyncSession, party_id: UUID) -> list[Held]:
    """The identities of the party that an id leads to, each with the days on which it holds them, in identity order.

    Every party that was never told of holds the identity of the same id.
    """
    top = await surviving(session, party_id)
    rows = await (await driver(session)).fetch(_IDENTITIES, top)
    held: list[Held] = []
    for identity_id, parties, from_days in rows:
        until_days = [*from_days[1:], None]
        spans = zip(parties, from_days, until_days, strict=True)
        held += [Held(identity_id, from_day, until) for party, from_day, until in spans if party == top]
    if not any(row["identity_id"] == top for row in rows) and not await _is_assigned(session, top):
        held = sorted([*held, Held(top)], key=lambda each: each.identity_id)
    return held


def columns(held: Iterable[Held]) -> list[list[Any]]:
    """Identities, and the days on which they are held, as arrays."""
    return [list(column) for column in zip(*held, strict=True)] or [[], [], []]


async def narrow(
    conditions: Conditions, session: AsyncSession, party_id: UUID, *, identity: str, day: str, within: str = "{}"
) -> None:
    """Only rows of identities of the party that an id leads to, on the days on which it holds them.

    `identity` and `day` are SQL over a row; `within` is SQL around the condition.
    """
    identities, *days = columns(await identities_of(session, party_id))
    conditions.add(within.format(_HELD.format(identity=identity, day=day)), identities, identities, *days)


async def _is_assigned(session: AsyncSession, identity_id: UUID) -> bool:
    known = "SELECT EXISTS (SELECT FROM known_assignment WHERE identity_id = $1)"
    return bool(await (await driver(session)).fetchval(known, identity_id))


def create_tables(execute: Callable[[str], object]) -> None:
    """Make the tables of what is known, in a migration; `execute` is Alembic's."""
    for statement in _TABLES.split(";"):
        execute(statement)


HOLDER = """coalesce((
    SELECT held.party_id
    FROM known_assignment, unnest(parties, from_days) WITH ORDINALITY AS held(party_id, from_day, nth)
    WHERE known_assignment.identity_id = {identity} AND (held.from_day IS NULL OR held.from_day <= {day})
    ORDER BY nth DESC LIMIT 1
), {identity})"""
"""The party that holds an identity on a local day, in SQL; for `str.format`."""

# The identities twice: by the first condition the index is found, by the second the days are held.
_HELD = """{identity} = ANY({{}}::uuid[]) AND EXISTS (
    SELECT FROM unnest({{}}::uuid[], {{}}::date[], {{}}::date[]) AS held(identity_id, from_day, until_day)
    WHERE held.identity_id = {identity} AND (from_day IS NULL OR from_day <= {day})
      AND (until_day IS NULL OR {day} < until_day)
)"""

_TABLES = """
CREATE TABLE known_assignment (
    identity_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    parties uuid[] NOT NULL,
    from_days date[] NOT NULL
);
CREATE INDEX known_assignment_of_party ON known_assignment USING gin (parties) WITH (fastupdate = off);
CREATE TABLE known_resolution (
    party_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    resolves_to uuid NOT NULL
)
"""

_ASSIGN = """
INSERT INTO known_assignment (identity_id, version, parties, from_days) VALUES ($1, $2, $3, $4)
ON CONFLICT (identity_id) DO UPDATE
SET version = excluded.version, parties = excluded.parties, from_days = excluded.from_days
WHERE known_assignment.version < excluded.version
"""

_RESOLVE = """
INSERT INTO known_resolution (party_id, version, resolves_to) VALUES ($1, $2, $3)
ON CONFLICT (party_id) DO UPDATE SET version = excluded.version, resolves_to = excluded.resolves_to
WHERE known_resolution.version < excluded.version
"""

_HOLDERS = f"""
SELECT identity_id, day, {HOLDER.format(identity="asked.identity_id", day="asked.day")} AS party_id
FROM unnest($1::uuid[], $2::date[]) AS asked(identity_id, day)
"""

_IDENTITIES = """
SELECT identity_id, parties, from_days FROM known_assignment WHERE parties @> ARRAY[$1::uuid] ORDER BY identity_id
"""
