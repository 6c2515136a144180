"""Recording facts of any kind: one set-based way for one row, a bulk and an import."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, NamedTuple
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.auth import OutOfReach, limited
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.customers import Assignment, FactWithdrawn
from contracts.event import Event
from contracts.identity import Installation
from contracts.problems import Conflict, Problem
from contracts.telling import Outcome, Status
from services.customers.domain.facts import NewFact, Told
from services.customers.queries.assignments import assignments_of
from services.customers.queries.identities import forget_identities, subjects
from services.customers.queries.lateness import least_late
from services.customers.queries.owners import have_own
from services.customers.queries.reach import within

COLUMNS = {
    "id": "uuid",
    "identity_id": "uuid",
    "fact_id": "uuid",
    "source": "text",
    "source_id": "text",
    "occurred_at": "timestamptz",
}
"""What the tables of facts have alike."""


@dataclass(frozen=True)
class Kind(Generic[Told]):
    """A table of facts: what it has beside `COLUMNS`, and the event that a row publishes, if any."""

    name: str
    """As in its ids and paths."""
    table: str
    own_columns: Mapping[str, str]
    own_values: Callable[[Told], Sequence[Any]]
    conflict: type[Conflict]
    event: Callable[[Told, UUID, UUID, Assignment | None], Event] | None
    """None where nobody else has to know."""
    mends: str = "correct"
    """The command that puts right what was told wrongly."""
    stored: Callable[[Record], Mapping[str, Any]] = dict
    """What a row of the table says, as `NewFact.content` says it."""

    @property
    def insert(self) -> str:
        """Insert rows in key order; those whose key is there already are left out."""
        columns = COLUMNS | dict(self.own_columns)
        arrays = ", ".join(
            f"${place}::{'text' if type_ == 'jsonb' else type_}[]" for place, type_ in enumerate(columns.values(), 1)
        )
        values = ", ".join(f"{name}::jsonb" if type_ == "jsonb" else name for name, type_ in columns.items())
        return (
            f"INSERT INTO {self.table} ({', '.join(columns)}, recorded_at)"
            f" SELECT {values}, ${len(columns) + 1} FROM unnest({arrays}) AS new({', '.join(columns)})"
            " ORDER BY source, source_id"
            " ON CONFLICT (source, source_id) WHERE withdrawn_at IS NULL DO NOTHING RETURNING id"
        )

    @property
    def present(self) -> str:
        """The rows under keys of a source that are not withdrawn."""
        return (
            f"SELECT fact.* FROM unnest($1::text[], $2::text[]) AS asked(source, source_id)"
            f" JOIN {self.table} AS fact ON fact.source = asked.source AND fact.source_id = asked.source_id"
            " WHERE withdrawn_at IS NULL"
        )

    @property
    def former(self) -> str:
        """The rows of some ids as they were before they were put right."""
        return (
            f"SELECT fact.* FROM former_version CROSS JOIN LATERAL jsonb_populate_record(NULL::{self.table}, content)"
            " AS fact WHERE of_id = ANY($1)"
        )


class Telling(NamedTuple):
    """A row that is told, under which identity, and its local day."""

    row: NewFact
    subject: UUID
    day: date


async def record(
    session: AsyncSession,
    kind: Kind[Told],
    rows: Sequence[Told],
    installation: Installation,
    origins: outbox.Origins = None,
) -> list[Outcome]:
    """Record facts and publish them; return what became of each, in the order of the rows.

    The first telling under an id in a source is accepted, every other one compared with what it is now, and with what
    it was before it was put right: an old telling changes nothing. Who is named only by rows that were not accepted
    does not become known by them.
    """
    days = [installation.day(row.occurred_at) for row in rows]
    named, strangers = await subjects(session, [(row.party, day) for row, day in zip(rows, days, strict=True)])
    outcomes: dict[int, Outcome] = {}
    told: dict[int, UUID] = {}
    for place, subject in enumerate(named):
        if isinstance(subject, Problem):
            outcomes[place] = Outcome(Status.REJECTED, problem=subject)
        else:
            told[place] = subject
    outcomes |= await _out_of_reach(session, {place: (told[place], days[place]) for place in told}, strangers)
    assignments = await assignments_of(session, list(set(told.values())))
    while waiting := [place for place in told if place not in outcomes]:
        # Keys told twice are inserted once; a row without an id in its source is like no other.
        first = {_key(rows[place]) or place: place for place in reversed(waiting)}
        fresh = {place: told[place] for place in sorted(first.values())}
        outcomes |= await _insert(session, kind, rows, fresh, assignments, origins)
        present = await _present(session, kind, [rows[place] for place in waiting if place not in outcomes])
        # Not there any more: it was withdrawn between both statements, so it is tried again.
        found = {place: row for place in waiting if place not in outcomes and (row := present.get(_key(rows[place])))}
        again = {place: Telling(rows[place], told[place], days[place]) for place in found}
        same = await _told_before(session, kind, found, again)
        outcomes |= {place: _compared(kind, row["id"], place in same) for place, row in found.items()}
    accepted = {told[place] for place, outcome in outcomes.items() if outcome.status is Status.ACCEPTED}
    if idle := strangers - accepted:
        await forget_identities(session, idle)
    await have_own(session, sorted(strangers & accepted))
    return [outcomes[place] for place in range(len(rows))]


async def _out_of_reach(
    session: AsyncSession, told: Mapping[int, tuple[UUID, date]], strangers: Set[UUID]
) -> dict[int, Outcome]:
    """The rows about somebody that the caller does not reach. Whom nobody knew before will be the caller's own."""
    asking, others = limited(session), {pair for pair in told.values() if pair[0] not in strangers}
    if asking is None or not others:
        return {}
    rows = await (await driver(session)).fetch(_HOLDERS, *zip(*sorted(others), strict=True))
    holder = {(row["identity_id"], row["day"]): row["party_id"] for row in rows}
    reached = await within(session, asking.caller, holder.values())
    refused = [place for place, pair in told.items() if pair in others and holder[pair] not in reached]
    return {place: Outcome(Status.REJECTED, problem=OutOfReach(asking.caller.reach)) for place in refused}


def _key(row: NewFact) -> tuple[str, str] | None:
    return (row.source, row.source_id) if row.source_id is not None else None


async def _insert(
    session: AsyncSession,
    kind: Kind[Told],
    rows: Sequence[Told],
    told: Mapping[int, UUID],
    assignments: Mapping[UUID, Assignment],
    origins: outbox.Origins,
) -> dict[int, Outcome]:
    ids = {place: (rows[place].id or uuid7(), uuid7()) for place in told}
    values = [
        (ids[place][0], subject, ids[place][1], row.source, row.source_id, row.occurred_at, *kind.own_values(row))
        for place, subject in told.items()
        for row in [rows[place]]
    ]
    if not values:
        return {}
    found = await (await driver(session)).fetch(kind.insert, *zip(*values, strict=True), now())
    inserted = {row["id"] for row in found}
    accepted = [place for place in told if ids[place][0] in inserted]
    if kind.event:
        outbox.append(
            session,
            *(kind.event(rows[place], ids[place][0], told[place], assignments.get(told[place])) for place in accepted),
            event_ids=[ids[place][1] for place in accepted],
            origins=origins and [origins[place] for place in accepted],
        )
    return {place: Outcome(Status.ACCEPTED, ids[place][0]) for place in accepted}


async def told_already(session: AsyncSession, kind: Kind[Told], rows: Sequence[Told]) -> list[bool]:
    """Of each row, whether something is there under its id in the source."""
    present = await _present(session, kind, rows)
    return [_key(row) in present for row in rows]


async def _present(session: AsyncSession, kind: Kind[Told], rows: Sequence[Told]) -> dict[Any, Record]:
    keys = sorted({key for row in rows if (key := _key(row))})
    if not keys:
        return {}
    found = await (await driver(session)).fetch(kind.present, *zip(*keys, strict=True))
    return {(row["source"], row["source_id"]): row for row in found}


def _compared(kind: Kind[Told], id: UUID, same: bool) -> Outcome:
    if same:
        return Outcome(Status.DUPLICATE, id)
    detail = f"This id of the source was recorded before with other content; {kind.mends} that one."
    outer = f"{kind.name}_{id.hex}"
    way_out = {"existing_id": outer, kind.mends: f"/v1/{kind.name}s/{outer}/{kind.mends}"}
    return Outcome(Status.CONFLICT, id, kind.conflict(detail, **way_out))


async def _told_before(
    session: AsyncSession, kind: Kind[Told], present: Mapping[int, Record], again: Mapping[int, Telling]
) -> set[int]:
    """The places whose telling says what a row says, or said in a former version."""
    same = await _saying_the_same(session, kind, present.items(), again)
    other = {place: row["id"] for place, row in present.items() if place not in same}
    if not other:
        return same
    former: defaultdict[UUID, list[Record]] = defaultdict(list)
    for row in await (await driver(session)).fetch(kind.former, list(set(other.values()))):
        former[row["id"]].append(row)
    versions = [(place, row) for place, id in other.items() for row in former[id]]
    return same | await _saying_the_same(session, kind, versions, again)


async def _saying_the_same(
    session: AsyncSession, kind: Kind[Told], stored: Iterable[tuple[int, Record]], again: Mapping[int, Telling]
) -> set[int]:
    pairs = [
        (place, (row["identity_id"], again[place].subject, again[place].day))
        for place, row in stored
        if _same(kind, row, again[place].row)
    ]
    one_party = await _of_one_party(session, [pair for _, pair in pairs])
    return {place for place, pair in pairs if pair in one_party}


def _same(kind: Kind[Told], row: Record, told: NewFact) -> bool:
    stored = kind.stored(row)
    return all(stored[name] == value for name, value in told.content().items())


Pair = tuple[UUID, UUID, date]
"""Two identities, and a day."""


async def _of_one_party(session: AsyncSession, pairs: Iterable[Pair]) -> set[Pair]:
    """Those pairs that are one identity, or that one party holds on the day."""
    asked = set(pairs)
    same = {pair for pair in asked if pair[0] == pair[1]}
    if others := sorted(asked - same):
        same |= {tuple(row) for row in await (await driver(session)).fetch(_OF_ONE_PARTY, *zip(*others, strict=True))}
    return same


async def holds(session: AsyncSession, party_id: UUID, identity_id: UUID, day: date) -> bool:
    """Whether a party holds an identity on a day, under whatever name."""
    return bool(await (await driver(session)).fetchval(_HOLDS, party_id, identity_id, day))


async def withdraw_import(session: AsyncSession, table: str, import_id: UUID, limit: int) -> int:
    """Withdraw up to `limit` facts of an import; return how many there were, 0 when none is left."""
    rows = await (await driver(session)).fetch(_WITHDRAW_IMPORT.format(table=table), import_id, limit, now())
    rows.sort(key=lambda row: row["id"])
    assignments = await assignments_of(session, list({row["identity_id"] for row in rows}))
    late_s = await least_late(session, table, [row["id"] for row in rows])
    gone = (withdrawn(row["identity_id"], row["fact_id"], assignments, late_s[row["id"]]) for row in rows)
    outbox.append(session, *gone)
    return len(rows)


def withdrawn(
    subject: UUID, fact_id: UUID, assignments: Mapping[UUID, Assignment], late_s: int | None
) -> FactWithdrawn:
    """The event that takes a fact back, which was recorded so late; None where that is unknown."""
    assignment = assignments.get(subject)
    return FactWithdrawn(subject=subject, occurred_at=now(), fact_id=fact_id, late_s=late_s, assignment=assignment)


HOLDER = """(
    SELECT party.resolves_to FROM holding JOIN party ON party.id = holding.party_id
    WHERE holding.identity_id = {identity} AND (from_day IS NULL OR from_day <= {day})
      AND (until_day IS NULL OR {day} < until_day)
)"""
"""The party that holds an identity on a day; for `str.format`."""

_HOLDERS = f"""
SELECT identity_id, day, {HOLDER.format(identity="asked.identity_id", day="asked.day")} AS party_id
FROM unnest($1::uuid[], $2::date[]) AS asked(identity_id, day)
"""

_HOLDS = f"""
SELECT {HOLDER.format(identity="$2", day="$3")} = (SELECT resolves_to FROM party WHERE id = $1)
"""

_OF_ONE_PARTY = f"""
SELECT one, other, day FROM unnest($1::uuid[], $2::uuid[], $3::date[]) AS pair(one, other, day)
WHERE {HOLDER.format(identity="one", day="day")} = {HOLDER.format(identity="other", day="day")}
"""

_WITHDRAW_IMPORT = """
WITH chosen AS (
    SELECT id FROM {table} WHERE import_id = $1 AND withdrawn_at IS NULL ORDER BY id LIMIT $2 FOR NO KEY UPDATE
)
UPDATE {table} SET withdrawn_at = $3, version = version + 1 FROM chosen WHERE {table}.id = chosen.id
RETURNING {table}.id, identity_id, fact_id
"""
