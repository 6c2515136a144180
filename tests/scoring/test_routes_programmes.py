"""Win-back programmes over HTTP: lots are drawn once, and what comes of it is read from the facts."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.db import Database
from contracts.customers import Direction, InteractionKind
from contracts.loss import LossReason
from services.scoring.routes import programmes
from tests.scoring.feeding import JUNE, Feeding
from tests.scoring.test_sweeping import rows

LAST = {"until": str(JUNE.date() + timedelta(days=90)), "lost_on": str(JUNE.date())}


@pytest.fixture
async def lost(feed: Feeding, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Twenty who are lost in June, in which programmes begin."""
    monkeypatch.setattr(programmes, "now", lambda: JUNE)
    people = [feed.identity() for _ in range(20)]
    for person in people:
        await feed.bought(person, JUNE - timedelta(days=500), 1_000)
    await feed.reached(JUNE)
    return people


async def begun(api: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await api.post("/v1/win-back", json={"name": "summer", **body})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/v1/win-back/{told['id']}"
    return told


async def read(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await api.get(f"/v1/win-back/{path}".rstrip("/"), params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def drawn(api: httpx.AsyncClient, programme: str, **query: Any) -> list[UUID]:
    """The parties of a programme, page by page."""
    found: list[UUID] = []
    while True:
        page = await read(api, f"{programme}/members", limit=3, **query)
        found += [UUID(each["party_id"].removeprefix("party_")) for each in page["data"]]
        if not page["has_more"]:
            return found
        query["cursor"] = page["next_cursor"]


async def test_lots_part_those_who_are_lost_once(api: httpx.AsyncClient, feed: Feeding, lost: list[UUID]) -> None:
    await feed.bought(feed.identity(), JUNE - timedelta(days=3), 1_000)

    told = await begun(api, share=0.3)

    assert (told["contacted"], told["others"], told["not_lost"]) == (6, 14, 0)
    assert {name: told[name] for name in LAST} == LAST
    contacted, others = [await drawn(api, told["id"], contact=contact) for contact in (True, False)]
    assert (len(contacted), len(others)) == (6, 14)
    assert sorted([*contacted, *others]) == await drawn(api, told["id"]) == sorted(lost)
    assert await drawn(api, told["id"], contact=True) == contacted
    member = (await read(api, f"{told['id']}/members", limit=1))["data"][0]
    assert (member["stage"], member["tier"], member["last_day"]) == (
        "lost_customer", "low", str((JUNE - timedelta(days=500)).date())
    )  # fmt: skip


async def test_as_long_as_it_goes_on_nothing_is_its_doing(
    api: httpx.AsyncClient, feed: Feeding, lost: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await begun(api)
    contacted = await drawn(api, told["id"], contact=True)
    so_far = await read(api, told["id"])
    assert (so_far["result"]["complete"], so_far["result"]["contacted"]["rate"]["hits"]) == (False, 0)
    for who in contacted:
        await feed.bought(who, JUNE + timedelta(days=1), 700)
    await feed.reached(JUNE + timedelta(days=10))
    monkeypatch.setattr(programmes, "now", lambda: JUNE + timedelta(days=10))
    early = (await read(api, told["id"]))["result"]
    assert (early["complete"], early["contacted"]["rate"]["hits"], "Lots" in early["sentence"]) == (False, 10, False)


async def test_its_result_is_who_came_back_of_each_group_within_its_days(
    api: httpx.AsyncClient, feed: Feeding, lost: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await begun(api)
    contacted, others = [await drawn(api, told["id"], contact=contact) for contact in (True, False)]
    feed.at = JUNE + timedelta(days=120)
    for who in (*contacted[:9], others[0]):
        await feed.interacted(who, JUNE + timedelta(days=2), InteractionKind.OFFER, direction=Direction.OUTBOUND)
    for who in (*contacted[:8], others[0]):
        await feed.bought(who, JUNE + timedelta(days=90), 700)
    # On the day itself, and behind the last one, nobody has come back.
    await feed.bought(contacted[8], JUNE, 700)
    await feed.bought(others[1], JUNE + timedelta(days=91), 700)
    await feed.reached(JUNE + timedelta(days=120))
    monkeypatch.setattr(programmes, "now", lambda: JUNE + timedelta(days=120))

    found = await read(api, told["id"])

    assert {name: found[name] for name in told} == told
    result = found["result"]
    assert [(result[group]["rate"]["hits"], result[group]["rate"]["of"]) for group in ("contacted", "others")] == [
        (8, 10), (1, 10)
    ]  # fmt: skip
    assert (result["contacted"]["bought_minor"], result["complete"]) == (5_600, True)
    assert (result["counted_from"], result["counted_until"]) == (str(JUNE.date() + timedelta(days=1)), LAST["until"])
    assert (found["contacted_reached"], found["others_reached"]) == (9, 1)
    assert result["comparison"]["difference"] == 0.7
    assert result["sentence"].startswith("Those who were contacted came back more often: 70.0 percentage points")
    assert result["sentence"].endswith("Lots were drawn, so that it is the programme's doing.")


async def test_it_is_for_those_alone_that_are_asked_for(
    api: httpx.AsyncClient, feed: Feeding, lost: list[UUID]
) -> None:
    said, rich, active = (feed.identity() for _ in range(3))
    await feed.bought(said, JUNE - timedelta(days=500), 1_000)
    await feed.declined(said, JUNE - timedelta(days=400), LossReason.PRICE)
    await feed.bought(rich, JUNE - timedelta(days=300), 900_000)
    await feed.declined(rich, JUNE - timedelta(days=200), LossReason.SERVICE)
    await feed.bought(active, JUNE, 1_000)
    listed = [f"party_{who.hex}" for who in (lost[0], said, active, UUID(int=7))]

    by_reason = await begun(api, reasons=["price"])
    by_tier = await begun(api, tiers=["top"], share=1)
    by_list = await begun(api, party_ids=listed)

    assert await drawn(api, by_reason["id"]) == [said]
    assert (by_reason["contacted"], by_reason["others"], by_reason["reasons"]) == (1, 0, ["price"])
    assert await drawn(api, by_tier["id"], contact=True) == [rich]
    assert sorted(await drawn(api, by_list["id"])) == sorted([lost[0], said])
    assert (by_list["contacted"], by_list["others"], by_list["not_lost"]) == (1, 1, 2)
    assert (await read(api, by_tier["id"]))["result"]["comparison"] is None
    first, second = await read(api, "", limit=2), await read(api, "", limit=2)
    assert first == second
    rest = await read(api, "", limit=2, cursor=first["next_cursor"])
    assert [each["id"] for each in (*first["data"], *rest["data"])] == [
        each["id"] for each in (by_list, by_tier, by_reason)
    ]


async def test_who_is_merged_since_counts_once_and_was_contacted_if_any_of_them_was(
    api: httpx.AsyncClient, feed: Feeding, lost: list[UUID]
) -> None:
    told = await begun(api, party_ids=[f"party_{who.hex}" for who in lost[:4]])
    contacted, other = [await drawn(api, told["id"], contact=contact) for contact in (True, False)]
    into, gone = sorted((contacted[0], other[0]))
    await feed.assigned({gone: [(into, None)]}, resolutions={gone: into})

    found = await read(api, told["id"])

    assert await drawn(api, told["id"], contact=True) == sorted({into, *contacted} - {gone})
    assert [found["result"][group]["rate"]["of"] for group in ("contacted", "others")] == [2, 1]


async def test_of_whom_nothing_is_left_has_not_come_back_and_a_lot_leaves_somebody_to_compare_with(
    api: httpx.AsyncClient, feed: Feeding, lost: list[UUID]
) -> None:
    person = feed.identity()
    bought = await feed.bought(person, JUNE - timedelta(days=500), 1_000)
    told = await begun(api, party_ids=[f"party_{who.hex}" for who in (person, *lost[:3])], share=0.9)
    assert (told["contacted"], told["others"]) == (3, 1)
    await feed.withdrawn(person, bought)

    result = (await read(api, told["id"]))["result"]

    assert sorted(result[group]["rate"]["of"] for group in ("contacted", "others")) == [1, 3]


async def test_what_cannot_begin_or_is_not_there_is_refused_and_leaves_nothing(
    api: httpx.AsyncClient, scoring: Database, lost: list[UUID]
) -> None:
    nobody = await api.post("/v1/win-back", json={"name": "summer", "reasons": ["timing"]})
    none = "programme_" + 32 * "0"

    assert (nobody.status_code, nobody.json()["code"]) == (409, "nobody_lost")
    for body in (
        {},
        {"name": ""},
        {"name": "x", "share": 0},
        {"name": "x", "share": 1.1},
        {"name": "x", "tiers": ["a"]},
    ):
        assert (await api.post("/v1/win-back", json=body)).status_code == 422
    for path in (none, f"{none}/members"):
        answer = await api.get(f"/v1/win-back/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "programme_not_found")
    assert await rows(scoring, "SELECT FROM programme") == []


async def test_a_key_answers_a_repeated_request_as_the_first(api: httpx.AsyncClient, lost: list[UUID]) -> None:
    answers = [
        await api.post("/v1/win-back", json={"name": "summer"}, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]

    assert answers[0].json() == answers[1].json()
    assert len((await read(api, ""))["data"]) == 1
