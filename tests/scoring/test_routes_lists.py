from datetime import UTC, datetime, timedelta

import httpx
import pytest

from chassis.clock import now
from chassis.db import Database
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


async def test_without_a_model_nobody_has_a_chance_to_be_listed_by(api: httpx.AsyncClient, known: list[str]) -> None:
    assert await listed(api, min_p="0.0") == []


async def test_lists_are_of_those_who_fall_within_so_many_days(api: httpx.AsyncClient, known: list[str]) -> None:
    assert await listed(api, falls_within_days=11) == [known[1]]
    assert set(await listed(api, falls_within_days=88)) == {known[0], known[1]}


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
