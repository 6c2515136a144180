from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.auth import Reach
from chassis.http import encode_cursor
from chassis.ids import uuid7
from contracts.customers import Direction, InteractionKind, InteractionRecorded, ProblemOpened, Severity
from services.scoring.domain.presets import DEFAULT_1
from tests.scoring.feeding import Feeding
from tests.scoring.test_routes_reach import reaching
from tests.scoring.test_routes_reports import reached, said

JUNE = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
async def three(feed: Feeding) -> list[str]:
    """Three parties: two thousand euro in May, fifty euro long ago, known only."""
    top, faded, known = (feed.identity() for _ in range(3))
    await feed.bought(top, JUNE - timedelta(days=20), 200_000)
    await feed.bought(faded, JUNE - timedelta(days=150), 5_000)
    await feed.registered(known, JUNE - timedelta(days=3))
    return [f"party_{identity.hex}" for identity in (top, faded, known)]


async def test_two_parties_are_shown_as_the_one_that_they_would_be(api: httpx.AsyncClient, three: list[str]) -> None:
    top, faded, known = three
    found = (await api.post(f"/v1/standings/{faded}/merge-preview", json={"party_id": top})).json()
    assert (found["one"]["stage"], found["other"]["stage"]) == ("dormant_customer", "customer")
    assert found["together"]["party_id"] == min(top, faded)
    assert (found["together"]["stage"], found["together"]["value_minor"]) == ("customer", 205_000)
    assert (await api.get(f"/v1/standings/{faded}")).json()["stage"] == "dormant_customer"
    same = (await api.post(f"/v1/standings/{top}/merge-preview", json={"party_id": top})).json()
    assert same["one"] == same["other"] == same["together"]
    nobody = [f"party_{number:032x}" for number in (1, 2)]
    beside = (await api.post(f"/v1/standings/{nobody[0]}/merge-preview", json={"party_id": known})).json()
    assert (beside["one"], beside["together"]) == (None, beside["other"])
    missing = await api.post(f"/v1/standings/{nobody[0]}/merge-preview", json={"party_id": nobody[1]})
    assert (missing.status_code, missing.json()["code"]) == (404, "no_standing")


async def test_who_would_stand_elsewhere_under_a_policy_is_listed(api: httpx.AsyncClient, three: list[str]) -> None:
    _, faded, _ = three
    draft = {"document": {"persons": {"customers": {"by": "days", "dormant_after_days": 200, "lost_after_days": 400}}}}
    told = await api.post("/v1/policies", json=draft)
    assert told.status_code == 201, told.text
    path = f"/v1/policies/{told.json()['hash']}/elsewhere"
    [found] = (await api.get(path)).json()["data"]
    assert (found["party_id"], found["stage_active"], found["stage_draft"]) == (faded, "dormant_customer", "customer")
    assert [found] == (await api.get(path, params={"stage_draft": "customer", "limit": 1})).json()["data"]
    assert (await api.get(path, params={"stage_draft": "lost_customer"})).json()["data"] == []
    assert (await api.get(path, params={"cursor": encode_cursor(UUID(hex=faded[6:]))})).json()["data"] == []
    assert (await api.get(path, headers=reaching(api, Reach.ALL))).json()["data"] == [found]
    assert (await api.get(path, headers=reaching(api, Reach.TEAM))).json()["data"] == []


async def listed(api: httpx.AsyncClient, **query: str | int) -> list[str]:
    answer = await api.get("/v1/standings", params=query)
    assert answer.status_code == 200, answer.text
    return [each["party_id"] for each in answer.json()["data"]]


async def test_standings_are_listed_by_value_and_filtered(api: httpx.AsyncClient, three: list[str]) -> None:
    top, faded, known = three

    assert await listed(api) == [top, faded, known]
    assert await listed(api, stage="dormant_customer") == [faded]
    assert await listed(api, tier="unproven") == [known]
    assert await listed(api, min_value=1, max_value=5_000) == [faded]


@pytest.mark.parametrize("computed", [{}, {"as_of": "2026-06-01"}], ids=["stored", "computed"])
async def test_standings_are_filtered_by_what_else_is_graded(
    api: httpx.AsyncClient, feed: Feeding, three: list[str], computed: dict[str, str]
) -> None:
    top, faded, known = three
    unhappy = feed.identity()
    await feed.bought(unhappy, JUNE - timedelta(days=9), 120_000)
    await feed.bought(unhappy, JUNE - timedelta(days=2), 100_000)
    for _ in range(3):
        await feed.interacted(unhappy, JUNE - timedelta(days=1), InteractionKind.COMPLAINT)
    angry = f"party_{unhappy.hex}"

    for query, found in (
        ({"vip": "true"}, {angry}),
        ({"vip": "false"}, {top, faded, known}),
        ({"treatment": "recover"}, {angry}),
        ({"flag": "returning"}, {angry}),
        ({"satisfaction": "low"}, {angry}),
        ({"loyalty": "high"}, {angry}),
        ({"loyalty": "unknown"}, {top, faded, known}),
        ({"posture": "developing"}, {top, angry}),
        ({"level": "small", "posture": "conservative"}, {faded}),
    ):
        assert set(await listed(api, **query, **computed)) == found, query


@pytest.mark.parametrize("sort", ["value", "next_change_at", "party"])
async def test_pages_of_one_give_the_whole_list_in_its_order(
    api: httpx.AsyncClient, three: list[str], sort: str
) -> None:
    found, cursor = [], None
    while True:
        page = (
            await api.get(
                "/v1/standings", params={"sort": sort, "limit": "1", **({"cursor": cursor} if cursor else {})}
            )
        ).json()
        found += [each["party_id"] for each in page["data"]]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]

    assert found == await listed(api, sort=sort)
    assert set(found) == set(three if sort != "next_change_at" else three[:2])


async def test_those_of_one_treatment_come_by_value_over_all_pages(api: httpx.AsyncClient, feed: Feeding) -> None:
    for cents in (200, 900_000, 5_000, 700, 5_000, 30_000):
        await feed.bought(feed.identity(), JUNE - timedelta(days=cents % 90), cents)
    everybody = (await api.get("/v1/standings")).json()["data"]
    served = [each["party_id"] for each in everybody if each["treatment"] == "serve"]
    found: list[str] = []
    more: dict[str, str] = {}
    while True:
        page = (await api.get("/v1/standings", params={"treatment": "serve", "limit": 2, **more})).json()
        found += [each["party_id"] for each in page["data"]]
        if not page["has_more"]:
            break
        more = {"cursor": page["next_cursor"]}

    assert found == served
    assert 2 < len(served) < len(everybody)


async def test_a_cursor_of_another_order_is_refused(api: httpx.AsyncClient, three: list[str]) -> None:
    cursor = (await api.get("/v1/standings", params={"limit": 1})).json()["next_cursor"]
    nobody = "00000000-0000-0000-0000-000000000000"
    asked = [("party", cursor), ("value", encode_cursor(10**30, nobody))]
    asked += [("next_change_at", encode_cursor("2026-01-01T00:00:00", nobody)), ("value", "x")]

    answers = [await api.get("/v1/standings", params={"sort": sort, "cursor": place}) for sort, place in asked]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(400, "bad_cursor")}


async def test_a_listed_standing_has_every_field(api: httpx.AsyncClient, three: list[str]) -> None:
    [faded] = (await api.get("/v1/standings", params={"stage": "dormant_customer"})).json()["data"]

    assert faded == {
        "party_id": three[1],
        "stage": "dormant_customer",
        "tier": "low",
        "since": "2026-04-03",
        "value_minor": 5_000,
        "spend_minor": 5_000,
        "currency": "EUR",
        "x": 0,
        "tx_days": 0,
        "T_days": 150,
        "last_sign_day": None,
        "last_contact_day": "2026-01-02",
        "loss_reason": None,
        "p": None,
        "turnover_minor": 5_000,
        "level": "small",
        "satisfaction": 50.0,
        "satisfaction_band": "unknown",
        "loyalty": 50.0,
        "loyalty_band": "unknown",
        "posture": "conservative",
        "treatment": "serve",
        "flags": ["profit_making"],
        "vip": False,
        "potential": None,
        "next_change_at": "2027-01-02T00:00:00Z",
        "next_stage_at": "2027-01-03T00:00:00Z",
        "next_stage": "lost_customer",
        "assessed_at": "2026-06-01T12:00:00Z",
        "revision": 1,
        "policy": "default-1",
        "policy_hash": DEFAULT_1.content_hash,
        "model": None,
        "last_purchase_day": "2026-01-02",
        "owner_id": None,
        "team_id": None,
    }


async def test_the_summary_counts_what_is_stored(api: httpx.AsyncClient, three: list[str]) -> None:
    summary = (await api.get("/v1/standings/summary")).json()

    assert summary == {
        "as_of": None,
        "known_at": None,
        "currency": "EUR",
        "calibration": None,
        "count": 3,
        "value_minor": 205_000,
        "data": [
            {"stage": "customer", "tier": "top", "count": 1, "value_minor": 200_000},
            {"stage": "dormant_customer", "tier": "low", "count": 1, "value_minor": 5_000},
            {"stage": "stranger", "tier": "unproven", "count": 1, "value_minor": 0},
        ],
    }


async def test_the_summary_of_a_day_knows_nothing_that_came_later(api: httpx.AsyncClient, three: list[str]) -> None:
    summary = (await api.get("/v1/standings/summary", params={"as_of": "2026-02-01"})).json()

    assert summary["data"] == [{"stage": "customer", "tier": "low", "count": 1, "value_minor": 5_000}]
    assert (summary["as_of"], summary["count"]) == ("2026-02-01", 1)


async def test_a_party_is_read_with_its_reason_and_facts(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    bought = await feed.bought(party, datetime(2026, 5, 1, tzinfo=UTC), 40_000)
    back = await feed.returned(party, datetime(2026, 5, 3, tzinfo=UTC), 5_000)
    gone = await feed.bought(party, datetime(2026, 5, 4, tzinfo=UTC), 900_000)
    await feed.withdrawn(party, gone)

    told = (await api.get(f"/v1/standings/party_{party.hex}")).json()

    assert (told["stage"], told["tier"], told["value_minor"]) == ("customer", "high", 35_000)
    assert [fact["fact_id"] for fact in told["facts"]] == [f"event_{back.hex}", f"event_{bought.hex}"]
    assert told["facts"][0] == {
        "fact_id": f"event_{back.hex}",
        "kind": "return",
        "day": "2026-05-03",
        "amount_minor": 5_000,
        "currency": "EUR",
        "loss_reason": None,
        "grade": None,
        "aside": None,
    }
    assert told["facts_total"] == 2
    reasons = told["reasons"]
    assert reasons["stage"]["rule"] == "silent_days_within_dormant_after_days"
    assert (reasons["stage"]["last_purchase_day"], reasons["stage"]["silent_days"]) == ("2026-05-01", 31)
    assert [each["day"] for each in reasons["turnover"]["days"]] == ["2026-05-01", "2026-05-03"]
    assert reasons["coming_stage"]["day"] == "2026-07-31"
    assert reasons["otherwise"][0]["without"] == ["2026-05-01"]
    assert reasons["otherwise"][1]["added_minor"] == 65_000
    assert reasons["sentence"].startswith("Last bought on 2026-05-01, 31 days ago")


async def test_the_facts_that_decide_are_told_however_many_are_later(api: httpx.AsyncClient, feed: Feeding) -> None:
    party, noon = feed.identity(), datetime(2026, 5, 1, 12, tzinfo=UTC)
    bought = await feed.bought(party, noon, 40_000)
    await feed.tell(*(said(party, noon + timedelta(hours=hour), InteractionKind.PRAISE) for hour in range(1, 121)))

    told = (await api.get(f"/v1/standings/party_{party.hex}")).json()

    assert told["reasons"]["stage"]["facts"]["days"] == ["2026-05-01"]
    assert (len(told["facts"]), told["facts_total"]) == (100, 121)
    assert told["facts"][-1]["fact_id"] == f"event_{bought.hex}"
    assert {fact["kind"] for fact in told["facts"][:-1]} == {"praised"}
    assert [fact["day"] for fact in told["facts"]] == sorted((fact["day"] for fact in told["facts"]), reverse=True)


async def test_the_latest_facts_are_told_however_many_decide(api: httpx.AsyncClient, feed: Feeding) -> None:
    party, first = feed.identity(), datetime(2026, 5, 1, 12, tzinfo=UTC)
    for minute in range(120):
        await feed.bought(party, first + timedelta(minutes=minute), 1_000)
    later = [first + timedelta(days=1, minutes=minute) for minute in range(70)]
    await feed.tell(*(said(party, at, InteractionKind.PRAISE) for at in later))

    told = (await api.get(f"/v1/standings/party_{party.hex}")).json()

    kinds = [fact["kind"] for fact in told["facts"]]
    assert (kinds.count("praised"), kinds.count("purchase"), told["facts_total"]) == (50, 50, 190)


def calls(party: UUID, days: int) -> list[InteractionRecorded]:
    """Ours, far more than are told, that decide nothing."""
    begun = JUNE - timedelta(days=days)
    return [reached(party, begun + timedelta(minutes=minute)) for minute in range(150)]


async def told_facts(api: httpx.AsyncClient, party: UUID) -> tuple[set[UUID], int]:
    """The facts that are told, and how many there are."""
    told = (await api.get(f"/v1/standings/party_{party.hex}")).json()
    days = [fact["day"] for fact in told["facts"]]
    assert (len(days), days) == (100, sorted(days, reverse=True))
    return {UUID(hex=fact["fact_id"].removeprefix("event_")) for fact in told["facts"]}, told["facts_total"]


async def test_what_makes_tier_and_bands_is_told_however_many_are_later(api: httpx.AsyncClient, feed: Feeding) -> None:
    party, first = feed.identity(), datetime(2025, 3, 1, 12, tzinfo=UTC)
    oldest = await feed.bought(party, first, 1_000)
    outside = await feed.bought(party, first + timedelta(days=1), 2_000)
    bought = [await feed.bought(party, JUNE - timedelta(days=100 - day), 20_000) for day in range(30)]
    last = await feed.bought(party, JUNE - timedelta(days=50), 1_000)
    complained = [
        await feed.interacted(party, JUNE - timedelta(days=40 - day), InteractionKind.COMPLAINT) for day in range(12)
    ]
    later = await feed.tell(*calls(party, days=15))

    told, total = await told_facts(api, party)

    assert total == 2 + 30 + 1 + 12 + 150
    assert {oldest, last} <= told
    assert outside not in told
    # Of the window the latest twenty beside the last purchase, which decides the stage.
    assert [each in told for each in bought] == [False] * 10 + [True] * 20
    assert [each in told for each in complained] == [False] * 2 + [True] * 10
    assert told >= set(later[-68:])


async def test_what_is_late_or_rated_is_told_by_the_fact_that_it_comes_from(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    party, at = feed.identity(), JUNE - timedelta(days=60)
    await feed.registered(party, at - timedelta(days=1))
    opened, asked, _, rated, plain = await feed.tell(
        ProblemOpened(subject=party, occurred_at=at, problem_id=uuid7(), category="delivery", severity=Severity.NORMAL),
        feed.interaction(party, at + timedelta(days=1), InteractionKind.CONTACT),
        feed.interaction(party, at + timedelta(days=4), InteractionKind.CONTACT),
        feed.interaction(party, at + timedelta(days=30), InteractionKind.CONTACT, Direction.OUTBOUND, attitude=5),
        feed.interaction(party, at + timedelta(days=31), InteractionKind.CONTACT, Direction.OUTBOUND),
    )
    await feed.tell(*calls(party, days=15))

    told, total = await told_facts(api, party)

    assert total == 6 + 150
    assert {opened, asked, rated} <= told
    assert plain not in told


async def test_a_party_as_of_a_day_does_not_know_what_came_later(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.bought(party, datetime(2026, 1, 1, tzinfo=UTC), 1_000)
    await feed.bought(party, datetime(2026, 3, 1, tzinfo=UTC), 500_000)

    then = (await api.get(f"/v1/standings/party_{party.hex}", params={"as_of": "2026-02-28"})).json()
    now = (await api.get(f"/v1/standings/party_{party.hex}", params={"as_of": "2026-03-01"})).json()

    assert (then["tier"], then["x"], then["T_days"], then["facts_total"]) == ("low", 0, 58, 1)
    assert then["next_stage_at"] == "2026-04-02T00:00:00Z"
    assert then["assessed_at"] == "2026-02-28T23:59:59.999999Z"
    assert (now["tier"], now["x"], now["tx_days"], now["facts_total"]) == ("top", 1, 59, 2)
    before = await api.get(f"/v1/standings/party_{party.hex}", params={"as_of": "2025-12-31"})
    assert (before.status_code, before.json()["code"]) == (404, "no_standing")


async def test_what_lies_unread_is_not_taken_for_silence(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.bought(party, JUNE - timedelta(days=80), 1_000)

    async def stage() -> Any:
        return (await api.get(f"/v1/standings/party_{party.hex}")).json()["stage"]

    assert await stage() == "customer"
    await feed.reached(JUNE + timedelta(days=10))
    assert await stage() == "customer"
    await feed.reached(JUNE + timedelta(days=11))
    assert await stage() == "dormant_customer"


async def test_an_old_id_leads_to_the_party_it_was_merged_into(api: httpx.AsyncClient, feed: Feeding) -> None:
    kept, old = sorted((feed.identity(), feed.identity()))
    await feed.bought(kept, JUNE - timedelta(days=9), 1_000)
    await feed.bought(old, JUNE - timedelta(days=5), 2_000)
    await feed.assigned({old: [(kept, None)]}, resolutions={old: kept})

    told = (await api.get(f"/v1/standings/party_{old.hex}")).json()

    assert (told["party_id"], told["x"], told["spend_minor"]) == (f"party_{kept.hex}", 1, 3_000)
    assert [fact["amount_minor"] for fact in told["facts"]] == [2_000, 1_000]


async def test_a_number_that_changed_hands_gives_each_holder_his_days(api: httpx.AsyncClient, feed: Feeding) -> None:
    number, heir = feed.identity(), feed.identity()
    await feed.bought(number, datetime(2026, 3, 1, tzinfo=UTC), 1_000)
    await feed.bought(number, datetime(2026, 4, 1, tzinfo=UTC), 2_000)
    await feed.assigned({number: [(number, None), (heir, date(2026, 4, 1))]})

    amounts = {
        party: [fact["amount_minor"] for fact in (await api.get(f"/v1/standings/party_{party.hex}")).json()["facts"]]
        for party in (number, heir)
    }

    assert amounts == {number: [1_000], heir: [2_000]}


async def test_who_was_never_heard_of_stands_nowhere(api: httpx.AsyncClient) -> None:
    answer = await api.get(f"/v1/standings/party_{'0' * 32}")

    assert (answer.status_code, answer.json()["code"]) == (404, "no_standing")
    assert (await api.get("/v1/standings/party_1")).status_code == 422
