"""Telling, deciding, merging and handing over at once: what is published is what is stored.

Where PostgreSQL breaks a deadlock, the same is tried again, as the edge and the deciding process do.
"""

import asyncio
import random
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from chassis.db import database_is_away, driver
from chassis.ids import uuid7
from contracts.customers import PartyKind
from contracts.identity import Scheme
from contracts.problems import Problem
from services.customers.domain.assignments import edge, survivors
from services.customers.queries.assignments import Connected, assignments_of, parties_to_change
from services.customers.queries.deciding import decide
from services.customers.queries.duplicates import accept, candidates, dismiss
from services.customers.queries.handovers import hand_over_identifier, holders_to_change
from services.customers.queries.identities import have_identities
from services.customers.queries.merges import merge, unmerge
from services.customers.queries.pairs import Evidence, Together, see, unsee
from services.customers.queries.parties import add_identifier, register
from services.customers.queries.tellings import lock
from tests.customers.waiting import waits

DAYS = [date(2026, 1, day) for day in range(2, 30)]
BEFORE_ALL = 101, UUID(int=2**128 - 1)


@contextmanager
def suppress_away():
    """Go on after what the database may take another time."""
    try:
        yield
    except Exception as error:
        if not database_is_away(error):
            raise


async def told(published):
    """What a consumer knows from the events, the highest version winning."""
    assignments, resolutions = {}, {}
    for _, _, data in await published():
        for row in data.get("assignments", []):
            known = assignments.get(UUID(row["identity_id"]))
            assert known is None or row["version"] != known["version"] or row == known
            if known is None or row["version"] > known["version"]:
                assignments[UUID(row["identity_id"])] = row
        for row in data.get("resolutions", []):
            known = resolutions.get(UUID(row["party_id"]), (0, None))
            resolutions[UUID(row["party_id"])] = max(known, (row["version"], UUID(row["resolves_to"])))
    return assignments, {party: top for party, (_, top) in resolutions.items()}


@pytest.mark.parametrize("seed", range(4))
async def test_all_at_once_end_as_pairs_and_people_say(database, here, published, seed):
    people = [here.identity(Scheme.EMAIL, f"p{number}@x.example") for number in range(24)]
    phones = [here.identity(Scheme.PHONE, f"+493011122{number:02}") for number in range(12)]
    async with database.transaction() as session:
        await have_identities(session, [*people, *phones])
    facts = []

    async def one(mine):
        action = mine.choice(["see", "see", "see", "unsee", "merge", "unmerge", "accept", "dismiss", "over", "know"])
        async with database.transaction() as session:
            connection = await driver(session)
            if action == "see":
                at = datetime.combine(mine.choice(DAYS), datetime.min.time(), UTC) + timedelta(hours=12)
                for _ in range(3):
                    facts.append(uuid7())
                    evidence = Evidence(facts[-1], "leads", "lead_captured", at, "website")
                    # Two phones of each, up to four people of a phone: some are shared, now and then.
                    place = mine.randrange(len(people))
                    phone = phones[(place // 2 + mine.choice([0, 0, 1])) % len(phones)]
                    await see(session, [Together([people[place].id, phone.id], evidence)])
            elif action == "unsee" and facts:
                await unsee(session, mine.sample(facts, min(len(facts), 3)))
            elif action == "merge":
                await merge(session, *(each.id for each in mine.sample(people, 2)), by="ann")
            elif action == "unmerge":
                edges = await connection.fetch("SELECT id, party_id FROM merge WHERE unmerged_at IS NULL")
                if edges:
                    chosen = mine.choice(edges)
                    await unmerge(session, chosen["party_id"], chosen["id"], by=mine.choice(["ann", None]))
            elif action in ("accept", "dismiss"):
                found = await candidates(session, status="open", min_score=0, party_id=None, after=BEFORE_ALL, limit=9)
                if found:
                    change = accept if action == "accept" else dismiss
                    await change(session, mine.choice(found).id, "seen", "ann")
            elif action == "over":
                identity, to = mine.choice(phones).id, mine.choice(people).id
                holders = await connection.fetch("SELECT party_id FROM holding WHERE identity_id = $1", identity)
                by = mine.choice(holders)["party_id"]
                connected, named = await holders_to_change(session, by, identity, to)
                await hand_over_identifier(session, connected, by, identity, to=named, from_day=mine.choice(DAYS))
            else:
                pair = [mine.choice(people), here.identity(Scheme.PHONE, f"+4940{mine.randrange(10**6, 10**7)}")]
                await register(session, PartyKind.PERSON, mine.sample(pair, 1))

    async def writer(number):
        mine = random.Random(f"{seed} {number}")
        for _ in range(30):
            with suppress(Problem), suppress_away():
                await one(mine)

    async def deciding(until):
        while not until.is_set():
            more = False
            with suppress_away():
                async with database.transaction() as session:
                    more = await decide(session, here.zone)
            if not more:
                await asyncio.sleep(0.01)

    written = asyncio.Event()
    deciders = [asyncio.create_task(deciding(written)) for _ in range(2)]
    await asyncio.gather(*map(writer, range(5)))
    written.set()
    await asyncio.gather(*deciders)
    # Of the pairs before, people may have kept every one apart by now.
    last = email(here, "last"), phone(here, "9999")
    async with database.transaction() as session:
        await have_identities(session, last)
        await tell_together(session, *last)
    while await decided(database, here):
        pass
    await everything_fits(database, published)


async def everything_fits(database, published):
    async with database.transaction() as session:
        connection = await driver(session)
        stored = {row["id"]: row["resolves_to"] for row in await connection.fetch("SELECT * FROM party")}
        edges = await connection.fetch("SELECT party_id, other_id, kind FROM merge WHERE unmerged_at IS NULL")
        apart = {tuple(row) for row in await connection.fetch("SELECT party_id, other_id FROM told_apart")}
        tied = await connection.fetch(
            "SELECT DISTINCT party_id, other_id FROM tie WHERE kind = 'seen_together' AND obstacle IS NULL"
        )
        identities = [row["id"] for row in await connection.fetch("SELECT id FROM identity")]
        true = await assignments_of(session, identities)
        held = await connection.fetch("SELECT * FROM holding ORDER BY identity_id, nth")
    automatic = {edge(row["party_id"], row["other_id"]) for row in edges if row["kind"] == "automatic"}
    assert automatic
    assert any(row["nth"] for row in held)
    by_people = survivors((row["party_id"], row["other_id"]) for row in edges if row["kind"] == "person")

    def people(pair):
        return frozenset(by_people.get(party, party) for party in pair)

    two = {people(pair) for pair in apart}
    assert automatic == {pair for row in tied if people(pair := tuple(row)) not in two}
    best = {party: party for party in stored}
    for _ in best:
        for row in edges:
            one, other = row["party_id"], row["other_id"]
            best[one] = best[other] = min(best[one], best[other])
    assert stored == best
    assignments, resolutions = await told(published)
    assert {party: resolutions.get(party, party) for party in stored} == best
    assert {identity: row.model_dump(mode="json", exclude_none=True) for identity, row in true.items()} == assignments
    for before, after in pairwise(held):
        if before["identity_id"] == after["identity_id"]:
            assert before["until_day"] == after["from_day"]
            assert before["from_day"] is None or before["from_day"] < after["from_day"]
        else:
            assert (before["until_day"], after["nth"], after["from_day"]) == (None, 0, None)


async def test_whoever_hands_over_waits_for_the_party_before_anybody_waits_for_the_identifier(database, here):
    ann, call, new = (
        here.identity(Scheme.EMAIL, "ann@x.example"),
        here.identity(Scheme.PHONE, "+4930111222"),
        here.identity(Scheme.PHONE, "+4930111333"),
    )
    async with database.transaction() as session:
        party_id, _ = await register(session, PartyKind.PERSON, [ann, call])

    async def over():
        async with database.transaction() as session:
            return await holders_to_change(session, party_id, call.id, new)

    async with database.transaction() as session:
        connected = await parties_to_change(session, party_id)
        late = asyncio.create_task(over())
        await asyncio.wait_for(waits(database), 60)
        assert await add_identifier(session, connected, party_id, new)
    assert await late == (Connected({party_id: party_id}, {party_id: connected.version + 1}), party_id)


async def test_who_gets_an_identifier_meanwhile_is_locked_as_well(database, here):
    ann, bob, call = (
        here.identity(Scheme.EMAIL, "ann@x.example"),
        here.identity(Scheme.EMAIL, "bob@x.example"),
        here.identity(Scheme.PHONE, "+4930111222"),
    )
    async with database.transaction() as session:
        await register(session, PartyKind.PERSON, [ann, call])
        await register(session, PartyKind.PERSON, [bob])

    async def over(to):
        async with database.transaction() as session:
            connected, _ = await holders_to_change(session, ann.id, call.id, to)
            return await hand_over_identifier(session, connected, ann.id, call.id, to=bob.id, from_day=DAYS[9])

    async with database.transaction() as session:
        connected, cat = await holders_to_change(session, ann.id, call.id, here.identity(Scheme.EMAIL, "c@x.example"))
        late = asyncio.create_task(over(bob))
        await asyncio.wait_for(waits(database), 60)
        await hand_over_identifier(session, connected, ann.id, call.id, to=cat, from_day=DAYS[19])
    assert [held.party_id for held in await late] == [ann.id, bob.id, cat]


async def test_who_merges_and_who_decides_wait_for_candidates_before_identifiers(database, here):
    """An identifier that changed hands belongs to parties of both, none of which the other one locks."""
    numbers = (f"{number}" for number in range(1_000))
    ann = email(here, next(numbers))
    other, call = sorted((phone(here, next(numbers)) for _ in range(2)), key=lambda each: each.id)
    role = next(each for number in numbers if other.id < (each := email(here, number, "info")).id < call.id)
    bob = next(each for number in numbers if (each := phone(here, number)).id < ann.id)
    async with database.transaction() as session:
        before = Evidence(uuid7(), "customers", "party_registered", datetime(2026, 1, 3, tzinfo=UTC))
        await register(session, PartyKind.PERSON, [ann, call], before)
        await have_identities(session, [other, role, bob])
        connected, to = await holders_to_change(session, ann.id, call.id, role.id)
        await hand_over_identifier(session, connected, ann.id, call.id, to=to, from_day=DAYS[9])
        await tell_together(session, role, other)
    while await decided(database, here):
        pass
    async with database.transaction() as session:
        await tell_together(session, ann, bob)
        await tell_together(session, role, other)

    async def merged():
        async with database.transaction() as session:
            await merge(session, role.id, other.id, by="ann")

    async with database.transaction() as session:
        await lock(session, [role.id])
        merging = asyncio.create_task(merged())
        await asyncio.wait_for(waits(database), 60)
        deciding = asyncio.create_task(decided(database, here))
        await asyncio.wait_for(waits(database, 2), 60)
    await asyncio.gather(merging, deciding)
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch("SELECT party_id, other_id, kind FROM merge")
    assert {tuple(row) for row in rows} == {
        (*edge(role.id, other.id), "person"),
        (*edge(ann.id, bob.id), "automatic"),
    }


def email(here, number, name="p"):
    return here.identity(Scheme.EMAIL, f"{name}@{number}.example")


def phone(here, number):
    return here.identity(Scheme.PHONE, f"+49301112{number:0>4}")


async def tell_together(session, *identities):
    evidence = Evidence(uuid7(), "leads", "lead_captured", datetime(2026, 1, 5, tzinfo=UTC), "website")
    await see(session, [Together([each.id for each in identities], evidence)])


async def decided(database, here):
    async with database.transaction() as session:
        return await decide(session, here.zone)


async def test_who_decides_waits_for_no_identifier_that_it_has_to_look_at(database, here):
    one, two = sorted((email(here, str(number)) for number in range(2)), key=lambda each: each.id)
    async with database.transaction() as session:
        await have_identities(session, [one, two])
    async with database.transaction() as session:
        await lock(session, [two.id])
        await asyncio.wait_for(decided(database, here), 60)
        await lock(session, [one.id])
    while await decided(database, here):
        pass
    async with database.transaction() as session:
        assert await (await driver(session)).fetchval("SELECT bool_and(compared) FROM identity")
