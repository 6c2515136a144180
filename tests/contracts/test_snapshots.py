import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts import wire
from deploy.cli import app
from deploy.cli import contracts as command
from deploy.cli.quality import ROOT

PURCHASE = command.SCHEMAS / "customers.purchase_completed.v1.json"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the command reads and writes."""
    for folder in (command.SCHEMAS, command.GOLDEN):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    return tmp_path


def test_the_committed_documents_are_those_of_the_classes() -> None:
    drafts = command.drafts(ROOT)

    committed = {path: (ROOT / path).read_text() for path in drafts if (ROOT / path).exists()}
    outdated = [str(path) for path in drafts if drafts[path] != committed.get(path)]
    left_over = {file.name for file in (ROOT / command.SCHEMAS).iterdir()} - {path.name for path in drafts}

    assert not outdated, f"The event classes say otherwise: run `python3 dev.py contracts` and commit {outdated}."
    assert not left_over, f"No event is called like that: {left_over}."


def test_no_event_breaks_those_who_read_it_by_its_committed_schema() -> None:
    broken = list(command.breaches(ROOT))

    assert not broken, f"Only optional fields with a default may be added; declare another version: {broken}"


def test_the_command_writes_what_is_missing(checkout: Path) -> None:
    (checkout / PURCHASE).unlink()

    done = CliRunner().invoke(app, ["contracts"])

    assert done.exit_code == 0
    assert (checkout / PURCHASE).read_text() == (ROOT / PURCHASE).read_text()
    assert (checkout / command.ASYNCAPI).read_text() == (ROOT / command.ASYNCAPI).read_text()


def test_the_command_refuses_to_write_over_a_schema_that_it_would_break(checkout: Path) -> None:
    schema = json.loads((checkout / PURCHASE).read_text())
    schema["$defs"]["PurchaseCompleted"]["properties"]["till"] = {"type": "integer", "default": 0}
    (checkout / PURCHASE).write_text(json.dumps(schema))

    done = CliRunner().invoke(app, ["contracts"])

    assert done.exit_code == 1
    assert "customers.purchase_completed.v1 #/data/till is gone" in done.output
    assert json.loads((checkout / PURCHASE).read_text()) == schema


def test_the_command_refuses_to_forget_an_event(checkout: Path) -> None:
    (checkout / PURCHASE).rename(checkout / command.SCHEMAS / "customers.order_placed.v1.json")

    done = CliRunner().invoke(app, ["contracts"])

    assert done.exit_code == 1
    assert "customers.order_placed.v1 is gone" in done.output


def test_the_command_asks_for_a_record_of_every_event(checkout: Path) -> None:
    for file in (checkout / command.GOLDEN).glob("customers.fact_withdrawn.v1.*"):
        file.unlink()

    done = CliRunner().invoke(app, ["contracts"])

    assert done.exit_code == 1
    assert "customers.fact_withdrawn.v1 has no record in tests/contracts/golden" in done.output


def test_every_field_says_what_it_means() -> None:
    names = wire.shapes(wire.published())

    assert [
        f"{name}.{field}"
        for name, shape in names.items()
        for field, rules in shape.get("properties", {}).items()
        if not rules.get("description")
    ] == []
