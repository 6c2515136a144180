"""Real leads, views and campaigns: on every day asked for, everybody stands where a pencil says."""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet
import pytest

from tests.system import pencil
from tests.system.pencil import Person, Row, people
from tests.system.product import Product, party_of

DAY = date(2026, 1, 5)
"""The day that leads without a date are given."""


@pytest.fixture
def product(shared: Product) -> Product:
    return shared


def table(file: Path) -> list[dict[str, str]]:
    with gzip.open(file, "rt", newline="") as text:
        return list(csv.DictReader(text))


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue().encode()


def stands(product: Product, system: str, persons: dict[str, Person], days: Iterable[date]) -> Iterator[str]:
    """What the product says of these people on each day is what the pencil says; a line of rates for each."""
    ids = {party_of(who, system): who for who in persons}
    for day in days:
        told = {ids[id]: line["stage"] for id, line in product.export(day).items() if id in ids}
        assert told == pencil.stages(persons, day)
    yield from pencil.rates(system, persons, days)


def days_after(first: date, *silences: int) -> list[date]:
    return [first + timedelta(days=silence) for silence in silences]


def test_leads_without_dates_are_lost_or_open_from_the_day_they_are_given(
    product: Product, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data / "xeducation_leads"
    rows: list[Row] = []
    for outcome in table(folder / "outcomes.csv.gz"):
        rows += [(outcome["lead_id"], "signs", DAY)]
        rows += [(outcome["lead_id"], "lost", DAY)] if outcome["converted"] == "0" else []

    form = {"source": "xeducation", "date": DAY.isoformat()}
    leads = product.bring((folder / "leads.csv.gz").read_bytes(), "leads", form, lead_id="lead_id")
    outcomes = product.bring((folder / "outcomes.csv.gz").read_bytes(), "lead-outcomes", form)

    assert (leads["accepted"], leads["rejected"], outcomes["rejected"]) == (9240, 0, 0)
    told = [*stands(product.settle(), "xeducation", people(rows), days_after(DAY, -1, 0, 30, 31, 180, 181))]
    with capsys.disabled():
        print("", *told, sep="\n")  # noqa: T201


def test_leads_fade_from_their_own_day_and_the_lost_ones_at_once(
    product: Product, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data / "olist_leads"
    outcomes = {row["lead_id"]: row["converted"] for row in table(folder / "outcomes.csv.gz")}
    rows: list[Row] = []
    for lead in table(folder / "leads.csv.gz"):
        day = date.fromisoformat(lead["first_contact_date"])
        rows += [(lead["lead_id"], "signs", day)]
        rows += [(lead["lead_id"], "lost", day)] if outcomes[lead["lead_id"]] == "0" else []

    form = {"source": "olist"}
    columns = {"lead_id": "lead_id", "occurred_at": "first_contact_date", "source": "origin"}
    leads = product.bring((folder / "leads.csv.gz").read_bytes(), "leads", form, **columns)
    job = product.bring((folder / "outcomes.csv.gz").read_bytes(), "lead-outcomes", form)

    assert (leads["accepted"], leads["rejected"], job["rejected"]) == (8000, 0, 0)
    first, last = date(2017, 6, 14), date(2018, 5, 31)
    days = [first + timedelta(days=n) for n in range(0, (last - first).days + 200, 45)]
    told = [*stands(product.settle(), "olist", people(rows), days)]
    with capsys.disabled():
        print("", *told, sep="\n")  # noqa: T201


def test_views_make_strangers_carts_prospects_and_purchases_customers(
    product: Product, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = table(data / "rees46" / "events.csv.gz")
    lists = {"view": "known", "cart": "signs", "purchase": "bought"}
    rows = [(event["user_id"], lists[event["event_type"]], date(2019, 10, 1)) for event in events]
    seen = [
        [event["user_id"], event["event_time"].removesuffix(" UTC"), event["event_type"], "ecommerce", "web", "inbound"]
        for event in events
        if event["event_type"] != "purchase"
    ]
    bought = [
        [event["user_id"], event["event_time"].removesuffix(" UTC"), event["price"]]
        for event in events
        if event["event_type"] == "purchase"
    ]

    header = ["party", "occurred_at", "kind", "department", "channel", "direction"]
    interactions = product.bring(as_csv(header, seen), "interactions", {"source": "rees46"})
    purchases = product.bring(
        as_csv(["party", "occurred_at", "amount"], bought), "purchases", {"source": "rees46", "currency": "USD"}
    )

    assert (interactions["accepted"], purchases["accepted"]) == (len(seen), len(bought))
    days = days_after(date(2019, 10, 1), -1, 0, 30, 31, 90, 91, 180, 181, 365, 366)
    told = [*stands(product.settle(), "rees46", people(rows), days)]
    with capsys.disabled():
        print("", *told, sep="\n")  # noqa: T201


def test_a_campaign_touch_makes_nobody_more_than_known(
    product: Product, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data / "complete_journey"
    begins = {
        row["campaign_id"]: row["start_date"].date()
        for row in pyarrow.parquet.read_table(folder / "campaign_descriptions.parquet").to_pylist()
    }
    touches = [
        (str(row["household_id"]), begins[row["campaign_id"]])
        for row in pyarrow.parquet.read_table(folder / "campaigns.parquet").to_pylist()
    ]
    reached = {who for who, _ in touches}
    orders = [
        order
        for order in table(folder / "orders.csv.gz")
        if order["customer_id"] in reached and order["ts"] > "2017-09"
    ]
    rows: list[Row] = [(who, "known", day) for who, day in touches]
    rows += [(order["customer_id"], "bought", date.fromisoformat(order["ts"][:10])) for order in orders]

    header = ["party", "occurred_at", "kind", "department", "channel", "direction"]
    sent = [[who, day, "campaign", "marketing", "mail", "outbound"] for who, day in touches]
    job = product.bring(as_csv(header, sent), "interactions", {"source": "journey"})
    bought = [[order["customer_id"], order["order_id"], order["ts"], order["amount"]] for order in orders]
    product.bring(
        as_csv(["party", "order_id", "occurred_at", "amount"], bought),
        "purchases",
        {"source": "journey", "currency": "USD"},
    )

    assert job["accepted"] == len(touches)
    days = [date(2017, month, 1) for month in range(1, 13)] + [date(2018, 4, 15), date(2019, 1, 15)]
    told = [*stands(product.settle(), "journey", people(rows), days)]
    with capsys.disabled():
        print("", *told, sep="\n")  # noqa: T201


def test_verification_agrees_about_a_sample_of_all_of_them(product: Product) -> None:
    assert product.settle().agrees(sample=2_000)
