from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.clock import now
from chassis.db import Database
from contracts.leads import Grade, LeadGraded
from contracts.scoring import Stage, Tier
from services.scoring.models.standings import Order
from tests.scoring.feeding import Feeding
from tests.scoring.test_routes_followups import outer, pages


@pytest.fixture
def today() -> datetime:
    return now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
async def known(scoring: Database, today: datetime) -> list[str]:
    """Who was seen 3, 20, 100 and 150 days ago: a customer, a prospect, two dormant ones."""
    feed = Feeding(scoring, today)
    customer, prospect, dormant, silent = (feed.identity() for _ in range(4))
    await feed.bought(customer, today - timedelta(days=3), 1_000)
    await feed.inquired(prospect, today - timedelta(days=20))
    await feed.bought(dormant, today - timedelta(days=100), 9_000)
    await feed.bought(silent, today - timedelta(days=150), 5_000)
    return [outer(party) for party in (customer, prospect, dormant, silent)]


async def listed(api: httpx.AsyncClient, **query: str | int | list[str]) -> list[object]:
    return [row["party_id"] for row in await pages(api, "/v1/standings", **query)]


async def test_lists_go_by_the_last_purchase_or_sign_of_interest_either_way(
    api: httpx.AsyncClient, known: list[str]
) -> None:
    assert await listed(api, sort="last_seen") == known
    assert await listed(api, sort="silent") == known[::-1]
    assert await listed(api, sort="silent", stage="dormant_customer") == known[:1:-1]


async def test_lists_are_bounded_by_when_somebody_was_seen_came_to_a_stage_or_will_change(
    api: httpx.AsyncClient, known: list[str], today: datetime
) -> None:
    def ago(days: int) -> str:
        return str((today - timedelta(days=days)).date())

    assert await listed(api, sort="last_seen", seen_since=ago(20)) == known[:2]
    assert await listed(api, sort="last_seen", seen_until=ago(100)) == known[2:]
    assert await listed(api, sort="last_seen", in_stage_since=ago(20)) == [known[0], known[1], known[2]]
    assert await listed(api, sort="last_seen", in_stage_until=ago(21)) == known[3:]
    falls = await listed(api, sort="last_seen", changes_within_days=11)
    assert known[1] in falls
    assert known[3] not in falls
    assert await listed(api, as_of=ago(0), sort="party", seen_until=ago(100)) == sorted(known[2:])


async def test_lists_are_of_several_stages_or_of_some_parties(
    api: httpx.AsyncClient, known: list[str], today: datetime
) -> None:
    customer, prospect, dormant, silent = known
    several = {"stage": ["customer", "dormant_customer"]}
    assert await listed(api, **several) == [dormant, silent, customer]
    assert await listed(api, stage=["customer", "dormant_customer", "customer"]) == [dormant, silent, customer]
    assert await listed(api, ids=[prospect, silent]) == [silent, prospect]
    assert await listed(api, ids=[prospect, silent], **several) == [silent]
    day = str(today.date())
    assert await listed(api, as_of=day, ids=[prospect, silent]) == sorted([silent, prospect])
    assert await listed(api, as_of=day, **several) == sorted([customer, dormant, silent])
    assert (await api.get("/v1/standings", params={"ids": [customer] * 201})).status_code == 422


async def test_who_never_bought_is_listed_by_potential(
    api: httpx.AsyncClient, scoring: Database, known: list[str], today: datetime
) -> None:
    feed, prospect = Feeding(scoring, today), UUID(hex=known[1].removeprefix("party_"))
    about = {"subject": prospect, "lead_id": prospect, "points": 1, "rubric": "0" * 64}
    await feed.tell(LeadGraded(grade=Grade.B, occurred_at=today - timedelta(days=9), **about))

    assert await listed(api, potential="B") == await listed(api, potential="B", sort="tier") == [known[1]]
    assert await listed(api, potential="A") == []
    assert await listed(api, potential="B", as_of=str((today - timedelta(days=9)).date())) == [known[1]]
    assert await listed(api, potential="B", as_of=str((today - timedelta(days=10)).date())) == []
    shown = (await api.get(f"/v1/standings/{known[1]}")).json()
    assert shown["potential"] == shown["reasons"]["potential"]["potential"] == "B"
    assert [(each["kind"], each["grade"]) for each in shown["facts"]] == [("lead_graded", "B"), ("inquired", None)]


async def test_without_a_model_nobody_has_a_chance_to_be_listed_by(api: httpx.AsyncClient, known: list[str]) -> None:
    assert await listed(api, min_p="0.0") == []


async def test_lists_are_of_those_who_fall_within_so_many_days(api: httpx.AsyncClient, known: list[str]) -> None:
    assert await listed(api, falls_within_days=11) == [known[1]]
    assert set(await listed(api, falls_within_days=88)) == {known[0], known[1]}


async def test_days_ahead_are_counted_from_the_day_that_is_asked_for(
    api: httpx.AsyncClient, known: list[str], today: datetime
) -> None:
    # It fell nine days ago.
    for ago in (20, 12):
        then = str((today - timedelta(days=ago)).date())
        assert await listed(api, as_of=then, ids=[known[2]], falls_within_days=ago - 10) == []
        assert await listed(api, as_of=then, ids=[known[2]], falls_within_days=ago - 9) == [known[2]]
        assert await listed(api, as_of=then, ids=[known[2]], changes_within_days=ago - 9) == [known[2]]


async def test_value_over_time_ends_today_and_is_the_value_of_each_day(
    api: httpx.AsyncClient, known: list[str], today: datetime
) -> None:
    told = (await api.get(f"/v1/standings/{known[2]}/values", params={"points": 5})).json()

    assert [point["day"] for point in told["data"]] == [
        str((today - timedelta(days=days)).date()) for days in (100, 75, 50, 25, 0)
    ]
    assert {point["value_minor"] for point in told["data"]} == {9_000}
    assert [point["stage"] for point in told["data"]] == ["customer"] * 4 + ["dormant_customer"]
    assert (await api.get(f"/v1/standings/party_{0:032x}/values")).status_code == 404


async def test_who_was_called_by_us_is_listed_as_touched_and_as_silent_as_before(
    api: httpx.AsyncClient, scoring: Database, today: datetime
) -> None:
    feed = Feeding(scoring, today)
    called, bought, stranger = (feed.identity() for _ in range(3))
    await feed.bought(called, today - timedelta(days=90), 1_000)
    await feed.called(called, today - timedelta(days=1))
    await feed.bought(bought, today - timedelta(days=40), 1_000)
    await feed.registered(stranger, today)

    def ago(days: int) -> str:
        return str((today - timedelta(days=days)).date())

    touched = [outer(called), outer(bought)]
    assert await listed(api, sort="last_contact") == touched
    assert await listed(api, sort="untouched") == await listed(api, sort="last_seen") == touched[::-1]
    for more in ({}, {"as_of": ago(0), "sort": "party"}, {"known_at": (today - timedelta(0)).isoformat()}):
        if "known_at" in more:
            await feed.reached(today)
        assert await listed(api, contact_until=ago(30), **more) == touched[1:]
        assert await listed(api, contact_since=ago(1), **more) == touched[:1]
        assert await listed(api, seen_until=ago(60), **more) == touched[:1]
    assert await listed(api, as_of=ago(2), contact_until=ago(90)) == touched[:1]


Row = Mapping[str, Any]
PLAINLY: Mapping[Order, Callable[[Row], Any]] = {
    Order.VALUE: lambda row: row["value_minor"],
    Order.LOWEST_VALUE: lambda row: row["value_minor"],
    Order.TIER: lambda row: (-[*Tier].index(row["tier"]), row["value_minor"]),
    Order.LOWEST_TIER: lambda row: ([*Tier].index(row["tier"]), row["value_minor"]),
    Order.STAGE: lambda row: (-[*Stage].index(row["stage"]), row["value_minor"]),
    Order.LAST_STAGE: lambda row: ([*Stage].index(row["stage"]), row["value_minor"]),
    Order.NEXT_CHANGE_AT: lambda row: row["next_change_at"],
    Order.LAST_SEEN: lambda row: seen(row),
    Order.SILENT: lambda row: seen(row),
    Order.LAST_CONTACT: lambda row: row["last_contact_day"],
    Order.UNTOUCHED: lambda row: row["last_contact_day"],
    Order.PARTY: lambda row: row["party_id"],
}
"""By what each order goes."""
RISING = frozenset({Order.LOWEST_VALUE, Order.NEXT_CHANGE_AT, Order.SILENT, Order.UNTOUCHED, Order.PARTY})


def seen(row: Row) -> str | None:
    return max((day for day in (row["last_purchase_day"], row["last_sign_day"]) if day), default=None)


def filtered(row: Row, asked: Mapping[str, Any]) -> bool:
    """Whether a row is of those that are asked for, plainly."""
    contact, signed = row["last_contact_day"] or "", seen(row) or ""
    owned = bool(row["owner_id"] or row["team_id"])
    return all({
        "tier": row["tier"] == asked.get("tier"),
        "stage": row["stage"] in asked.get("stage", ()),
        "owned": str(owned).lower() == asked.get("owned"),
        "contact_since": contact >= asked.get("contact_since", ""),
        "contact_until": bool(contact) and contact <= asked.get("contact_until", ""),
        "seen_until": bool(signed) and signed <= asked.get("seen_until", ""),
        "min_value": row["value_minor"] >= asked.get("min_value", 0),
    }[name] for name in asked)  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_of_any_filters_is_that_of_a_plain_sort(
    api: httpx.AsyncClient, scoring: Database, today: datetime, seed: int
) -> None:
    random, feed = Random(seed), Feeding(scoring, today)
    for _ in range(30):
        party = feed.identity()
        await feed.registered(party, today - timedelta(days=400))
        for _ in range(random.randrange(4)):
            then = today - timedelta(days=random.choice([1, 20, 60, 200, 390]))
            if random.random() < 0.5:
                await feed.bought(party, then, random.choice([500, 500, 20_000, 200_000]))
            else:
                await random.choice([feed.called, feed.inquired, feed.declined])(party, then)
        owner, team = (random.choice([None, None, feed.identity()]) for _ in range(2))
        await feed.owned(party, 1, owner, team)
    everybody = await pages(api, "/v1/standings", sort="party")
    assert len(everybody) == 30

    for order in Order:
        asked = {
            name: value
            for name, value in {
                "tier": random.choice([*Tier]).value,
                "stage": [stage.value for stage in random.sample([*Stage], 4)],
                "owned": random.choice(["true", "false"]),
                "contact_since": str((today - timedelta(days=200)).date()),
                "contact_until": str((today - timedelta(days=20)).date()),
                "seen_until": str((today - timedelta(days=60)).date()),
                "min_value": 600,
            }.items()
            if random.random() < 0.25
        }
        by = PLAINLY[order]
        # A rank is told by one number less than it has: of two the later comes first, and value falls in either case.
        expected = [row for row in everybody if by(row) is not None and filtered(row, asked)]
        expected.sort(key=lambda row: (by(row), row["party_id"]), reverse=order not in RISING)
        assert await listed(api, sort=order.value, **asked) == [row["party_id"] for row in expected], (order, asked)
