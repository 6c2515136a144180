from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import assignments
from chassis.assignments import Held, identities_of, learn, parties_of, surviving
from chassis.consumer import Delivery
from chassis.db import Database, driver
from contracts.customers import Assignment, Holding, IdentitiesAssigned, PartyKind, PartyRegistered, Resolution
from contracts.event import Event
from contracts.topics import PARTIES

MakeDatabase = Callable[[str | None], Awaitable[Database]]

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = date(2026, 3, 1)
APRIL = date(2026, 4, 1)
MAY = date(2026, 5, 1)
A, B, C = (UUID(int=number) for number in (1, 2, 3))


@pytest.fixture
async def known(make_database: MakeDatabase) -> Database:
    """A database with nothing but the chassis's tables and those of assignments."""
    made = await make_database(None)
    statements: list[str] = []
    assignments.create_tables(statements.append)
    async with made.transaction() as session:
        await (await driver(session)).execute(";".join(statements))
    return made


async def holder(session: AsyncSession, identity_id: UUID) -> UUID:
    """The party that holds an identity on the day of these tests."""
    return (await parties_of(session, [(identity_id, DAY)]))[identity_id, DAY]


def assigned(identity_id: UUID, version: int, *holdings: tuple[UUID, date | None]) -> Assignment:
    held = tuple(Holding(party_id=party_id, from_day=from_day) for party_id, from_day in holdings)
    return Assignment(identity_id=identity_id, version=version, holdings=held)


def told(*said: Assignment | Resolution) -> IdentitiesAssigned:
    return IdentitiesAssigned(
        subject=A,
        occurred_at=AT,
        assignments=tuple(each for each in said if isinstance(each, Assignment)),
        resolutions=tuple(each for each in said if isinstance(each, Resolution)),
    )


async def tell(database: Database, *events: Event) -> None:
    async with database.transaction() as session:
        await learn(
            session, [Delivery(event, uuid4(), PARTIES.name, 0, 1, seq, AT) for seq, event in enumerate(events, 1)]
        )


async def everything(database: Database) -> list[object]:
    async with database.transaction() as session:
        connection = await driver(session)
        return [
            *await connection.fetch("SELECT * FROM known_assignment ORDER BY identity_id"),
            *await connection.fetch("SELECT * FROM known_resolution ORDER BY party_id"),
        ]


async def test_an_identity_that_nobody_assigned_is_its_own_party(known: Database) -> None:
    stranger = uuid4()
    async with known.transaction() as session:
        assert await holder(session, stranger) == stranger
        assert await surviving(session, stranger) == stranger
        assert await identities_of(session, stranger) == [Held(stranger)]
        assert await parties_of(session, []) == {}


async def test_an_identity_that_changed_hands_belongs_to_each_holder_on_its_days(known: Database) -> None:
    await tell(known, told(assigned(C, 7, (A, None), (B, APRIL), (A, MAY))))

    async with known.transaction() as session:
        days = (date(2026, 3, 31), APRIL, date(2026, 4, 30), MAY)
        holders = await parties_of(session, [(C, day) for day in days])
        assert [holders[C, day] for day in days] == [A, B, B, A]
        assert await identities_of(session, A) == [Held(A), Held(C, None, APRIL), Held(C, MAY, None)]
        assert await identities_of(session, B) == [Held(B), Held(C, APRIL, MAY)]


async def test_who_gave_its_own_identity_away_holds_it_until_then(known: Database) -> None:
    await tell(known, told(assigned(A, 7, (A, None), (B, APRIL)), assigned(C, 8, (B, None))))

    async with known.transaction() as session:
        assert await identities_of(session, A) == [Held(A, None, APRIL)]
        assert await identities_of(session, C) == []
        assert await holder(session, C) == B


async def test_a_merged_id_leads_to_all_that_the_survivor_holds(known: Database) -> None:
    merge = told(assigned(B, 9, (A, None)), Resolution(party_id=B, version=9, resolves_to=A))
    await tell(known, merge)
    async with known.transaction() as session:
        assert await surviving(session, B) == A
        assert await identities_of(session, B) == await identities_of(session, A) == [Held(A), Held(B)]

    await tell(known, told(assigned(B, 10, (B, None)), Resolution(party_id=B, version=10, resolves_to=B)))
    async with known.transaction() as session:
        assert await identities_of(session, A) == [Held(A)]
        assert await identities_of(session, B) == [Held(B)]


async def test_the_highest_version_stays_in_whatever_order_and_however_often_it_is_told(known: Database) -> None:
    said = [
        told(assigned(C, 1, (A, None)), Resolution(party_id=B, version=1, resolves_to=A)),
        told(assigned(C, 2, (A, None), (B, APRIL))),
        told(assigned(C, 3, (B, None)), Resolution(party_id=B, version=3, resolves_to=B)),
    ]
    found = []
    for order in permutations(said):
        async with known.transaction() as session:
            await (await driver(session)).execute("TRUNCATE known_assignment, known_resolution")
        await tell(known, *order[:2])
        await tell(known, *order[1:], order[0])
        found.append(await everything(known))

    assert all(each == found[0] for each in found)
    assert len(found[0]) == 2
    async with known.transaction() as session:
        assert (await holder(session, C), await surviving(session, B)) == (B, B)


async def test_what_another_event_carries_of_its_subject_counts_too(known: Database) -> None:
    carried = assigned(C, 4, (A, None))
    await tell(known, PartyRegistered(subject=C, occurred_at=AT, kind=PartyKind.PERSON, assignment=carried))
    await tell(known, PartyRegistered(subject=B, occurred_at=AT, kind=PartyKind.PERSON))

    async with known.transaction() as session:
        assert await holder(session, C) == A
        assert await holder(session, B) == B


async def test_sql_asks_for_the_holder_of_a_row(known: Database) -> None:
    await tell(known, told(assigned(C, 7, (A, None), (B, APRIL))))

    async with known.transaction() as session:
        holder = assignments.HOLDER.format(identity="fact.id", day="fact.day")
        rows = await (await driver(session)).fetch(
            f"SELECT {holder} AS party_id FROM unnest($1::uuid[], $2::date[]) AS fact(id, day)",
            [C, C, B],
            [DAY, MAY, DAY],
        )
    assert [row["party_id"] for row in rows] == [A, B, B]
