"""What members of communities are linked to, as customers hears of it."""

import asyncio
import random
from datetime import UTC, datetime
from itertools import count, permutations
from uuid import UUID

import pytest

from chassis import consumer, outbox, sequencer
from chassis.bus import connect_bus
from chassis.consumer import Delivery
from chassis.db import declare_topics, driver
from chassis.ids import uuid7
from contracts.community import MemberLinked
from contracts.customers import PartyKind
from contracts.identity import Scheme
from contracts.leads import LeadCaptured
from contracts.topics import MEMBERS
from services.customers.handlers.hearing import hear
from services.customers.queries.identities import have_identities
from services.customers.queries.merges import merge, unmerge
from services.customers.queries.parties import register
from tests.customers.waiting import waits

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENOUGH_S = 60
LOCKED = "SELECT FROM identity WHERE id = $1 FOR NO KEY UPDATE"


@pytest.fixture
def identity(here):
    return lambda value, system="shop": here.identity(Scheme.EXTERNAL, value, system=system)


@pytest.fixture
def party(database, identity):
    async def make(value):
        async with database.transaction() as session:
            return (await register(session, PartyKind.PERSON, [identity(value)]))[0]

    return make


@pytest.fixture
def linked(identity):
    members: dict[str, UUID] = {}

    def make(name, version=1, **whom):
        member_id = members.setdefault(name, uuid7())
        subject = identity(name, "forum").id
        return MemberLinked(subject=subject, occurred_at=NOON, member_id=member_id, version=version, **whom)

    return make


@pytest.fixture
def heard(database):
    numbers = count(1)

    async def tell(*events):
        batch = [Delivery(event, uuid7(), MEMBERS.name, 0, 1, next(numbers), NOON) for event in events]
        async with database.transaction() as session:
            await hear(session, batch)

    return tell


@pytest.fixture
def top(database):
    """Where parties lead; none for one that is not known."""

    async def read(*ids):
        async with database.transaction() as session:
            rows = await (await driver(session)).fetch("SELECT id, resolves_to FROM party WHERE id = ANY($1)", ids)
        found = {row["id"]: row["resolves_to"] for row in rows}
        return [found.get(id) for id in ids]

    return read


async def test_links_lock_what_they_move_in_the_one_order_whatever_that_of_their_members(
    database, identity, linked, heard
):
    ends = {name: (identity(name, "forum").id, identity(value).id) for name, value in (("ann", "one"), ("bob", "two"))}
    # The larger one of a pair moves. The links come in the order of their members, which is made the other one.
    last, first = sorted(ends, key=lambda name: max(ends[name]), reverse=True)
    known = [identity(*named) for named in (("ann", "forum"), ("bob", "forum"), ("one",), ("two",))]
    async with database.transaction() as session:
        await have_identities(session, known)
    links = [linked(name, identity_id=ends[name][1]) for name in (last, first)]

    async with database.transaction() as session:
        connection = await driver(session)
        await connection.execute(LOCKED, max(ends[first]))
        linking = asyncio.create_task(heard(*links))
        async with asyncio.timeout(ENOUGH_S):
            await waits(database)
        await connection.execute("SET LOCAL lock_timeout = '2s'")
        await connection.execute(LOCKED, max(ends[last]))
    await linking


async def test_a_linked_member_brings_its_past_to_the_party(published, identity, party, linked, heard, top):
    known = await party("c1")
    await published()
    await heard(linked("ann", party_id=known))
    ann = identity("ann", "forum").id
    first = min(known, ann)
    assert await top(known, ann) == [first, first]
    [(kind, _, data)] = await published()
    assert kind == "identities_assigned"
    assert {row["party_id"] for row in data["resolutions"]} == {str(max(known, ann))}
    moved = {row["identity_id"]: row["holdings"] for row in data["assignments"]}
    assert moved[str(max(known, ann))] == [{"party_id": str(first)}]


async def test_a_party_is_named_by_an_identity_that_it_holds_or_that_becomes_it(identity, party, linked, heard, top):
    known = await party("c1")
    stranger = identity("nobody-yet").id
    await heard(linked("ann", identity_id=known), linked("bob", identity_id=stranger))
    ann, bob = identity("ann", "forum").id, identity("bob", "forum").id
    assert await top(ann) == await top(known)
    assert await top(bob) == await top(stranger) == [min(bob, stranger)]


async def test_of_links_in_any_order_and_twice_the_highest_version_holds(identity, party, linked, heard, top):
    one, other = await party("c1"), await party("c2")
    for number, order in enumerate(permutations(range(3))):
        name = f"ann{number}"
        told = [
            linked(name, 1, party_id=one),
            linked(name, 2, party_id=other),
            linked(name, 3, party_id=one),
        ]
        for place in (*order, 0, 1):
            await heard(told[place])
        member = identity(name, "forum").id
        tops = await top(member, one, other)
        assert tops[0] == tops[1] != tops[2]


async def test_a_link_taken_back_parts_them_also_within_one_batch(identity, party, linked, heard, top):
    known = await party("c1")
    ann, bob = identity("ann", "forum").id, identity("bob", "forum").id
    await heard(linked("ann", 1, party_id=known), linked("bob", 2), linked("bob", 1, party_id=known))
    assert len(set(await top(known, ann))) == 1
    await heard(linked("ann", 2))
    assert await top(known, ann, bob) == [known, ann, bob]


async def test_a_person_s_unmerge_stands_until_the_member_is_linked_anew(database, identity, party, linked, heard, top):
    known = await party("c1")
    told = linked("ann", 1, party_id=known)
    await heard(told)
    ann = identity("ann", "forum").id
    async with database.transaction() as session:
        edge = await (await driver(session)).fetchval("SELECT id FROM merge")
        await unmerge(session, known, edge)
    await heard(told)
    assert await top(known, ann) == [known, ann]
    await heard(linked("ann", 2, party_id=known))
    assert len(set(await top(known, ann))) == 1


async def test_the_same_party_again_changes_nothing(published, party, linked, heard):
    known = await party("c1")
    await heard(linked("ann", 1, party_id=known))
    await published()
    await heard(linked("ann", 2, party_id=known))
    assert await published() == []


async def test_a_merge_that_a_person_made_stays_when_the_link_is_taken_back(
    database, identity, party, linked, heard, top
):
    known = await party("c1")
    ann = identity("ann", "forum").id
    async with database.transaction() as session:
        await register(session, PartyKind.PERSON, [identity("ann", "forum")])
        await merge(session, known, ann)
    await heard(linked("ann", 1, party_id=known))
    await heard(linked("ann", 2))
    assert len(set(await top(known, ann))) == 1


async def test_an_identity_heard_of_is_shown_once_somebody_tells_the_identifier(api, identity, linked, heard):
    await heard(linked("ann"))
    ann = {"scheme": "external", "system": "forum", "value": "ann"}
    path = f"/v1/parties/party_{identity('ann', 'forum').id.hex}"
    assert (await api.get(path)).json()["identifiers"] == []
    assert (await api.post("/v1/parties", json={"identifiers": [ann]})).status_code == 200
    [held] = (await api.get(path)).json()["identifiers"]
    assert (held["system"], held["value"]) == ("forum", "ann")


async def test_a_link_may_come_before_what_makes_its_party_known(identity, linked, heard, top):
    ada, ann = identity("ada").id, identity("ann", "forum").id

    await heard(linked("ann", party_id=ada))
    await heard(LeadCaptured(subject=ada, occurred_at=NOON, lead_id=uuid7(), source="website"))

    assert await top(ada, ann) == [min(ada, ann)] * 2


async def test_links_and_merges_at_once_end_as_the_last_links_say(database, identity, party, linked, heard, top):
    parties = [await party(f"c{number}") for number in range(6)]
    names = [f"m{number}" for number in range(6)]

    async def telling(name, seed):
        mine = random.Random(f"{name} {seed}")
        for version in range(1, 9):
            await heard(linked(name, version, party_id=mine.choice(parties)))
        await heard(linked(name, 9, party_id=parties[names.index(name)]))

    async def merging(seed):
        mine = random.Random(seed)
        for _ in range(20):
            async with database.transaction() as session:
                made, fresh = await merge(session, *mine.sample(parties, 2))
            if fresh:
                async with database.transaction() as session:
                    await unmerge(session, made.party_id, made.id)

    await asyncio.gather(*(telling(name, 1) for name in names), merging(1), merging(2))
    for name, known in zip(names, parties, strict=True):
        assert len(set(await top(identity(name, "forum").id, known))) == 1
    assert len(set(await top(*parties))) == len(parties)


async def test_links_are_heard_over_the_bus(make_database, database, identity, party, linked, top):
    source = await make_database(None)
    await declare_topics(source, [MEMBERS])
    known = await party("c1")
    async with source.transaction() as session:
        outbox.append(session, linked("bob", party_id=known))
    transport = connect_bus("log://", database, {"community": source.url})
    running = [
        asyncio.create_task(sequencer.run(source)),
        asyncio.create_task(consumer.run("customers", database, transport, [MEMBERS.name], hear, {})),
    ]
    bob = identity("bob", "forum").id
    try:
        async with asyncio.timeout(ENOUGH_S):
            while await top(bob) != [min(bob, known)]:
                await asyncio.sleep(0.05)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_whoever_another_service_told_of_is_the_party_that_a_purchase_names_later(api, identity, heard):
    ada = identity("ada")
    lead = LeadCaptured(subject=ada.id, occurred_at=NOON, lead_id=uuid7(), source="website")

    await heard(lead)
    known = (await api.get(f"/v1/parties/party_{ada.id.hex}")).json()
    body = {
        "identifier": {"scheme": "external", "system": "shop", "value": "ada"},
        "source": "shop",
        "occurred_at": NOON.isoformat(),
        "amount_minor": 100,
        "currency": "EUR",
    }
    bought = await api.post("/v1/purchases", json=body)
    now = (await api.get(f"/v1/parties/party_{ada.id.hex}")).json()

    assert (known["id"], known["identifiers"]) == (f"party_{ada.id.hex}", [])
    assert bought.status_code == 201
    assert [held["value"] for held in now["identifiers"]] == ["ada"]
