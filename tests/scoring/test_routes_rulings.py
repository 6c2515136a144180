from typing import Any

import httpx
import pytest

from chassis.db import Database, driver
from services.scoring.domain.presets import DEFAULT_1
from services.scoring.domain.tiers import TierShares
from services.scoring.queries.policies import draft
from services.scoring.queries.rulings import new_ruling
from tests.scoring.conftest import MakeScoring
from tests.scoring.feeding import JUNE, Feeding, served


async def test_before_a_fit_the_tiers_are_those_of_the_policy(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/tiers")).json() == {
        "top_minor": 100_000,
        "high_minor": 30_000,
        "mid_minor": 10_000,
        "currency": "EUR",
        "customers": None,
        "fitted_at": None,
        "policy": "default-1",
        "ruling": 1,
    }


async def test_tiers_are_fitted_to_the_values_of_all_with_a_purchase(api: httpx.AsyncClient, feed: Feeding) -> None:
    for number in range(1, 41):
        await feed.bought(feed.identity(), JUNE, 100 * number)
    await feed.registered(feed.identity(), JUNE)

    fitted = (await api.post("/v1/tiers/fit")).json()

    assert (fitted["top_minor"], fitted["high_minor"], fitted["mid_minor"]) == (3_900, 3_300, 2_100)
    assert (fitted["customers"], fitted["currency"], fitted["ruling"]) == (40, "EUR", 2)
    assert (await api.get("/v1/tiers")).json() == fitted


async def test_tiers_take_the_shares_that_the_policy_gives_them(
    api: httpx.AsyncClient, scoring: Database, feed: Feeding
) -> None:
    narrow = DEFAULT_1.model_copy(update={"tier_shares": TierShares(top=1, high=2, mid=7)})
    async with scoring.transaction() as session:
        connection = await driver(session)
        await draft(connection, narrow, JUNE, None)
        await new_ruling(connection, "policy", JUNE, policy=narrow.content_hash)
    for number in range(1, 101):
        await feed.bought(feed.identity(), JUNE, 100 * number)

    fitted = (await api.post("/v1/tiers/fit")).json()

    assert (fitted["top_minor"], fitted["high_minor"], fitted["mid_minor"]) == (10_000, 9_800, 9_100)


async def test_without_customers_there_is_nothing_to_fit(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/tiers/fit")

    assert (answer.status_code, answer.json()["code"]) == (422, "no_customers")


RATES = [
    {"day": "2026-01-01", "currency": "USD", "rate": "0.91"},
    {"day": "2026-02-01", "currency": "USD", "rate": "0.92"},
    {"day": "2026-01-01", "currency": "CHF", "rate": "1.05"},
]


async def test_rates_that_say_nothing_new_are_not_added(api: httpx.AsyncClient) -> None:
    first = (await api.post("/v1/rates", json={"rates": RATES})).json()
    again = (await api.post("/v1/rates", json={"rates": [*RATES[:2], {**RATES[2], "rate": "1.06"}]})).json()

    assert first == {"added": 3, "reporting_currency": "EUR", "ruling": 2}
    assert again == {"added": 1, "reporting_currency": "EUR", "ruling": 3}


async def test_rates_are_listed_the_last_told_first(api: httpx.AsyncClient) -> None:
    await api.post("/v1/rates", json={"rates": RATES})

    first = (await api.get("/v1/rates", params={"limit": 2})).json()
    rest = (await api.get("/v1/rates", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    dollars = (await api.get("/v1/rates", params={"currency": "USD"})).json()

    assert [rate["rate"] for rate in first["data"] + rest["data"]] == ["1.05", "0.92", "0.91"]
    assert not rest["has_more"]
    assert [rate["day"] for rate in dollars["data"]] == ["2026-02-01", "2026-01-01"]
    assert dollars["data"][0]["reporting_currency"] == "EUR"


@pytest.mark.parametrize("rate", ["0", "-1", "1e5", "NaN", "", 1.5, "1,5"])
async def test_a_rate_is_a_positive_decimal_as_text(api: httpx.AsyncClient, rate: object) -> None:
    answer = await api.post("/v1/rates", json={"rates": [{**RATES[0], "rate": rate}]})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/rates/0/rate"


async def test_a_rate_needs_a_reporting_currency(make_scoring: MakeScoring) -> None:
    async with served(await make_scoring(currency=None)) as api:
        answer = await api.post("/v1/rates", json={"rates": RATES})

    assert (answer.status_code, answer.json()["code"]) == (409, "no_reporting_currency")


async def test_a_rebuild_is_asked_for_once(api: httpx.AsyncClient, scoring: Database) -> None:
    answer = await api.post("/v1/rebuild", json={"time_zone": "Europe/Berlin"})
    again = await api.post("/v1/rebuild")

    assert answer.status_code == 202
    asked = answer.json()
    assert answer.headers["location"] == f"/v1/rebuild/{asked['id']}"
    assert (asked["state"], asked["time_zone"], asked["reassessed"]) == ("waiting", "Europe/Berlin", False)
    assert (again.status_code, again.json()["code"]) == (409, "rebuild_under_way")
    assert again.json()["rebuild_id"] == asked["id"]
    assert (await api.get(answer.headers["location"])).json() == asked
    assert (await api.get("/v1/rebuild")).json()["data"] == [asked]


async def test_a_rebuild_keeps_the_time_zone_where_none_is_named(api: httpx.AsyncClient, scoring: Database) -> None:
    assert (await api.post("/v1/rebuild")).json()["time_zone"] == "UTC"
    async with scoring.transaction() as session:
        await (await driver(session)).execute("UPDATE rebuild SET state = 'failed', error = 'x'")

    again = await api.post("/v1/rebuild", json={})

    assert again.status_code == 202
    assert [each["state"] for each in (await api.get("/v1/rebuild")).json()["data"]] == ["waiting", "failed"]


async def test_a_rebuild_needs_a_zone_that_there_is(api: httpx.AsyncClient) -> None:
    for zone in ("Europe/Nowhere", "../etc/passwd", ""):
        answer = await api.post("/v1/rebuild", json={"time_zone": zone})
        assert answer.status_code == 422, zone
    assert (await api.get(f"/v1/rebuild/rebuild_{'0' * 32}")).json()["code"] == "rebuild_not_found"


async def test_the_reporting_currency_is_fixed_once(make_scoring: MakeScoring) -> None:
    async with served(await make_scoring(currency=None)) as api:

        async def told(**body: object) -> Any:
            answer = await api.post("/internal/reporting-currency", json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        assert await told(currency="USD", provisional=True) == {"currency": "USD", "fixed": False}
        assert await told(currency="CHF", provisional=True) == {"currency": "USD", "fixed": False}
        assert await told(currency="EUR") == {"currency": "EUR", "fixed": True}
        assert await told(currency="CHF") == {"currency": "EUR", "fixed": True}
        assert (await api.post("/internal/reporting-currency", json={"currency": "XXX"})).status_code == 422
