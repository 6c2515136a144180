"""Writers at once: each row is taken once, opens its problem once, and has one next version."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from chassis.db import driver
from chassis.ids import uuid7
from chassis.timelines import Asked
from contracts.customers import Department, Direction, InteractionKind, Severity
from contracts.identity import Scheme
from contracts.telling import Status
from services.customers.domain.interactions import NewInteraction, Opens
from services.customers.queries import timelines
from services.customers.queries.interactions import record_interactions, withdraw_interactions

START = datetime(2026, 1, 5, tzinfo=UTC)


def called(here, customer, number, import_id=None):
    return NewInteraction(
        party=customer if isinstance(customer, UUID) else here.identity(Scheme.EXTERNAL, customer, system="shop"),
        source="shop",
        source_id=f"i{number}",
        occurred_at=START + timedelta(hours=number),
        department=Department.SERVICE,
        channel="phone",
        kind=InteractionKind.COMPLAINT,
        direction=Direction.INBOUND,
        opens=Opens("delivery", Severity.LOW) if number % 3 == 0 else None,
        import_id=import_id,
    )


async def test_writers_of_the_same_rows_in_any_order_accept_each_once(database, here, published):
    rows = [called(here, f"c{number % 20}", number) for number in range(120)]

    async def write(seed):
        mine = random.Random(seed).sample(rows, len(rows))
        async with database.transaction() as session:
            return await record_interactions(session, mine, here)

    found = await asyncio.gather(*map(write, range(6)))
    statuses = [outcome.status for outcomes in found for outcome in outcomes]
    assert statuses.count(Status.ACCEPTED) == 120
    assert set(statuses) == {Status.ACCEPTED, Status.DUPLICATE}
    kinds = [kind for kind, _, _ in await published()]
    assert (kinds.count("interaction_recorded"), kinds.count("problem_opened")) == (120, 40)
    async with database.transaction() as session:
        counted = await (await driver(session)).fetchrow(
            "SELECT count(*) AS problems, count(DISTINCT problem.id) AS named FROM problem"
            " JOIN interaction ON interaction.problem_id = problem.id"
        )
    assert tuple(counted) == (40, 40)


async def test_an_import_taken_back_while_it_is_told_again_loses_and_doubles_nothing(database, here, published):
    old, new = uuid7(), uuid7()
    async with database.transaction() as session:
        await record_interactions(session, [called(here, f"c{n}", n, old) for n in range(1, 60, 3)], here)

    async def undo():
        done = 0
        while True:
            async with database.transaction() as session:
                some = await withdraw_interactions(session, old, 3)
            done += some
            if not some:
                return done

    async def tell(seed):
        rows = [called(here, f"c{n}", n, new) for n in range(1, 60, 3)]
        random.Random(seed).shuffle(rows)
        for row in rows:
            async with database.transaction() as session:
                await record_interactions(session, [row], here)

    undone, *_ = await asyncio.gather(undo(), tell(1), tell(2))
    assert undone == 20
    await tell(3)
    kinds = [kind for kind, _, _ in await published()]
    assert kinds.count("interaction_recorded") - kinds.count("fact_withdrawn") == 20


async def test_only_one_of_two_corrections_of_a_version_holds_and_every_version_is_kept(api, published):
    row = {
        "identifier": {"scheme": "external", "system": "shop", "value": "1"},
        "occurred_at": "2026-01-05T10:00:00Z",
        "department": "sales",
        "channel": "phone",
        "kind": "contact",
        "direction": "inbound",
        "text": "first",
    }
    path = f"/v1/interactions/{(await api.post('/v1/interactions', json=row)).json()['id']}"
    for version in (1, 2):
        bodies = [{"version": version, "text": f"{version} {nth}"} for nth in range(5)]
        answers = await asyncio.gather(*(api.post(f"{path}/correct", json=body) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 4
    await asyncio.gather(*(api.post(f"{path}/correct", json={"text": f"free {nth}"}) for nth in range(5)))
    versions = (await api.get(f"{path}/versions")).json()["data"]
    assert [version["version"] for version in versions] == list(range(8, 0, -1))
    assert versions[-1]["text"] == "first"
    assert len({version["text"] for version in versions}) == 8
    events = await published()
    assert [later["replaces"] for (_, _, _), (_, _, later) in pairwise(events)] == [
        former["_id"] for (_, _, former), (_, _, _) in pairwise(events)
    ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_timeline_read_in_pages_is_what_lists_and_days_say(database, here, api, seed):
    random_ = random.Random(seed)
    people = [f"c{number}" for number in range(4)]
    async with database.transaction() as session:
        rows = [called(here, random_.choice(people), number) for number in range(200)]
        await record_interactions(session, rows, here)
    parties = [row["id"] for row in (await api.get("/v1/parties")).json()["data"]]
    for _ in range(6):
        action = random_.choice(["merge", "release"])
        one, other = random_.sample(parties, 2)
        if action == "merge":
            await api.post(f"/v1/parties/{one}/merge", json={"party_id": other})
        else:
            held = (await api.get(f"/v1/parties/{one}")).json()["identifiers"]
            day = (START + timedelta(days=random_.randrange(1, 9))).date().isoformat()
            if held:
                path = f"/v1/parties/{one}/identifiers/{held[0]['identity_id']}/release"
                await api.post(path, json={"from_day": day})
    everything = (await api.get("/v1/interactions", params={"limit": 1000})).json()["data"]
    whose = {row["id"]: row["party_id"] for row in everything}
    seen = set()
    for one in [row["id"] for row in (await api.get("/v1/parties")).json()["data"]]:
        listed = (await api.get("/v1/interactions", params={"party_id": one, "limit": 1000})).json()["data"]
        entries, asked = [], Asked(datetime(9999, 1, 1, tzinfo=UTC))
        while True:
            async with database.transaction() as session:
                found = await timelines.entries(session, UUID(hex=one.removeprefix("party_")), here, asked, 7)
            entries += found
            if len(found) < 7:
                break
            asked = Asked(found[-1].at, found[-1].id)
        assert [entry.id for entry in entries if entry.kind == "interaction"] == [row["id"] for row in listed]
        keys = [(entry.at, entry.id) for entry in entries]
        assert keys == sorted(set(keys), reverse=True)
        assert {row["id"] for row in listed} == {id for id, party in whose.items() if party == one}
        seen |= {row["id"] for row in listed}
    assert len(seen) == 200
