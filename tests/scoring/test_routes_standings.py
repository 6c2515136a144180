from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.scoring.feeding import Feeding

JUNE = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
async def three(feed: Feeding) -> list[str]:
    """Three parties: two thousand euro in May, fifty euro long ago, known only."""
    top, faded, known = (feed.identity() for _ in range(3))
    await feed.bought(top, JUNE - timedelta(days=20), 200_000)
    await feed.bought(faded, JUNE - timedelta(days=150), 5_000)
    await feed.registered(known, JUNE - timedelta(days=3))
    return [f"party_{identity.hex}" for identity in (top, faded, known)]


async def listed(api: httpx.AsyncClient, **query: object) -> list[str]:
    answer = await api.get("/v1/standings", params=query)
    assert answer.status_code == 200, answer.text
    return [each["party_id"] for each in answer.json()["data"]]


async def test_standings_are_listed_by_value_and_filtered(api: httpx.AsyncClient, three: list[str]) -> None:
    top, faded, known = three

    assert await listed(api) == [top, faded, known]
    assert await listed(api, stage="dormant_customer") == [faded]
    assert await listed(api, tier="unproven") == [known]
    assert await listed(api, min_value=1, max_value=5_000) == [faded]


@pytest.mark.parametrize("sort", ["value", "next_change_at", "party"])
async def test_pages_of_one_give_the_whole_list_in_its_order(
    api: httpx.AsyncClient, three: list[str], sort: str
) -> None:
    found, cursor = [], None
    while True:
        page = (
            await api.get("/v1/standings", params={"sort": sort, "limit": 1} | ({"cursor": cursor} if cursor else {}))
        ).json()
        found += [each["party_id"] for each in page["data"]]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]

    assert found == await listed(api, sort=sort)
    assert set(found) == set(three if sort != "next_change_at" else three[:2])


async def test_a_cursor_of_another_order_is_refused(api: httpx.AsyncClient, three: list[str]) -> None:
    cursor = (await api.get("/v1/standings", params={"limit": 1})).json()["next_cursor"]

    answer = await api.get("/v1/standings", params={"sort": "party", "cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


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
        "next_change_at": "2027-01-03T00:00:00Z",
        "assessed_at": "2026-06-01T12:00:00Z",
        "revision": 1,
        "policy": "days-1",
        "model": None,
    }
