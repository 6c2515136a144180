from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli import rates
from deploy.cli.imports import app, listed, opened, pairs, summary, told_apart

JOB: dict[str, Any] = {
    "id": "import_1",
    "kind": "purchases",
    "source": "shop",
    "file_name": "orders.csv",
    "state": "done",
    "rows": 12_003,
    "withdrawn": 0,
    "accepted": 12_000,
    "duplicate": 0,
    "conflict": 1,
    "rejected": 2,
    "rows_per_s": 9_876.5,
    "dry_run": False,
    "same_as": None,
}


def test_a_mapping_is_said_in_pairs() -> None:
    assert pairs("--map", "FIELD=COLUMN", ["party=Customer No.", "channel=", "amount=a=b"]) == {
        "party": "Customer No.",
        "channel": "",
        "amount": "a=b",
    }


@pytest.mark.parametrize(("option", "form"), [("--map", "FIELD=COLUMN"), ("--set", "FIELD=VALUE")])
def test_what_is_no_pair_is_misuse(option: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        pairs(option, form, ["party"])
    assert ended.value.exit_code == 2
    assert f"{option} takes {form}" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(typer.Exit) as ended, opened(str(tmp_path / "none.csv")):
        pass
    assert ended.value.exit_code == 2


def test_the_end_is_told_in_one_line() -> None:
    assert summary(JOB) == "import_1: 12,000 accepted, 0 duplicate, 1 conflict, 2 rejected at 9,876 rows/s."
    assert "nothing is recorded" in summary(JOB | {"dry_run": True})
    assert "the file of import_0" in summary(JOB | {"accepted": 0, "same_as": "import_0"})


def test_rows_to_be_looked_at_are_told_apart() -> None:
    assert told_apart(2, 0) == "2 rows were not taken"
    assert told_apart(0, 1) == "1 were taken and are to be looked at"
    assert told_apart(1_002, 3) == "1,002 rows were not taken, 3 were taken and are to be looked at"


@pytest.mark.parametrize("kind", ["purchases", "returns", "parties", "interactions"])
def test_every_kind_of_file_has_a_command_with_the_same_options(kind: str) -> None:
    told = CliRunner().invoke(app, [kind, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert told.exit_code == 0
    what = {"parties": "contacts", "interactions": "what passed with parties"}
    assert f"Import {what.get(kind, kind)}" in told.output
    assert all(
        option in told.output for option in ("--map", "--set", "--source", "--date", "--dates", "--dry-run", "--wait")
    )


def test_the_id_of_a_listed_import_stands_alone_on_the_first_line_with_its_state() -> None:
    head, counts = listed(JOB).splitlines()
    assert head.split() == ["import_1", "done"]
    assert "orders.csv: 12,003 rows, 12,000 accepted" in counts
    assert listed(JOB | {"dry_run": True}).startswith("import_1 dry run\n")


def rate_file(folder: Path, content: str) -> Path:
    path = folder / "rates.csv"
    path.write_text(content)
    return path


def test_rates_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = rate_file(tmp_path, "currency,day,rate\nUSD,2024-01-01,0.905797101449275\n")
    assert rates.read(path) == [{"day": "2024-01-01", "currency": "USD", "rate": "0.905797101449275"}]


@pytest.mark.parametrize(
    "content", ["day,currency\n", "day,currency,rate\n2024-01-01,USD,0\n", "day,currency,rate\na,b,x\n"]
)
def test_a_file_without_good_rates_is_misuse(tmp_path: Path, content: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        rates.read(rate_file(tmp_path, content))
    assert ended.value.exit_code == 2
