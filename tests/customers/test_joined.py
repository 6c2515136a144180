"""Single commands at once: joined into few transactions, and each answered as if it had come alone."""

import asyncio
from uuid import uuid4

import pytest

from chassis.auth import HEADER, Caller, Reach, Signer
from chassis.db import driver
from services.customers.queries import purchases as queries


def purchase(customer, source_id=None, amount_minor=100, **more):
    party = {"identifier": {"scheme": "external", "system": "shop", "value": customer}} if customer else {}
    at = {"occurred_at": "2026-01-05T09:00:00Z", "currency": "EUR", "amount_minor": amount_minor}
    return {"source": "shop", "source_id": source_id, **at, **party, **more}


@pytest.fixture
def sizes(monkeypatch):
    """How many purchases each transaction had."""
    found = []
    record = queries.record_purchases

    async def counted(session, rows, here, origins=None):
        found.append(len(rows))
        return await record(session, rows, here, origins)

    monkeypatch.setattr(queries, "record_purchases", counted)
    return found


async def correlated(database):
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch(
            "SELECT event_id, convert_from(payload, 'UTF8')::jsonb ->> 'correlationid' AS command, type FROM outbox"
        )
    return sorted((row["type"].split(".")[1], row["command"]) for row in rows)


async def test_purchases_at_once_share_transactions_and_each_event_names_its_command(api, database, sizes):
    bodies = [purchase(f"c{n % 7}", f"p{n}", 100 + n) for n in range(40)]
    answers = await asyncio.gather(
        *(api.post("/v1/purchases", json=body, headers={"X-Request-Id": body["source_id"]}) for body in bodies)
    )

    assert {answer.status_code for answer in answers} == {201}
    assert [answer.json()["amount_minor"] for answer in answers] == [body["amount_minor"] for body in bodies]
    assert [answer.json()["source_id"] for answer in answers] == [body["source_id"] for body in bodies]
    assert await correlated(database) == sorted(("purchase_completed", body["source_id"]) for body in bodies)
    assert sum(sizes) == 40
    assert max(sizes) > 1
    for answer in answers:
        again = await api.get(answer.headers["location"])
        assert (again.content, again.headers["etag"]) == (answer.content, answer.headers["etag"])


async def test_a_purchase_told_often_at_once_is_one_and_another_of_its_id_a_conflict(api, published):
    same, other = purchase("a", "p1"), purchase("stranger", "p1", 999)
    first = await api.post("/v1/purchases", json=same)
    answers = await asyncio.gather(*(api.post("/v1/purchases", json=body) for body in [same, other] * 10))

    assert [answer.status_code for answer in answers] == [200, 409] * 10
    assert {answer.json()["id"] for answer in answers[::2]} == {first.json()["id"]}
    assert {answer.json()["code"] for answer in answers[1::2]} == {"purchase_conflict"}
    assert [kind for kind, *_ in await published()] == ["purchase_completed"]
    [party] = (await api.get("/v1/parties")).json()["data"]
    assert [identifier["value"] for identifier in party["identifiers"]] == ["a"]


async def test_who_is_unknown_takes_nobody_along(api, sizes):
    unknown = "party_" + "0" * 31 + "1"
    known = (await api.post("/v1/purchases", json=purchase("a"))).json()["party_id"]
    bodies = [purchase(None, party_id=known if n % 2 else unknown) for n in range(20)]
    answers = await asyncio.gather(*(api.post("/v1/purchases", json=body) for body in bodies))

    assert [answer.status_code for answer in answers] == [404, 201] * 10
    assert {answer.json()["party_id"] for answer in answers[1::2]} == {known}
    assert max(sizes) > 1


async def test_interactions_at_once_open_their_problems_once(api, database):
    def body(n):
        told = {"department": "service", "channel": "phone", "kind": "complaint", "direction": "inbound"}
        party = {"identifier": {"scheme": "external", "system": "shop", "value": f"c{n}"}}
        at = {"source": "shop", "source_id": f"i{n}", "occurred_at": "2026-01-05T09:00:00Z"}
        return told | party | at | {"problem": {"category": "delivery"}}

    async def tell(n):
        return await api.post("/v1/interactions", json=body(n), headers={"X-Request-Id": f"i{n}"})

    answers = await asyncio.gather(*(tell(n) for n in range(20)))
    again = await asyncio.gather(*(tell(n) for n in range(20)))

    assert {answer.status_code for answer in answers} == {201}
    assert {answer.status_code for answer in again} == {200}
    assert len({answer.json()["problem_id"] for answer in answers}) == 20
    assert [answer.content for answer in again] == [answer.content for answer in answers]
    told = [(kind, f"i{n}") for n in range(20) for kind in ("interaction_recorded", "problem_opened")]
    assert await correlated(database) == sorted(told)


async def test_returns_and_observations_at_once_are_answered_each(api):
    party = (await api.post("/v1/purchases", json=purchase("a", "p1"))).json()["party_id"]
    at = "2026-01-06T09:00:00Z"
    returns = [purchase("a", f"r{n}", 10 + n, original_id="p1") for n in range(10)]
    observed = [{"aspect": "mood", "rating": 1 + n % 5, "source_id": f"o{n}", "occurred_at": at} for n in range(10)]
    answers = await asyncio.gather(
        *(api.post("/v1/returns", json=body) for body in returns),
        *(api.post(f"/v1/parties/{party}/observations", json=body) for body in observed),
    )

    assert {answer.status_code for answer in answers} == {201}
    assert [answer.json()["amount_minor"] for answer in answers[:10]] == [10 + n for n in range(10)]
    assert [answer.json()["source_id"] for answer in answers[10:]] == [f"o{n}" for n in range(10)]
    assert len({answer.json()["purchase_id"] for answer in answers[:10]}) == 1


async def test_whoever_reaches_less_than_everything_is_asked_for_alone(api, sizes):
    secret = "the-tests-of-customers-have-a-secret-of-their-own"
    caller = Caller("user_1", frozenset({"sales"}), user_id=uuid4(), reach=Reach.OWN)
    own = {HEADER: Signer(secret).sign(caller)}
    await api.post("/v1/purchases", json=purchase("others"))
    bodies = [purchase("others" if n % 2 else f"own{n}", f"q{n}") for n in range(10)]
    answers = await asyncio.gather(*(api.post("/v1/purchases", json=body, headers=own) for body in bodies))

    assert [answer.status_code for answer in answers] == [201, 403] * 5
    assert {answer.json()["code"] for answer in answers[1::2]} == {"out_of_reach"}
    assert set(sizes) == {1}
    for answer in answers[::2]:
        assert (await api.get(answer.headers["location"], headers=own)).status_code == 200


@pytest.mark.parametrize("at_once", [1, 10])
async def test_statements_of_commands_are_not_planned_with_their_values(api, monkeypatch, at_once):
    planned = []
    record = queries.record_purchases

    async def watched(session, rows, here, origins=None):
        connection = await driver(session)
        before = await connection.fetchrow(PLANS)
        outcomes = await record(session, rows, here, origins)
        planned.append([now - then for now, then in zip(await connection.fetchrow(PLANS), before, strict=True)])
        return outcomes

    monkeypatch.setattr(queries, "record_purchases", watched)
    for n in range(5):
        bodies = [purchase(f"c{place}", f"p{n}-{place}") for place in range(at_once)]
        await asyncio.gather(*(api.post("/v1/purchases", json=body) for body in bodies))

    assert planned
    for once, anew in planned:
        assert once >= 3
        assert anew == 0


PLANS = """
SELECT coalesce(sum(generic_plans), 0)::int, coalesce(sum(custom_plans), 0)::int FROM pg_prepared_statements
WHERE parameter_types <> '{}'
"""
