"""A model by the command line, over the public tenth of CDNOW: the published numbers, its quality, and its effect."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Start
from tests.system.product import Product
from tests.system.test_policies import COLUMNS


@pytest.fixture(scope="module")
def shop(start: Start, data: Path) -> Iterator[Product]:
    with start("up") as product:
        with gzip.open(data / "cdnow_sample" / "orders.csv.gz", "rt", newline="") as file:
            rows = [[each[name] for name in COLUMNS.values()] for each in csv.DictReader(file)]
        text = io.StringIO()
        csv.writer(text).writerows([list(COLUMNS.values()), *rows])
        product.bring(text.getvalue().encode(), **COLUMNS)
        yield product.settle()


def test_the_command_prints_the_published_parameters(shop: Product) -> None:
    told = json.loads(shop.shuke("model", "fit", "--as-of", "1997-09-30", "--json"))

    assert [round(told[name], 3) for name in ("r", "alpha", "a", "b")] == [0.243, 4.414, 0.793, 2.426]
    assert round(told["log_likelihood"], 1) == -9582.4
    assert (told["parties"], told["repeaters"], told["activated"]) == (2_357, 946, False)
    assert told["as_of"] == "1997-09-30"


def test_quality_is_printed_for_three_days_with_falling_rates(shop: Product) -> None:
    shop.shuke("model", "fit", "--as-of", "1998-06-30")

    told, table = json.loads(shop.shuke("model", "quality", "--json")), shop.shuke("model", "quality")

    assert [period["as_of"] for period in told["periods"]] == ["1997-07-05", "1997-10-03", "1998-01-01"]
    for period in told["periods"]:
        customer, dormant, lost = (group["bought_again"] for group in period["stages"])
        assert customer > dormant > lost
        assert period["auc"] > period["auc_of_stages"] > 0.5
        assert period["as_of"] in table
    for label in ("AUC of P", "AUC of the three stages", "Brier", "top tier", "top 10 % value", "top 10 % spend"):
        assert label in table


def test_an_activated_model_decides_about_everybody_and_all_is_verified(shop: Product) -> None:
    told = json.loads(shop.shuke("model", "fit", "--as-of", "1998-06-30", "--activate", "--json"))
    assert told["activated"]
    # Said twice it is the same.
    again = json.loads(shop.shuke("model", "fit", "--as-of", "1998-06-30", "--activate", "--json"))
    assert (again["model"], again["activated"]) == (told["model"], True)
    shop.reassessed()

    assert f"{told['model']} as of 1998-06-30: active" in shop.shuke("model", "list")
    assert "active" in shop.shuke("model", "show")
    assert {row["model"] for row in shop.sql("scoring", "SELECT model FROM ruling ORDER BY id DESC LIMIT 1")} == {
        told["model"]
    }
    assert shop.agrees()
