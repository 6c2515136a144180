"""The public tenth of CDNOW: who bought what when is known, so every figure can be checked."""

import csv
import gzip
import io
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.system.conftest import Start
from tests.system.product import Product, party_of

AS_OF = date(1997, 9, 30)
COLUMNS = {"party": "customer_id", "order_id": "order_id", "occurred_at": "ts", "amount": "amount"}
FIGURES = ("x", "tx_days", "T_days", "spend")


@pytest.fixture(scope="module")
def orders(data: Path) -> list[dict[str, str]]:
    with gzip.open(data / "cdnow_sample" / "orders.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def shop(start: Start, data: Path) -> Iterator[Product]:
    with start("up") as product:
        job = product.bring((data / "cdnow_sample" / "orders.csv.gz").read_bytes(), **COLUMNS)
        assert job["rejected"] == job["conflict"] == 0
        yield product.settle()


def recomputed(orders: list[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    days: defaultdict[str, set[date]] = defaultdict(set)
    spend: defaultdict[str, Decimal] = defaultdict(Decimal)
    for order in orders:
        day = date.fromisoformat(order["ts"])
        if day <= AS_OF:
            days[order["customer_id"]].add(day)
            spend[order["customer_id"]] += Decimal(order["amount"])
    return {
        customer: (
            str(len(bought) - 1),
            str((max(bought) - min(bought)).days),
            str((AS_OF - min(bought)).days),
            f"{spend[customer]:.2f}",
        )
        for customer, bought in days.items()
    }


def exported(shop: Product) -> dict[str, tuple[str, ...]]:
    return {line["external_id"]: tuple(line[name] for name in FIGURES) for line in shop.export(AS_OF).values()}


def test_no_row_of_2357_is_wrong(shop: Product, orders: list[dict[str, str]]) -> None:
    wanted, told = recomputed(orders), exported(shop)

    assert len(wanted) == 2357
    assert told == wanted
    assert shop.agrees()


def test_the_same_file_again_changes_nothing(shop: Product, data: Path) -> None:
    before = shop.digest(AS_OF)

    job = shop.bring((data / "cdnow_sample" / "orders.csv.gz").read_bytes(), **COLUMNS)

    assert (job["accepted"], job["same_as"] is not None) == (0, True)
    assert shop.settle().digest(AS_OF) == before


def test_returns_change_no_x_tx_or_T_and_undone_leave_no_trace(shop: Product, orders: list[dict[str, str]]) -> None:
    text = io.StringIO()
    back = [[order["customer_id"], f"r{order['order_id']}", order["order_id"], order["ts"], order["amount"]]
            for order in orders[::10]]  # fmt: skip
    csv.writer(text).writerows([["party", "order_id", "original_order_id", "occurred_at", "amount"], *back])
    before, figures = shop.digest(AS_OF), exported(shop)

    job = shop.bring(text.getvalue().encode(), "returns")
    with_returns = shop.settle().digest(AS_OF)

    assert job["accepted"] == len(back)
    assert with_returns != before
    assert exported(shop) == figures
    assert shop.agrees()
    shop.undo(job["id"])
    assert shop.settle().digest(AS_OF) == before


def test_an_import_undone_leaves_nobody_and_brought_again_everybody(shop: Product, data: Path) -> None:
    before = shop.digest(AS_OF)
    [job] = [
        job for job in shop.get("/v1/imports", limit=100)["data"] if job["kind"] == "purchases" and job["accepted"]
    ]

    shop.undo(job["id"])
    assert shop.settle().export(AS_OF) == {}
    again = shop.bring((data / "cdnow_sample" / "orders.csv.gz").read_bytes(), **COLUMNS)

    assert again["accepted"] == job["accepted"]
    assert shop.settle().digest(AS_OF) == before
    assert shop.agrees()


@contextmanager
def corrupted(shop: Product, table: str, named_by: str, change: str) -> Iterator[None]:
    """Change the rows of the first customer behind the product's back, for as long as the block lasts."""
    its = f"{named_by} = '{party_of('1')}'"
    shop.sql("scoring", f"CREATE TABLE kept AS SELECT * FROM {table} WHERE {its}")
    shop.sql("scoring", f"UPDATE {table} SET {change} WHERE {its}")
    try:
        yield
    finally:
        shop.sql("scoring", f"DELETE FROM {table} WHERE {its}")
        shop.sql("scoring", f"INSERT INTO {table} SELECT * FROM kept")
        shop.sql("scoring", "DROP TABLE kept")


@pytest.mark.parametrize(
    ("table", "named_by", "change"),
    [
        ("party", "party_id", "value_minor = value_minor + 1"),
        ("party", "party_id", "stage = 'stranger'"),
        ("party", "party_id", "since = since + 1"),
        ("calendar", "identity_id", "days = '\\x90'"),
        ("fact", "identity_id", "amount_minor = amount_minor + 1"),
    ],
)
def test_a_row_corrupted_on_purpose_is_found(shop: Product, table: str, named_by: str, change: str) -> None:
    with corrupted(shop, table, named_by, change):
        assert shop.post(f"/v1/standings/party_{party_of('1').hex}/verify")["disagreements"] > 0
    assert shop.post(f"/v1/standings/party_{party_of('1').hex}/verify")["disagreements"] == 0


def test_verification_of_all_names_the_one_that_is_wrong(shop: Product) -> None:
    with corrupted(shop, "party", "party_id", "spend_minor = spend_minor + 1"):
        verdict = shop.verify()

    assert verdict["checked"] == 2357
    assert verdict["disagreements"] == 1
    assert [found["party_id"] for found in verdict["found"]] == [f"party_{party_of('1').hex}"]
