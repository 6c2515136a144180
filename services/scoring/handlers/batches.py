"""A batch of facts, withdrawals and assignments becomes standings, in one transaction.

The order of its statements is what makes the result independent of the order of events and of who runs beside it:
guess the parties, lock them all, and only then read what the decision rests on.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Delivery, StartOver
from chassis.db import driver
from contracts.customers import Assignment, Resolution
from contracts.scoring import Cause
from services.scoring.domain.calendar import Calendar, Entry, Share, postings
from services.scoring.domain.days import local_day
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.history import History
from services.scoring.domain.ruling import Ruling
from services.scoring.handlers.changes import Assessed
from services.scoring.handlers.remembering import LONG, Long, remembered
from services.scoring.handlers.standings import record
from services.scoring.handlers.told import Told, Withdrawal, later
from services.scoring.queries.facts import append_facts, append_withdrawals, keep_earliest
from services.scoring.queries.gathering import Gathered, gathered, guess
from services.scoring.queries.known import append_assignments
from services.scoring.queries.parties import (
    EMPTY,
    Members,
    Posted,
    opened,
    parties_to_change,
    party_calendar,
    write_assignments,
    write_calendars,
    write_owners,
)
from services.scoring.queries.rebuilds import touch
from services.scoring.queries.rulings import Connection, take_currency

Rows = Mapping[UUID, asyncpg.Record]


async def apply(session: AsyncSession, batch: Sequence[Delivery]) -> None:
    """Handle a batch. Raises `StartOver` when an assignment or a redirect names a party that was not locked."""
    connection = await driver(session)
    told = Told.of(batch)
    guessed = await guess(connection, told.identities, told.resolutions, told.parties)
    rows = await parties_to_change(connection, guessed.parties, guessed.there)
    memory = remembered(session)
    long = {identity: known for identity in {*told.identities, *rows} if (known := memory.take(identity))}
    versions = {identity: known.versions for identity, known in long.items()}
    found = await gathered(connection, told.identities, rows, told.fact_ids, versions)
    long = {identity: known for identity, known in long.items() if found.versions.get(identity) == known.versions}
    members = found.members
    redirects = _redirects(told, rows)
    if not all(members.holders(identity_id) <= rows.keys() for identity_id in told.identities):
        raise StartOver

    if told.owners:
        await write_owners(connection, told.owners.values())
    news, here = _news(told, found), found.here
    if here.currency is None and (first := next((fact.currency for fact in news.fresh if fact.currency), None)):
        here = await take_currency(connection, here, first)
    reassigned = await _reassign(connection, members, told.assignments)

    redirected = {party for each in redirects.values() for party in (each.party_id, each.resolves_to)}
    changed = _changed(told, news, members, reassigned, redirects, rows)
    if not changed:
        memory.keep_all(long)
        return await _remember(session, told, news)
    belong = members.of(changed)
    known_before = {**opened(found.years), **{identity: known.calendar for identity, known in long.items()}}
    posted = news.postings(here.ruling.zone)
    by_identity = _post(session, known_before, found.versions, posted)
    await _remember(session, told, news)
    if here.rebuilding:
        await touch(connection, news.identities)

    late, late_s, done = _behaviour(news, members, rows, here.ruling.zone)
    moved = redirected.union(*(parties for identity, parties in reassigned.items() if identity in known_before))
    survivors = {each.resolves_to for each in redirects.values() if each.resolves_to != each.party_id}
    assessed: list[Assessed] = []
    histories: dict[UUID, History] = {}
    for party_id, last in changed.items():
        whole = _whole(belong[party_id])
        if whole and len(by_identity.get(whole, EMPTY).entries) >= LONG:
            histories[whole] = _history(by_identity[whole], here.ruling, long.get(whole), posted.get(whole, ()))
        row, at = rows[party_id], last.recorded_at
        corrected = Cause.ASSIGNMENT if party_id in moved else _correction(late, party_id)
        assessed.append(
            Assessed(
                row,
                *party_calendar(belong[party_id], by_identity),
                at=max(at, row["assessed_at"] or at),
                corrected=corrected,
                late=late.get(party_id),
                late_s=late_s.get(party_id),
                facts=done.get(party_id, ()),
                redirect=redirects.get(party_id),
                survives=party_id in survivors,
                history=histories.get(whole) if whole else None,
                traceparent=last.traceparent,
            )
        )
    await record(session, connection, here, assessed)
    memory.keep_all({identity: known for identity, known in long.items() if identity not in histories})
    for identity, history in histories.items():
        written = dict(found.versions.get(identity, {}))
        for year in {date.fromordinal(entry[0]).year for entry in posted.get(identity, ())}:
            written.pop(year, None)
            if history.calendar.of_year(year):
                written[year] = found.transaction
        memory.keep(identity, Long(written, history.calendar, history))


def _whole(members: Sequence[tuple[UUID, Share]]) -> UUID | None:
    """The identity of a party that has no other, and all days of that one."""
    if len(members) != 1:
        return None
    identity, share = members[0]
    return identity if share.start is share.until is None else None


def _history(calendar: Calendar, ruling: Ruling, known: Long | None, posted: Sequence[Entry]) -> History:
    """What a calendar says under a ruling: of one that was known before, read anew from the first new entry on."""
    if known is None or known.history.ruling is not ruling:
        return History(calendar, ruling)
    if not posted:
        return known.history
    return known.history.changed(calendar, min(entry[0] for entry in posted), spent=True)


def _correction(late: Mapping[UUID, Fact | None], party_id: UUID) -> Cause | None:
    if party_id not in late:
        return None
    fact = late[party_id]
    return Cause.OVERRIDE if fact and fact.kind is Kind.OVERRIDDEN else Cause.LATE_FACT


def _changed(
    told: Told,
    news: "News",
    members: Members,
    reassigned: Mapping[UUID, frozenset[UUID]],
    redirects: Mapping[UUID, Resolution],
    rows: Rows,
) -> dict[UUID, Delivery]:
    """The parties to assess, each with the last recorded of what concerns it, at whose instant it is assessed.

    Not at that of the whole batch: what another partition brought may be newer than what of this one is unread.
    """
    concerned: list[tuple[UUID, Iterable[UUID]]] = [
        *reassigned.items(),
        *((identity, members.holders(identity)) for identity in news.identities),
        *((id, (id, each.resolves_to, rows[id]["resolves_to"])) for id, each in redirects.items()),
    ]
    changed: dict[UUID, Delivery] = {}
    for id, parties in concerned:
        for party_id in parties:
            changed[party_id] = later(told.heard[id], changed.get(party_id))
    return changed


def _redirects(told: Told, rows: Rows) -> dict[UUID, Resolution]:
    """The redirects that are newer than what is stored. Raises `StartOver` where a former target is not locked."""
    newer = {
        party_id: resolution
        for party_id, resolution in told.resolutions.items()
        if resolution.version > rows[party_id]["resolution_version"]
    }
    if any(rows[party_id]["resolves_to"] not in rows for party_id in newer):
        raise StartOver
    return newer


@dataclass(slots=True)
class News:
    """What a batch says that was not known."""

    fresh: list[Fact] = field(default_factory=list)
    """Facts to be stored."""
    counting: list[Fact] = field(default_factory=list)
    """Those of them that count."""
    withdrawals: list[Withdrawal] = field(default_factory=list)
    repeated: list[Withdrawal] = field(default_factory=list)
    """Withdrawals of what was withdrawn before; this one may have been recorded earlier."""
    undone: list[Fact] = field(default_factory=list)
    """Stored facts that counted until now."""

    @property
    def identities(self) -> set[UUID]:
        """Whose calendar changes."""
        return {fact.identity_id for facts in (self.counting, self.undone) for fact in facts}

    def postings(self, zone: ZoneInfo) -> dict[UUID, list[Entry]]:
        """What to add to the calendar of each identity."""
        posted: defaultdict[UUID, list[Entry]] = defaultdict(list)
        for sign, facts in ((1, self.counting), (-1, self.undone)):
            for fact in facts:
                posted[fact.identity_id] += postings(fact, zone, sign)
        return posted


def _news(told: Told, found: Gathered) -> News:
    facts, gone = found.facts, found.gone
    news = News()
    for withdrawn, withdrawal in told.withdrawals.items():
        if withdrawn in gone:
            news.repeated.append(withdrawal)
        else:
            news.withdrawals.append(withdrawal)
            fact = facts.get(withdrawal.fact_id)
            if fact is not None and fact.identity_id == withdrawal.identity_id:
                news.undone.append(structs.replace(fact, first_late_s=told.late_s.get(withdrawn)))
    gone = gone | told.withdrawals.keys()
    news.fresh = [fact for fact in told.facts.values() if fact.fact_id not in facts]
    news.counting = [fact for fact in news.fresh if not gone or (fact.fact_id, fact.identity_id) not in gone]
    return news


async def _reassign(
    connection: Connection, members: Members, assignments: Mapping[UUID, Assignment]
) -> dict[UUID, frozenset[UUID]]:
    """Store the assignments that are newer; return former and present holders of each identity."""
    newer = [
        assignment
        for identity_id, assignment in assignments.items()
        if assignment.version > members.versions.get(identity_id, -1)
    ]
    if not newer:
        return {}
    touched = {}
    for assignment in newer:
        before = members.holders(assignment.identity_id)
        holdings = [(held.party_id, held.from_day) for held in assignment.holdings]
        members.assign(assignment.identity_id, assignment.version, holdings)
        touched[assignment.identity_id] = before | members.holders(assignment.identity_id)
    await write_assignments(connection, newer)
    return touched


def _post(
    session: AsyncSession,
    calendars: Mapping[UUID, Calendar],
    stored: Mapping[UUID, Collection[int]],
    postings: Mapping[UUID, Sequence[Entry]],
) -> Mapping[UUID, Calendar]:
    """Add to the calendars what is new, have them stored, and return all of them."""
    changed: dict[UUID, Posted] = {}
    after = dict(calendars)
    for identity_id, entries in postings.items():
        new = Calendar.of(entries)
        after[identity_id] = calendar = calendars.get(identity_id, EMPTY) + new
        changed[identity_id] = stored.get(identity_id, {}), calendar, new.years()
    write_calendars(session, changed)
    return after


async def _remember(session: AsyncSession, told: Told, news: News) -> None:
    connection = await driver(session)
    if news.fresh:
        await append_facts(session, news.fresh, told.places)
    if news.withdrawals:
        await append_withdrawals(session, news.withdrawals)
    if news.repeated:
        await keep_earliest(connection, news.repeated)
    if told.every_assignment:
        await append_assignments(connection, told.every_assignment.values())


def _behaviour(
    news: News, members: Members, rows: Rows, zone: ZoneInfo
) -> tuple[dict[UUID, Fact | None], dict[UUID, int], dict[UUID, list[Fact]]]:
    """What the facts of a batch mean to each party.

    The last that corrects what was thought of the days up to its last assessment (None: facts were only taken back),
    how late the soonest recorded of those was that correct it or were taken back, and those facts that say what it did
    on that day or later.
    """
    late: dict[UUID, Fact | None] = {}
    late_s: dict[UUID, int] = {}
    done: defaultdict[UUID, list[Fact]] = defaultdict(list)
    taken_back = set()
    for fact in news.undone:
        party_id = members.holder(fact.identity_id, local_day(fact.occurred_at, zone))
        taken_back.add((fact.fact_id, party_id))
        late[party_id] = None
        late_s[party_id] = min(fact.late_s, late_s.get(party_id, fact.late_s))
    for fact in sorted(news.counting, key=lambda fact: fact.occurred_at):
        day = local_day(fact.occurred_at, zone)
        party_id = members.holder(fact.identity_id, day)
        assessed_at = rows[party_id]["assessed_at"]
        assessed = day if assessed_at is None else local_day(assessed_at, zone)
        if day < assessed or (day == assessed and (fact.replaces, party_id) in taken_back):
            # A capture and its grade are told together, and the grade does nothing.
            if fact.kind is not Kind.LEAD_GRADED or not late.get(party_id):
                late[party_id] = fact
            late_s[party_id] = min(fact.late_s, late_s.get(party_id, fact.late_s))
        else:
            done[party_id].append(fact)
    return late, late_s, done
