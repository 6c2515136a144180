"""Trials of policies: what they count, that they end whatever happens, and that nothing else changes by them."""

import asyncio
import csv
import gzip
import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.db import Database, driver
from chassis.retention import sweep
from services.scoring.app import Settings
from services.scoring.domain.presets import PRESETS
from services.scoring.handlers import apart, trying
from services.scoring.handlers.trying import carry_out_trials, try_next
from services.scoring.queries import reading
from services.scoring.queries import trials as queries
from services.scoring.queries.reading import snapshot
from services.scoring.queries.trials import alone, begin, forget_moves
from tests.scoring.feeding import Feeding
from tests.scoring.test_routes_policies import FIRST, STRICT, drafted
from tests.scoring.test_sweeping import read_until, rows

START = datetime(2024, 6, 1, 12, tzinfo=UTC)
CDNOW = Path(__file__).resolve().parents[3] / "shared" / "data" / "cdnow_sample" / "orders.csv.gz"
SHORT = {"name": "short", "persons": {"customers": {"by": "days", "dormant_after_days": 10, "lost_after_days": 20}}}


@pytest.fixture
def feed(scoring: Database) -> Feeding:
    return Feeding(scoring, at=START)


async def asked(api: httpx.AsyncClient, policy: str, **body: Any) -> Any:
    answer = await api.post(f"/v1/policies/{policy}/trials", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/trials/{answer.json()['id']}"
    return answer.json()


async def trial(api: httpx.AsyncClient, asked: Any) -> Any:
    return (await api.get(f"/v1/trials/{asked['id']}")).json()


async def tried(api: httpx.AsyncClient, database: Database, document: Any, **body: Any) -> Any:
    """A trial of a document, carried out."""
    job = await asked(api, (await drafted(api, document=document))["hash"], **body)
    assert await try_next(database)
    done = await trial(api, job)
    assert done["state"] == "done", done["error"]
    return done


async def kept(api: httpx.AsyncClient, job: Any) -> list[Any]:
    answer = await api.get(f"/internal/trials/{job['id']}/moves")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def everything(database: Database) -> list[Any]:
    """All that a trial must not touch."""
    tables = ("party", "calendar", "fact", "lived_move", "ruling", "outbox", "event_log", "planned_activation")
    return [[tuple(row) for row in await rows(database, f"SELECT * FROM {table} ORDER BY 1, 2")] for table in tables]


async def test_a_trial_waits_then_tells_who_would_stand_where_and_the_policy_is_tried(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    silent, buyer = feed.identity(), feed.identity()
    await feed.bought(silent, START, 1_000)
    await feed.bought(buyer, START + timedelta(days=190), 200_000)
    await feed.inquired(feed.identity(), START + timedelta(days=195))
    await read_until(scoring, START + timedelta(days=200))
    policy = (await drafted(api, document=STRICT))["hash"]
    before = await everything(scoring)

    job = await asked(api, policy)
    assert (job["state"], job["policy"], job["result"], job["asked_by"]) == ("waiting", policy, None, "tests")
    assert await try_next(scoring)
    assert not await try_next(scoring)

    done = await trial(api, job)
    assert (done["state"], done["parties"], done["done"], done["error"]) == ("done", 3, 3, None)
    result = done["result"]
    assert (result["parties"], result["horizon_days"], result["currency"]) == (3, 180, "EUR")
    assert result["until"] == (START + timedelta(days=200)).date().isoformat()
    stands = {
        side: {(each["stage"], each["tier"]): each["parties"] for each in result[side]["stands"]}
        for side in ("draft", "active")
    }
    others = {("customer", "top"): 1, ("prospect", "unproven"): 1}
    assert stands["draft"] == {("lost_customer", "low"): 1, **others}
    assert stands["active"] == {("dormant_customer", "low"): 1, **others}
    assert result["differ"] == {
        "parties": 1,
        "cells": [
            {
                "stage_active": "dormant_customer",
                "tier_active": "low",
                "stage_draft": "lost_customer",
                "tier_draft": "low",
                "parties": 1,
            }
        ],
    }
    assert (result["draft"]["policy"], result["active"]["policy"]) == (policy, FIRST)
    assert sum(result["draft"]["treatments"].values()) == 3
    assert (await api.get(f"/v1/policies/{policy}")).json()["state"] == "tried"
    assert await everything(scoring) == before


async def test_moves_are_counted_by_kind_and_month_and_kept_where_that_is_asked_for(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    for days in (0, 15, 60):
        await feed.bought(somebody, START + timedelta(days=days), 1_000)
    await read_until(scoring, START + timedelta(days=90))

    done = await tried(api, scoring, SHORT, keep_moves=True)

    told = [(move["at"][:10], move["from"], move["to"], move["kind"], move["reason"]) for move in await kept(api, done)]
    assert told == [
        ("2024-06-01", None, "customer", "appeared", "a purchase"),
        ("2024-06-12", "customer", "dormant_customer", "faded", "no purchase for 11 days"),
        ("2024-06-16", "dormant_customer", "customer", "returned", "a purchase"),
        ("2024-06-27", "customer", "dormant_customer", "faded", "no purchase for 11 days"),
        ("2024-07-07", "dormant_customer", "lost_customer", "lost", "no purchase for 21 days"),
        ("2024-07-31", "lost_customer", "customer", "won_back", "a purchase"),
        ("2024-08-11", "customer", "dormant_customer", "faded", "no purchase for 11 days"),
        ("2024-08-21", "dormant_customer", "lost_customer", "lost", "no purchase for 21 days"),
    ]
    draft, active = done["result"]["draft"], done["result"]["active"]
    assert {kind: each["moves"] for kind, each in draft["moves"].items()} == {
        "appeared": 1, "faded": 3, "lost": 2, "returned": 1, "won_back": 1,
    }  # fmt: skip
    assert all(each["parties"] == 1 for each in draft["moves"].values())
    assert draft["months"][1] == {"month": "2024-07", "moves": {"lost": 1, "won_back": 1}}
    assert draft["workload"] == [
        {"month": "2024-06", "at_risk": 2, "lost": 0, "follow_ups": 0},
        {"month": "2024-07", "at_risk": 0, "lost": 1, "follow_ups": 1},
        {"month": "2024-08", "at_risk": 1, "lost": 1, "follow_ups": 1},
    ]
    # A customer again on 16 June after four days, dormant again on the 27th after eleven, lost again on 21 August after
    # twenty-one; a customer again on 31 July after thirty-four, which is no flapping.
    assert draft["flapping"] == {"moves": 3, "parties": 1}
    assert {kind: each["moves"] for kind, each in active["moves"].items()} == {"appeared": 1}
    assert active["flapping"] == {"moves": 0, "parties": 0}


async def test_a_stage_is_wrong_by_what_happened_within_the_horizon(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    again, gone, late = (feed.identity() for _ in range(3))
    for person, days in ((again, (0, 40)), (gone, (0,)), (late, (80,))):
        for day in days:
            await feed.bought(person, START + timedelta(days=day), 1_000)
    await read_until(scoring, START + timedelta(days=100))

    result = (await tried(api, scoring, {**SHORT, "horizon_days": 30}))["result"]

    assert result["horizon_days"] == 30
    # Lost on day 21 and bought on day 40: wrong. The loss of day 61 was right, as thirty days have shown.
    assert result["draft"]["judged"]["lost_customer"] == {"moves": 3, "decided": 3, "wrong": 1}
    # Both of day 0 bought nothing within 30 days, nor did the one of day 40; of day 80 nobody knows yet.
    assert result["draft"]["judged"]["customer"] == {"moves": 4, "decided": 3, "wrong": 3}
    # Under the active policy nobody was lost, and the purchase of day 40 moved nobody.
    assert result["active"]["judged"]["lost_customer"] == {"moves": 0, "decided": 0, "wrong": 0}
    assert result["active"]["judged"]["customer"] == {"moves": 3, "decided": 2, "wrong": 2}


async def test_only_days_of_the_span_count_and_nothing_later_is_known(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    somebody = feed.identity()
    await feed.bought(somebody, START, 1_000)
    await feed.bought(somebody, START + timedelta(days=60), 1_000)
    await read_until(scoring, START + timedelta(days=90))

    span = {"from": "2024-06-20", "until": "2024-07-15"}
    done = await tried(api, scoring, SHORT, keep_moves=True, **span)

    assert [(move["at"][:10], move["kind"]) for move in await kept(api, done)] == [("2024-06-22", "lost")]
    assert (done["from"], done["until"]) == (done["result"]["from"], done["result"]["until"]) == tuple(span.values())
    assert [each["stage"] for each in done["result"]["draft"]["stands"]] == ["lost_customer"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"from": "2024-06-02", "until": "2024-06-01"}, 422, "invalid_request"),
        ({"until": "8000-01-01"}, 422, "trial_ahead"),
        ({"from": "8000-01-01"}, 422, "trial_ahead"),
        ({"model": "0" * 64}, 404, "model_not_found"),
        ({"since": "2024-06-02"}, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_tried_is_refused(
    api: httpx.AsyncClient, body: dict[str, str], status: int, code: str
) -> None:
    answer = await api.post(f"/v1/policies/{FIRST}/trials", json=body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await api.get("/v1/trials")).json()["data"] == []


async def test_trials_are_listed_the_newest_first_and_by_policy(api: httpx.AsyncClient, scoring: Database) -> None:
    strict = (await drafted(api, document=STRICT))["hash"]
    jobs = [await asked(api, policy) for policy in (FIRST, strict, FIRST)]

    first = (await api.get("/v1/trials", params={"limit": 2})).json()
    rest = (await api.get("/v1/trials", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    of_one = (await api.get("/v1/trials", params={"policy": strict})).json()["data"]

    assert [each["id"] for each in first["data"] + rest["data"]] == [job["id"] for job in reversed(jobs)]
    assert [each["id"] for each in of_one] == [jobs[1]["id"]]
    undrafted = PRESETS["retention_first"].content_hash
    for nobody in ("0" * 64, undrafted):
        assert (await api.post(f"/v1/policies/{nobody}/trials")).json()["code"] == "policy_not_found"
    # It can be asked for and compared all the same.
    for path in (f"/v1/digest?policy={undrafted}", f"/v1/policies/{undrafted}/diff"):
        assert (await api.get(path)).status_code == 200
    assert (await api.get(f"/v1/trials/trial_{'0' * 32}")).json()["code"] == "trial_not_found"
    assert (await api.delete(f"/v1/trials/trial_{'0' * 32}")).json()["code"] == "trial_not_found"


async def test_moves_can_be_read_when_they_are_there(api: httpx.AsyncClient, scoring: Database) -> None:
    job = await asked(api, FIRST)
    url = f"/internal/trials/{job['id']}/moves"

    early = await api.get(url)
    await try_next(scoring)
    uncounted = await api.get(url)

    assert (early.status_code, early.json()["code"], early.json()["state"]) == (409, "trial_not_done", "waiting")
    assert (uncounted.status_code, uncounted.json()["code"]) == (409, "moves_not_kept")
    assert (await api.get(f"/internal/trials/trial_{'0' * 32}/moves")).json()["code"] == "trial_not_found"


async def test_a_trial_that_looked_at_nobody_does_not_make_a_policy_tried(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    await feed.bought(feed.identity(), START, 1_000)
    policy = (await drafted(api, document=STRICT))["hash"]

    early = await tried(api, scoring, STRICT, until="2024-05-31")
    refused = await api.post(f"/v1/policies/{policy}/approve")

    assert (early["result"]["parties"], early["result"]["draft"]["moves"]) == (0, {})
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_policy_move")
    assert "looks at somebody" in refused.json()["detail"]
    assert (await api.get(f"/v1/policies/{policy}")).json()["state"] == "draft"

    await tried(api, scoring, STRICT, until="2024-06-01")
    assert (await api.get(f"/v1/policies/{policy}")).json()["state"] == "tried"


async def test_where_nobody_is_known_a_trial_of_all_that_is_known_makes_a_policy_tried(
    api: httpx.AsyncClient, scoring: Database
) -> None:
    done = await tried(api, scoring, STRICT)

    assert (done["parties"], done["result"]["parties"]) == (0, 0)
    assert (await api.get(f"/v1/policies/{done['policy']}")).json()["state"] == "tried"


async def test_no_more_than_so_many_trials_wait(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_WAITING", 3)
    jobs = [await asked(api, FIRST) for _ in range(3)]

    refused = await api.post(f"/v1/policies/{FIRST}/trials")

    assert (refused.status_code, refused.json()["code"], refused.json()["waiting"]) == (409, "too_many_trials", 3)
    assert len((await api.get("/v1/trials")).json()["data"]) == 3
    await api.delete(f"/v1/trials/{jobs[0]['id']}")
    await asked(api, FIRST)


async def test_a_trial_that_is_asked_for_again_by_the_same_key_is_one_trial(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = [await api.post(f"/v1/policies/{FIRST}/trials", json={}, headers=key) for _ in range(2)]

    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.json(), again.headers["location"]) == (first.json(), first.headers["location"])
    assert again.headers["idempotency-replayed"] == "true"
    assert [each["id"] for each in (await api.get("/v1/trials")).json()["data"]] == [first.json()["id"]]


async def test_moves_are_forgotten_so_many_days_after_the_end_of_their_trial(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    await feed.bought(feed.identity(), START, 1_000)
    old, young = [await tried(api, scoring, SHORT, keep_moves=True) for _ in range(2)]
    ended = datetime.fromisoformat(young["finished_at"])
    await rows(
        scoring,
        "UPDATE trial SET finished_at = now() - interval '91 days'"
        " WHERE id = (SELECT id FROM trial ORDER BY id LIMIT 1)",
    )
    every = Settings.model_validate({"database_url": scoring.url, "internal_secret": "x" * 32})

    await sweep(scoring, every, (partial(forget_moves, days=every.trial_moves_retention_days),))

    gone = await api.get(f"/internal/trials/{old['id']}/moves")
    assert (gone.status_code, gone.json()["code"]) == (409, "moves_not_kept")
    assert (await trial(api, old))["result"] == old["result"]
    assert await kept(api, young)
    assert len(await rows(scoring, "SELECT DISTINCT trial_id FROM trial_move")) == 1
    async with scoring.transaction() as session:
        await forget_moves(await driver(session), ended + timedelta(days=89), days=90)
        assert await kept(api, young)


@pytest.fixture(params=["here", "apart"])
def small_pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parties at a time, in this process or in others."""
    monkeypatch.setattr(trying, "FEW", 100 if request.param == "here" else 0)
    monkeypatch.setattr(trying, "SPAN", 2)
    monkeypatch.setattr(apart, "ENTRIES", 0)
    monkeypatch.setattr(reading, "PAGE", 2)
    monkeypatch.setattr(trying, "TELL_S", 0.0)
    monkeypatch.setattr(trying, "REST_S", 0.01)


async def people(feed: Feeding, number: int) -> list[UUID]:
    found = [feed.identity() for _ in range(number)]
    await feed.tell(*(feed.purchase(person, START, 1_000) for person in found))
    return found


@pytest.mark.usefixtures("small_pages")
async def test_a_trial_that_is_cancelled_stops_and_keeps_nothing(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people(feed, 10)
    job = await asked(api, (await drafted(api, document=STRICT))["hash"], keep_moves=True)
    told, noted = trying._told, 0

    async def cancelled_at_the_second(*arguments: Any) -> bool:
        nonlocal noted
        noted += 1
        if noted == 2:
            assert (await trial(api, job))["state"] == "running"
            assert (await api.delete(f"/v1/trials/{job['id']}")).json()["state"] == "cancelled"
        return await told(*arguments)

    monkeypatch.setattr(trying, "_told", cancelled_at_the_second)
    assert await try_next(scoring)

    ended = await trial(api, job)
    assert (ended["state"], ended["done"], ended["result"], noted) == ("cancelled", 2, None, 2)
    assert not await rows(scoring, "SELECT FROM trial_move")
    assert (await api.get(f"/v1/policies/{job['policy']}")).json()["state"] == "draft"
    assert not await try_next(scoring)


@pytest.mark.usefixtures("small_pages")
async def test_a_killed_trial_is_begun_anew_by_the_next_process(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    await people(feed, 9)
    job = await asked(api, (await drafted(api, document=STRICT))["hash"], keep_moves=True)
    async with snapshot(scoring) as connection:
        assert await alone(connection)
        async with scoring.transaction() as session:
            assert await begin(await driver(session), UUID(job["id"].removeprefix("trial_")), START)
            await (await driver(session)).execute(
                "INSERT INTO trial_move (trial_id, place, party_id, at, kind, reason)"
                " SELECT id, 0, id, now(), 'lost', 'half' FROM trial"
            )
        # As long as that process lives nobody else touches it.
        assert not await try_next(scoring)

    assert await try_next(scoring)

    done = await trial(api, job)
    assert (done["state"], done["done"]) == ("done", 9)
    assert {move["kind"] for move in await kept(api, done)} >= {"appeared"}
    assert "half" not in {move["reason"] for move in await kept(api, done)}


async def test_who_was_killed_writes_no_moves_beside_those_of_the_trial_that_was_begun_anew(
    api: httpx.AsyncClient, scoring: Database
) -> None:
    trial_id = UUID((await asked(api, FIRST, keep_moves=True))["id"].removeprefix("trial_"))
    move = (trial_id, START, None, "customer", None, "low", "appeared", "a purchase")
    for begun_at in (START, START + timedelta(seconds=1)):
        async with scoring.transaction() as session:
            assert await begin(await driver(session), trial_id, begun_at)

    async with scoring.transaction() as session:
        connection = await driver(session)
        assert not await queries.keep_moves(connection, trial_id, START, 0, [move])
        assert await queries.keep_moves(connection, trial_id, START + timedelta(seconds=1), 0, [move])
        await queries.end(connection, trial_id, START)
        assert not await queries.keep_moves(connection, trial_id, START + timedelta(seconds=1), 1, [move])
    assert not await rows(scoring, "SELECT FROM trial_move")


@pytest.mark.usefixtures("small_pages")
async def test_a_trial_sees_one_state_while_events_go_on(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await people(feed, 8)
    job = await asked(api, FIRST)
    told = trying._told

    async def beside_buyers(*arguments: Any) -> bool:
        await people(feed, 1)
        for person in before:
            await feed.bought(person, START + timedelta(hours=1), 500_000)
        return await told(*arguments)

    monkeypatch.setattr(trying, "_told", beside_buyers)
    assert await try_next(scoring)

    stands = (await trial(api, job))["result"]["draft"]["stands"]
    assert stands == [{"stage": "customer", "tier": "low", "parties": 8}]


async def test_a_fault_of_ours_ends_the_trial_and_says_so(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    await people(feed, 1)
    job = await asked(api, (await drafted(api, document=STRICT))["hash"])
    await rows(scoring, "UPDATE calendar SET days = '\\x01'")

    carrying = asyncio.create_task(carry_out_trials(scoring))
    while (await trial(api, job))["state"] in ("waiting", "running"):
        await asyncio.sleep(0.01)
    carrying.cancel()

    failed = await trial(api, job)
    assert failed["state"] == "failed"
    assert failed["error"]
    assert (await api.get(f"/v1/policies/{job['policy']}")).json()["state"] == "draft"


def orders() -> list[dict[str, str]]:
    with gzip.open(CDNOW, "rt", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not CDNOW.exists(), reason=f"needs the CDNOW sample in {CDNOW.parent}")
async def test_lost_after_180_days_wins_back_on_cdnow_whom_a_plain_script_finds(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    found = orders()
    identities = {customer: feed.identity() for customer in {order["customer_id"] for order in found}}
    purchases = [
        feed.purchase(
            identities[order["customer_id"]],
            datetime.combine(date.fromisoformat(order["ts"]), datetime.min.time(), tzinfo=UTC),
            int(Decimal(order["amount"]) * 100),
        )
        for order in found
    ]
    for start in range(0, len(purchases), 1_000):
        await feed.tell(*purchases[start : start + 1_000])

    done = await tried(api, scoring, STRICT, keep_moves=True)

    days = defaultdict(set)
    for order in found:
        days[order["customer_id"]].add(date.fromisoformat(order["ts"]).toordinal())
    won_back = []
    for customer, bought in days.items():
        for day, following in pairwise(sorted(bought)):
            if following - day > 180:
                won_back.append((customer, following))

    told = done["result"]["draft"]["moves"]["won_back"]
    assert (told["moves"], told["parties"]) == (len(won_back), len({customer for customer, _ in won_back}))
    of = {f"party_{identity.hex}": customer for customer, identity in identities.items()}
    moved = [move for move in await kept(api, done) if move["kind"] == "won_back"]
    assert sorted((of[move["party_id"]], date.fromisoformat(move["at"][:10]).toordinal()) for move in moved) == sorted(
        won_back
    )
