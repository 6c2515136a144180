"""Public data, above all the tenth of CDNOW: who bought what when is known, so every figure can be checked."""

import csv
import gzip
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.scoring.domain.presets import DEFAULT_1
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


SHARES = ("bought_again", "auc", "auc_of_stages", "brier", "top_tier_share", "top_share_by_value", "top_share_by_spend")


def judged(shop: Product, as_of: date, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the command says of a model as of a day, and of how good it would have been."""
    fitted = json.loads(shop.shuke("model", "fit", "--as-of", as_of.isoformat(), "--json"))
    told = shop.shuke("model", "quality", fitted["model"])
    quality = json.loads(shop.shuke("model", "quality", fitted["model"], "--json"))
    with capsys.disabled():
        print("", told, sep="\n")  # noqa: T201
    assert quality == fitted["quality"]
    for period in quality["periods"]:
        assert period["as_of"] in told
        assert all(0 < period[name] < 1 for name in SHARES)
        assert period["auc"] > period["auc_of_stages"] > 0.5
        assert period["top_tier_share"] > 0.05
    return fitted, quality


def falls(period: Mapping[str, Any]) -> bool:
    """Whether fewer bought again of each stage than of the one before."""
    assert [group["stage"] for group in period["stages"]] == ["customer", "dormant_customer", "lost_customer"]
    rates = [group["bought_again"] for group in period["stages"]]
    return all(before > after for before, after in pairwise(rates))


def test_fewer_bought_again_the_colder_they_stood(shop: Product, capsys: pytest.CaptureFixture[str]) -> None:
    _, quality = judged(shop, date(1998, 6, 30), capsys)

    assert len(quality["periods"]) == 3
    assert all(map(falls, quality["periods"]))


def test_so_it_is_of_those_who_buy_every_week(shop: Product, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Complete Journey: within half a year 97 of 100 buy again, so what is asked is the month to come."""
    for job in shop.get("/v1/imports", limit=100)["data"]:
        if job["state"] == "done":
            shop.undo(job["id"])
    job = shop.bring((data / "complete_journey" / "orders.csv.gz").read_bytes(), **COLUMNS)
    shop.have_decide(DEFAULT_1.model_copy(update={"name": "monthly", "horizon_days": 30}))

    fitted, quality = judged(shop.settle(), date(2017, 12, 31), capsys)

    assert (job["rejected"], job["conflict"]) == (0, 0)
    assert fitted["parties"] == 2_469
    assert len(quality["periods"]) == 3
    assert all(map(falls, quality["periods"]))
