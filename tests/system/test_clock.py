"""Time alone: the clock of a product is set ahead, and the days come to which its standings were computed."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from gateway.console.api import SESSION
from tests.system.conftest import Start
from tests.system.product import Product, party_of

STARTS_S = 45
"""Before the midnight that the test waits for."""
SET_BY_HAND = "Tier is set by hand; the facts say"
NOTHING_IS_READ = "LOCK TABLE consumer_offset IN EXCLUSIVE MODE"
"""Consumers wait, all else goes on."""


def turns(moves: list[dict[str, Any]]) -> list[tuple[str, date, str]]:
    """The moves from stage to stage: to where, on which day, why."""
    in_order = sorted(moves, key=lambda move: (move["day"], move["revision"] or 0))
    return [
        (move["to_stage"], date.fromisoformat(move["day"]), move["cause"])
        for move in in_order
        if move["from_stage"] != move["to_stage"]
    ]


def test_stages_change_by_time_alone_on_the_computed_day_and_never_before_all_is_read(start: Start) -> None:
    today = datetime.now(UTC).date() + timedelta(days=1)
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(days=1)
    ahead = midnight - timedelta(seconds=STARTS_S) - datetime.now(UTC)

    def bought(days_ago: int) -> tuple[date, str]:
        day = today - timedelta(days=days_ago)
        return day, f"{day}T12:00:00Z"

    with start("up", ahead_s=ahead.total_seconds()) as product:
        for customer, days_ago in (("turns dormant", 90), ("turns lost", 365), ("buys unread", 90), ("stays", 89)):
            product.buy(customer, bought(days_ago)[1], 5_000, id=customer)
        for customer, days_ago in (("asked a month ago", 30), ("asked half a year ago", 180)):
            product.ask(customer, bought(days_ago)[1])
        product.settle()
        with product.held("scoring", NOTHING_IS_READ):
            product.buy("buys unread", (midnight - timedelta(minutes=5)).isoformat(), 5_000)
            left = midnight - (datetime.now(UTC) + ahead)
            assert left > timedelta(0), "the product took too long to start"
            time.sleep(left.total_seconds() + 3)
            for customer in ("turns dormant", "buys unread", "turns lost"):
                assert lived(product, customer)[-1][1] < midnight.date()
        wait_until_lived(product, "turns dormant", "dormant_customer")
        wait_until_lived(product, "turns lost", "lost_customer")
        wait_until_lived(product, "asked a month ago", "dormant_prospect")
        wait_until_lived(product, "asked half a year ago", "lost_prospect")
        for customer in ("asked a month ago", "asked half a year ago"):
            assert lived(product, customer)[-1][1:] == (midnight.date(), "clock")
        assert [
            row["party_id"] for row in product.get("/v1/losses", reason="unknown", stage="lost_prospect")["data"]
        ] == [f"party_{party_of('asked half a year ago').hex}"]
        assert lived(product, "turns dormant")[1:] == [("dormant_customer", midnight.date(), "clock")]
        assert [stage for stage, _, _ in lived(product, "buys unread")] == ["customer"]
        assert [stage for stage, _, _ in lived(product, "stays")] == ["customer"]
        assert product.agrees()

        party = f"party_{party_of('stays').hex}"
        until = (midnight + timedelta(days=1)).date().isoformat()
        for field, value in (("tier", "top"), ("turnover_minor", "7")):
            wanted = {"field": field, "value": value, "why": "A key account this week.", "until": until}
            product.post(f"/v1/standings/{party}/overrides", json=wanted)
        assert product.get(f"/v1/standings/{party}")["turnover_minor"] == 7
        assert SET_BY_HAND in shown(product, party)
        product.down()
        product.up(ahead_s=(ahead + timedelta(days=400)).total_seconds())
        for customer in ("turns dormant", "turns lost", "buys unread", "stays"):
            wait_until_lived(product, customer, "lost_customer")
        wait_until_lived(product, "asked a month ago", "lost_prospect")
        stands = product.get(f"/v1/standings/{party}")
        assert (stands["tier"] != "top", stands["turnover_minor"], stands["derived"]) == (True, 0, {})
        listed = {each["party_id"]: each["turnover_minor"] for each in product.get("/v1/standings")["data"]}
        assert listed[party] == 0
        assert SET_BY_HAND not in shown(product, party)
        days = {"turns dormant": 90, "buys unread": 0, "stays": 89}
        for customer, ago in days.items():
            last = today - timedelta(days=ago)
            by_clock = [turn for turn in lived(product, customer) if turn[2] == "clock"]
            assert by_clock == [
                ("dormant_customer", last + timedelta(days=91), "clock"),
                ("lost_customer", last + timedelta(days=366), "clock"),
            ]
            assert [turn for turn in turns(product.moves(party_of(customer))) if turn[2] == "clock"][-2:] == by_clock
        assert product.agrees()


def shown(product: Product, party: str) -> str:
    """The page of a party, as an administrator reads it."""
    token = product.client.headers["Authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=product.running.url, cookies={SESSION: token}, trust_env=False) as browser:
        page = browser.get(f"/parties/{party}", headers={"Accept-Language": "en"})
    assert page.status_code == 200, page.text
    return page.text


def lived(product: Product, customer: str) -> list[tuple[str, date, str]]:
    return turns(product.moves(party_of(customer), lived=True))


def wait_until_lived(product: Product, customer: str, stage: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while lived(product, customer)[-1][0] != stage:
        assert time.monotonic() < until, lived(product, customer)
        time.sleep(0.2)
