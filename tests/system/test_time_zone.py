"""What happens at the edges of days, in a zone that sets its clocks at midnight, and then in another zone."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from bench.product import CURRENCY
from services.scoring.domain.facts import Fact
from services.scoring.domain.presets import DEFAULT_1
from tests.system.conftest import Start
from tests.system.oracle import expected
from tests.system.product import Product, identifier, party_of
from tests.system.story import Tell
from tests.system.test_any_order import in_list, other, shown

SANTIAGO, TOKYO = ZoneInfo("America/Santiago"), ZoneInfo("Asia/Tokyo")
SHORT, LONG = date(2024, 9, 8), date(2024, 4, 6)
"""A day in Santiago without its first hour, and one with its last hour twice."""
RATES = [(date(2024, 1, 1), "EUR", Decimal("1.10")), (date(2024, 4, 1), "JPY", Decimal("0.0066"))]
CORRECTED = [(date(2024, 1, 1), "EUR", Decimal("1.12")), (date(2024, 1, 1), "CHF", Decimal("1.1803"))]
DAYS = (
    date(2024, 2, 29), LONG, date(2024, 4, 7), date(2024, 9, 7), SHORT, date(2025, 2, 27), date(2025, 2, 28),
    date(2025, 3, 1),
)  # fmt: skip
FACTS = 100_000


def told(now: datetime) -> list[Tell]:
    """Purchases and more where a wrong day, order, or rate would show."""
    steps: list[Tell] = []

    def tell(customer: str, at: datetime | str, amount_minor: int = 10_000, **more: Any) -> None:
        instant = datetime.fromisoformat(at) if isinstance(at, str) else at
        name = f"{customer}/{len(steps)}"
        steps.append(Tell(name, customer=customer, at=instant, amount_minor=amount_minor, **more))

    tell("late", now - timedelta(days=1))
    tell("late", now - timedelta(days=400))
    tell("late", now - timedelta(days=200), 2_500)
    tell("long ago", "1972-01-01T00:30:00+00:00")
    tell("long ago", "2024-05-05T12:00:00+00:00")
    tell("tomorrow", now - timedelta(days=89))
    tell("tomorrow", now + timedelta(hours=23))
    at = "2024-06-01T15:00:00+00:00"
    tell("at once", at, kind="interactions", about=("declined", "inbound"), reason="price")
    tell("at once", at)
    tell("at once", at, 20_000)
    tell("at once", at, 30_001, kind="returns")
    tell("asked and declined", at, kind="interactions")
    tell("asked and declined", at, kind="interactions", about=("declined", "inbound"), reason="timing")
    for hour in ("02:59:59.999999", "03:00:00", "03:59:59.999999", "04:00:00"):
        tell("twice that hour", f"2024-04-07T{hour}+00:00")
        tell("without that hour", f"2024-09-08T{hour}+00:00")
        tell("one of them", "2024-04-07T03:30:00+00:00")
    tell("leaps", "2024-02-29T12:00:00+00:00")
    tell("leaps", "2024-03-01T02:59:00+00:00")
    tell("leaps once", "2024-02-29T23:30:00+00:00", 50_000)
    for day in ("2023-12-31", "2024-03-31", "2024-04-01", "2025-01-01"):
        for currency in ("EUR", "JPY", "CHF", CURRENCY):
            tell("of the world", f"{day}T12:00:00+00:00", 12_345, currency=currency)
        tell("of the world", f"{day}T13:00:00+00:00", 999, currency="EUR", kind="returns")
    tell("once", "2024-07-07T07:07:07+00:00", 777)
    return steps


def in_order(product: Product, steps: Iterable[Tell], kinds: Sequence[str], again: str) -> list[tuple[str, str]]:
    """Tell them kind by kind; the kinds and ids that they were given."""
    ids, steps = [], list(steps)
    for kind in kinds:
        rows = [step.row() | {"source_id": f"{step.name}{again}"} for step in steps if step.kind == kind]
        outcome = product.bulk(kind, rows)
        assert (outcome["rejected"], outcome["conflict"]) == (0, 0)
        ids += [(kind, row[f"{kind[:-1]}_id"]) for row in outcome["data"]]
    return ids


def stand_right(
    product: Product, facts: Sequence[Fact], rates: Sequence[tuple[date, str, Decimal]], zone: ZoneInfo
) -> bool:
    """Whether everybody stands as the oracle says: after each of some days, and now."""
    parties = {fact.identity_id for fact in facts}
    for day in DAYS:
        end = datetime(day.year, day.month, day.day, 23, 59, tzinfo=zone)
        then = [fact for fact in facts if fact.occurred_at.astimezone(zone).date() <= day]
        wanted = _expected(then, end, rates, zone)
        told = {party: standing for party, standing in product.standings(day).items() if party in parties}
        assert told.keys() == wanted.keys(), day
        for party, standing in wanted.items():
            assert other(told[party], in_list(shown(standing, day))) == {}, (party, day)
    now = datetime.now(UTC)
    for party, standing in _expected(facts, now, rates, zone).items():
        read = product.get(f"/v1/standings/party_{party.hex}")
        assert other(read, shown(standing, now.astimezone(zone).date())) == {}, party
    return product.agrees()


def _expected(
    facts: Iterable[Fact], at: datetime, rates: Sequence[tuple[date, str, Decimal]], zone: ZoneInfo
) -> dict[UUID, Any]:
    cuts = DEFAULT_1.cuts
    return dict(expected(facts, (), {}, at, DEFAULT_1, cuts, currency=CURRENCY, rates=rates, zone=zone))


def say(product: Product, rates: Sequence[tuple[date, str, Decimal]]) -> None:
    rows = [{"day": day.isoformat(), "currency": currency, "rate": str(rate)} for day, currency, rate in rates]
    product.post("/v1/rates", json={"rates": rows})


@pytest.fixture(scope="module")
def product(start: Start) -> Iterator[Product]:
    with start("up", "--time-zone", SANTIAGO.key) as product:
        yield product


@pytest.fixture(scope="module")
def steps(product: Product) -> list[Tell]:
    return told(datetime.now(UTC))


def test_every_day_is_the_right_one_in_whatever_order_it_is_told(product: Product, steps: list[Tell]) -> None:
    facts = [step.fact() for step in steps]
    ids = in_order(product, steps, ("purchases", "interactions", "returns"), "")
    say(product, RATES)
    assert stand_right(product.settle(), facts, RATES, SANTIAGO)
    say(product, CORRECTED)
    assert stand_right(product.settle(), facts, [*RATES, *CORRECTED], SANTIAGO)
    digests = [product.digest(day) for day in (None, *DAYS)]

    for kind, id in ids:
        product.post(f"/v1/{kind}/{id}/withdraw", json={})
    assert product.settle().export() == {}
    in_order(product, reversed(steps), ("returns", "interactions", "purchases"), " again")

    assert [product.settle().digest(day) for day in (None, *DAYS)] == digests


def test_what_is_to_happen_in_more_than_a_day_is_refused(product: Product) -> None:
    at = datetime.now(UTC) + timedelta(hours=25)
    bought = {"occurred_at": at.isoformat(), "currency": CURRENCY, "amount_minor": 1, "identifier": identifier("never")}

    refused = product.client.post("/v1/purchases", json=bought)

    assert (refused.status_code, refused.json()["code"]) == (422, "future_date")
    assert party_of("never") not in product.settle().export()


def test_who_has_100_000_facts_is_no_other_than_who_has_one(product: Product, steps: list[Tell]) -> None:
    first = datetime(2015, 1, 1, tzinfo=UTC)
    many = [
        Tell(f"many/{number}", customer="many", at=first + number * timedelta(minutes=57), amount_minor=number % 4_999)
        for number in range(FACTS)
    ]
    lines = (f"many,{each.name},{each.at.isoformat()},{each.amount_minor / 100:.2f}" for each in many)
    content = "\n".join(("party,order_id,occurred_at,amount", *lines)).encode()
    columns = {name: name for name in ("party", "order_id", "occurred_at", "amount")}

    began = time.monotonic()
    assert product.bring(content, **columns)["accepted"] == FACTS
    product.settle()
    assert time.monotonic() - began < 180
    for customer in ("many", "once"):
        one = Tell(f"{customer}/one more", customer=customer, at=first, amount_minor=1)
        in_order(product, [one], ["purchases"], "")
        product.settle(30)
        facts = [step.fact() for step in (*many, *steps, one) if step.customer == customer]
        now = datetime.now(UTC)
        fields = shown(_expected(facts, now, (), SANTIAGO)[party_of(customer)], now.astimezone(SANTIAGO).date())
        read = product.get(f"/v1/standings/party_{party_of(customer).hex}")
        assert other(read, fields) == {}
    assert product.agrees()


def test_a_rebuild_moves_the_days_and_every_start_after_it_goes_on_in_the_new_zone(
    product: Product, steps: list[Tell]
) -> None:
    product.buy("somebody", "2025-01-01T20:00:00Z", 1_000)
    product.settle()

    said = product.shuke("rebuild", "--time-zone", TOKYO.key)
    product.kill_and_await("scoring-worker")
    product.buy("somebody", "2025-01-02T10:00:00Z", 200)
    product.settle()

    assert TOKYO.key in said
    assert product.export()[party_of("somebody")]["x"] == "0"
    facts = [step.fact() for step in steps if step.customer != "once"]
    assert stand_right(product, facts, [*RATES, *CORRECTED], TOKYO)
    digest = product.digest()
    product.down()
    product.command = ("up",)
    product.up()
    assert product.get("/v1/status")["time_zone"] == TOKYO.key
    assert product.digest() == digest
    assert product.agrees()
