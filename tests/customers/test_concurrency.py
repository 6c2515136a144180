"""Writers at once: none deadlocks, and what is published is what is stored."""

import asyncio
import random
import re
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from chassis.db import driver
from chassis.ids import uuid7
from contracts.customers import PartyKind
from contracts.identity import Scheme
from contracts.problems import Problem
from contracts.telling import Status
from services.customers.domain.purchases import NewPurchase
from services.customers.queries.assignments import LOCK_IDENTITIES, assignments_of, parties_to_change
from services.customers.queries.merges import merge, unmerge
from services.customers.queries.parties import add_identifier, register, release
from services.customers.queries.purchases import purchase_to_change, record_purchases, withdraw_purchases

DAYS = [date(2026, 1, day) for day in range(2, 30)]


def bought(here, customer, order, amount=5, import_id=None):
    return NewPurchase(
        party=customer if isinstance(customer, UUID) else here.identity(Scheme.EXTERNAL, customer, system="shop"),
        source="shop",
        source_id=order,
        occurred_at=datetime(2026, 1, 5, tzinfo=UTC),
        currency="EUR",
        amount_minor=amount,
        import_id=import_id,
    )


async def test_writers_of_the_same_rows_in_any_order_accept_each_once(database, here, published):
    rows = [bought(here, f"c{number % 40}", f"o{number}") for number in range(200)]

    async def write(seed):
        mine = random.Random(seed).sample(rows, len(rows))
        async with database.transaction() as session:
            return await record_purchases(session, mine, here)

    for _ in range(3):
        found = await asyncio.gather(*map(write, range(6)))
        statuses = [outcome.status for outcomes in found for outcome in outcomes]
        assert set(statuses) <= {Status.ACCEPTED, Status.DUPLICATE}
    events = await published()
    assert len(events) == len(rows) == len({data["purchase_id"] for _, _, data in events})


async def test_an_import_taken_back_while_it_is_told_again_loses_and_doubles_nothing(database, here, published):
    old, new = uuid7(), uuid7()
    async with database.transaction() as session:
        await record_purchases(session, [bought(here, f"c{n}", f"o{n}", import_id=old) for n in range(60)], here)

    async def undo():
        done = 0
        while True:
            async with database.transaction() as session:
                some = await withdraw_purchases(session, old, 7)
            done += some
            if not some:
                return done

    async def tell(seed):
        rows = [bought(here, f"c{n}", f"o{n}", import_id=new) for n in range(60)]
        random.Random(seed).shuffle(rows)
        for start in range(0, 60, 10):
            async with database.transaction() as session:
                await record_purchases(session, rows[start : start + 10], here)

    undone, *_ = await asyncio.gather(undo(), tell(1), tell(2))
    assert undone == 60
    await tell(3)
    async with database.transaction() as session:
        counted = await (await driver(session)).fetchval("SELECT count(*) FROM purchase WHERE withdrawn_at IS NULL")
    assert counted == 60
    kinds = [kind for kind, _, _ in await published()]
    assert kinds.count("purchase_completed") - kinds.count("fact_withdrawn") == 60


async def test_only_one_of_two_corrections_of_a_version_holds(api, published):
    row = {
        "identifier": {"scheme": "external", "system": "shop", "value": "1"},
        "occurred_at": "2026-01-05T10:00:00Z",
        "currency": "EUR",
        "amount_minor": 5,
    }
    purchase = (await api.post("/v1/purchases", json=row)).json()
    path = f"/v1/purchases/{purchase['id']}/correct"
    answers = await asyncio.gather(
        *(api.post(path, json={"version": 1, "amount_minor": amount}) for amount in range(10, 16))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    assert len(await published()) == 2


async def test_corrections_of_the_customer_and_of_the_amount_at_once_both_hold(api):
    for number in range(12):
        identifiers = [{"scheme": "external", "system": "shop", "value": f"{side}{number}"} for side in "ab"]
        row = {"occurred_at": "2026-01-05T10:00:00Z", "currency": "EUR", "amount_minor": 5}
        purchase = (await api.post("/v1/purchases", json=row | {"identifier": identifiers[0]})).json()
        path = f"/v1/purchases/{purchase['id']}/correct"
        corrections = [{"identifier": identifiers[1]}, *({"amount_minor": 6 + nth} for nth in range(3))]
        await asyncio.gather(*(api.post(path, json=correction) for correction in corrections))
        right = (await api.get(f"/v1/purchases/{purchase['id']}")).json()
        assert right["identity_id"] != purchase["identity_id"]
        assert (right["amount_minor"] > 5, right["version"]) == (True, 5)


async def apply(published):
    """What a consumer knows from the events, the highest version winning."""
    assignments, resolutions = {}, {}
    for kind, _, data in await published():
        told = [data["assignment"]] if data.get("assignment") else data.get("assignments", [])
        for row in told:
            known = assignments.get(UUID(row["identity_id"]))
            assert known is None or row["version"] != known["version"] or row == known
            if known is None or row["version"] > known["version"]:
                assignments[UUID(row["identity_id"])] = row
        for row in data.get("resolutions", []):
            known = resolutions.get(UUID(row["party_id"]), (0, None))
            resolutions[UUID(row["party_id"])] = max(known, (row["version"], UUID(row["resolves_to"])))
        assert kind
    return assignments, resolutions


def slow_survivors(parties, pairs):
    best = {party: party for party in parties}
    for _ in best:
        for one, other in pairs:
            best[one] = best[other] = min(best[one], best[other])
    return best


@pytest.mark.parametrize("seed", range(6))
async def test_all_changes_at_once_end_as_the_active_merges_say(database, here, published, seed):
    people = []
    for number in range(12):
        async with database.transaction() as session:
            identities = [here.identity(Scheme.EXTERNAL, f"{number}-{part}", system="shop") for part in range(2)]
            people.append((await register(session, PartyKind.PERSON, identities))[0])

    async def one(random):
        async with database.transaction() as session:
            party, other = random.sample(people, 2)
            action = random.choice(["merge", "merge", "unmerge", "release", "add", "buy", "buy", "correct"])
            if action == "merge":
                await merge(session, party, other)
            elif action == "unmerge":
                edges = await (await driver(session)).fetch("SELECT id, party_id FROM merge WHERE unmerged_at IS NULL")
                if edges:
                    edge = random.choice(edges)
                    await unmerge(session, edge["party_id"], edge["id"])
            elif action == "release":
                held = await (await driver(session)).fetch("SELECT * FROM holding WHERE until_day IS NULL")
                chosen = random.choice(held)
                connected = await parties_to_change(session, chosen["party_id"])
                await release(session, connected, chosen["party_id"], chosen["identity_id"], random.choice(DAYS))
            elif action == "add":
                identity = here.identity(Scheme.EXTERNAL, str(random.randrange(30)), system="shop")
                await add_identifier(session, await parties_to_change(session, party), party, identity)
            elif action == "buy":
                rows = [
                    bought(here, random.choice([*people, *map(str, range(30))]), f"o{random.randrange(400)}")
                    for _ in range(5)
                ]
                await record_purchases(session, rows, here)
            else:
                rows = await (await driver(session)).fetch("SELECT id FROM purchase LIMIT 9")
                if rows:
                    row = await purchase_to_change(session, random.choice(rows)["id"])
                    row.amount_minor += 1
        await asyncio.sleep(0)

    async def worker(number):
        mine = random.Random(f"{seed} {number}")
        for _ in range(40):
            try:
                await one(mine)
            except Problem:
                continue

    await asyncio.gather(*map(worker, range(6)))
    assignments, resolutions = await apply(published)
    async with database.transaction() as session:
        connection = await driver(session)
        stored = {row["id"]: row["resolves_to"] for row in await connection.fetch("SELECT * FROM party")}
        edges = await connection.fetch("SELECT party_id, other_id FROM merge WHERE unmerged_at IS NULL")
        identities = [row["id"] for row in await connection.fetch("SELECT id FROM identity")]
        true = await assignments_of(session, identities)
        held = await connection.fetch("SELECT * FROM holding ORDER BY identity_id, nth")
    top = slow_survivors(stored, [tuple(edge) for edge in edges])
    assert stored == top
    assert {party: resolutions.get(party, (0, party))[1] for party in stored} == top
    assert {identity: row.model_dump(mode="json", exclude_none=True) for identity, row in true.items()} == assignments
    for identity in identities:
        named = [(top[row["party_id"]], row["from_day"]) for row in held if row["identity_id"] == identity]
        expected = [row for place, row in enumerate(named) if place == 0 or named[place - 1][0] != row[0]]
        told = (
            [(row.party_id, row.from_day) for row in true[identity].holdings]
            if identity in true
            else [(identity, None)]
        )
        assert told == expected


async def test_identities_are_locked_without_a_look_at_all_others(database):
    async with database.transaction() as session:
        connection = await driver(session)
        await connection.execute(
            "INSERT INTO identity (id, created_at) SELECT gen_random_uuid(), now() FROM generate_series(1, 5000);"
            " INSERT INTO holding (identity_id, nth, party_id, assigned_at)"
            " SELECT id, 1, id, now() FROM identity; ANALYZE identity, holding"
        )
        [one, other] = [row["id"] for row in await connection.fetch("SELECT id FROM identity ORDER BY id LIMIT 2")]
        plan = "\n".join(
            row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE) {LOCK_IDENTITIES}", [one], [other])
        )
        assert max(int(rows) for rows in re.findall(r"actual time=\S+ rows=(\d+)", plan)) == 2, plan
        assert "Seq Scan" not in plan
        await session.rollback()
