"""A policy from its draft to its activation, by the command line, over the public tenth of CDNOW."""

import csv
import gzip
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Start
from tests.system.product import Product

COLUMNS = {"party": "customer_id", "order_id": "order_id", "occurred_at": "ts", "amount": "amount"}
LAST_DAY = date(1998, 6, 30)
STRICT = {"name": "strict", "persons": {"customers": {"by": "days", "lost_after_days": 180}}}


@pytest.fixture(scope="module")
def shop(start: Start, data: Path) -> Iterator[Product]:
    with start("up") as product:
        text = io.StringIO()
        csv.writer(text).writerows([list(COLUMNS.values()), *orders(data)])
        product.bring(text.getvalue().encode(), **COLUMNS)
        yield product.settle()


def orders(data: Path) -> list[tuple[str, str, date, str]]:
    """The orders, moved in time so that the last day is yesterday and some are still customers."""
    moved = datetime.now(UTC).date() - timedelta(days=1) - LAST_DAY
    with gzip.open(data / "cdnow_sample" / "orders.csv.gz", "rt", newline="") as file:
        return [
            (each["customer_id"], each["order_id"], date.fromisoformat(each["ts"]) + moved, each["amount"])
            for each in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("policy") / "strict.json"
    file.write_text(json.dumps(STRICT))
    return file


def won_back(data: Path) -> set[tuple[str, str]]:
    """Who bought again after more than 180 days, and when."""
    days: defaultdict[str, set[date]] = defaultdict(set)
    for customer, _, day, _ in orders(data):
        days[customer].add(day)
    return {
        (customer, str(following))
        for customer, bought in days.items()
        for day, following in pairwise(sorted(bought))
        if (following - day).days > 180
    }


def lost(product: Product) -> int:
    cells = product.get("/v1/standings/summary")["data"]
    return sum(cell["count"] for cell in cells if cell["stage"] == "lost_customer")


def in_draft(result: Any, stage: str) -> int:
    return sum(each["parties"] for each in result["draft"]["stands"] if each["stage"] == stage)


def test_a_trial_tells_whom_a_plain_script_finds_and_changes_nothing(
    shop: Product, strict: Path, data: Path, tmp_path: Path
) -> None:
    before, file = shop.digest(), tmp_path / "moves.csv"

    told = json.loads(shop.shuke("policy", "trial", str(strict), "--json", "--moves", str(file)))

    with file.open(newline="") as content:
        moves = list(csv.DictReader(content))
    assert list(moves[0]) == ["party_id", "external_id", "at", "from", "to", "kind", "reason"]
    found = {(move["external_id"], move["at"][:10]) for move in moves if move["kind"] == "won_back"}
    assert found == won_back(data)
    counted = told["result"]["draft"]["moves"]["won_back"]
    assert (counted["moves"], counted["parties"]) == (len(found), len({customer for customer, _ in found}))
    assert len(moves) == sum(each["moves"] for each in told["result"]["draft"]["moves"].values())
    assert shop.digest() == before


def test_a_span_of_a_trial_is_told_as_a_table(shop: Product, strict: Path) -> None:
    since, until = (datetime.now(UTC).date() - timedelta(days=days) for days in (270, 90))

    id = shop.shuke("policy", "draft", str(strict))[:8]
    table = shop.shuke("policy", "trial", id, "--from", str(since), "--until", str(until))

    assert f"from {since} up to {until}" in table
    assert shop.shuke("digest", "--policy", id) != shop.shuke("digest")
    # A name serves as well, also that of a preset that nobody has drafted.
    assert shop.shuke("digest", "--policy", "strict") == shop.shuke("digest", "--policy", id)
    assert shop.shuke("digest", "--policy", "days-1")
    assert "would stand elsewhere" in table


def test_a_policy_is_approved_activated_and_left_again_by_the_command(shop: Product, strict: Path) -> None:
    told = json.loads(shop.shuke("policy", "trial", str(strict), "--json"))
    id = told["policy"][:8]
    assert shop.shuke("policy", "diff", id).splitlines()[0] == "It is called strict, instead of default-1."
    assert "strict: approved" in shop.shuke("policy", "approve", id)

    planned = shop.shuke("policy", "activate", id, "--from", "2999-01-01T00:00:00Z")
    activation = planned.split("(")[1].split(")")[0]
    assert activation in shop.shuke("policy", "plan")
    shop.shuke("policy", "plan", "--cancel", activation)
    assert shop.shuke("policy", "plan").strip() == "Nothing is planned."

    active, before = shop.shuke("policy", "list").splitlines()[-2].split()[0], lost(shop)
    assert "strict: active" in shop.shuke("policy", "activate", id)
    shop.kill_and_await("scoring-worker")
    shop.settle()
    shop.reassessed()
    assert lost(shop) == in_draft(told["result"], "lost_customer") != before
    assert shop.agrees()
    causes = shop.sql("scoring", "SELECT cause, count(*) FROM lived_move GROUP BY 1")
    assert {row["cause"]: row["count"] for row in causes}["policy"] == told["result"]["differ"]["parties"]

    assert "default-1: active" in shop.shuke("policy", "activate", active)
    shop.reassessed()
    assert lost(shop) == before
