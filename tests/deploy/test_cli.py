import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from deploy import supervisor
from deploy.cli.client import the_one
from deploy.cli.policy import months_of, work
from deploy.roles import HTTP, PACKAGES, ROLES


def shuke(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SHUKE_")}
    command = (sys.executable, "-P", "-m", "deploy.cli", *words)
    return subprocess.run(command, env=kept | variables, capture_output=True, text=True, timeout=120, check=False)


def test_a_command_without_a_running_product_says_how_to_start_one(tmp_path: Path) -> None:
    done = shuke("status", "--data", str(tmp_path))

    assert done.returncode == 1
    assert f"shuke up --data {tmp_path}" in done.stderr.replace("\n", " ")


def test_an_address_without_a_key_is_refused() -> None:
    done = shuke("status", SHUKE_URL="http://127.0.0.1:1")

    assert done.returncode == 1
    assert "SHUKE_KEY" in done.stderr


def test_an_address_where_nothing_answers_is_one_clear_line() -> None:
    done = shuke("status", SHUKE_URL="http://127.0.0.1:1", SHUKE_KEY="key")

    assert done.returncode == 1
    assert done.stderr.strip() == "Nothing answers at http://127.0.0.1:1."


def test_an_unknown_role_is_told_the_known_ones() -> None:
    done = shuke("serve", "customers", "nonsense")

    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert all(name in done.stderr for name in ROLES)


def test_a_second_up_on_a_folder_says_who_runs_there(tmp_path: Path) -> None:
    with supervisor.only_one(tmp_path):
        supervisor.announce(tmp_path, {"url": "http://127.0.0.1:8123"})
        done = shuke("up", "--data", str(tmp_path))

    assert done.returncode == 1
    assert f"already runs on {tmp_path}: pid {os.getpid()}, http://127.0.0.1:8123" in done.stderr.replace("\n", " ")


def test_a_taken_port_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = shuke("up", "--data", str(tmp_path), "--port", str(taken.getsockname()[1]))

    assert done.returncode == 1
    assert "--port" in done.stderr
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize("wrong", [("--time-zone", "Mars/Olympus"), ("--time-zone", "Europe"), ("--currency", "eur")])
def test_a_zone_or_currency_that_does_not_exist_is_misuse(tmp_path: Path, wrong: tuple[str, str]) -> None:
    done = shuke("up", "--data", str(tmp_path), *wrong)

    assert done.returncode == 2
    assert wrong[0] in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "wrongs"), [("--policy", ("two words", "../up")), ("--model", ("caf", "strict"))])
@pytest.mark.parametrize("command", [("export", "standings"), ("standings", "summary"), ("digest",)])
def test_the_beginning_of_an_id_names_a_policy_or_a_model_everywhere(
    command: tuple[str, ...], option: str, wrongs: tuple[str, ...]
) -> None:
    away = {"SHUKE_URL": "http://127.0.0.1:1", "SHUKE_KEY": "key"}

    assert shuke(*command, option, "cafe0123", **away).stderr.strip() == "Nothing answers at http://127.0.0.1:1."
    for wrong in wrongs:
        misused = shuke(*command, option, wrong, **away)
        assert (misused.returncode, "first 4" in misused.stderr) == (2, True)


def test_a_beginning_names_what_alone_begins_so(capsys: pytest.CaptureFixture[str]) -> None:
    known = ["cafe" + "0" * 60, "cafe" + "1" * 60, "beef" + "0" * 60]

    assert the_one("beef", "policies", known) == known[2]
    assert the_one("cafe1", "models", known) == known[1]
    for begun in ("cafe", "dead"):
        with pytest.raises(typer.Exit):
            the_one(begun, "models", known)
    several, first, second, none = capsys.readouterr().err.splitlines()
    assert (several, first, second) == ("2 models begin with cafe. Write more digits of one:", known[0], known[1])
    assert none == "None of the models begins with dead. `shuke model list` lists them."


@pytest.mark.parametrize("words", [("export", "standings", "-o"), ("import", "purchases", "orders.csv", "--rejects")])
def test_a_file_that_could_not_be_written_is_misuse(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = shuke(*words, str(tmp_path / "none" / "file.csv"))

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_arithmetic_takes_one_thread_in_whatever_a_command_starts_unless_told_otherwise() -> None:
    code = (
        "import os, runpy, sys; sys.argv = ['shuke', 'status', '--help']\n"
        "try: runpy.run_module('deploy.cli', run_name='__main__')\n"
        "except SystemExit: print(os.environ['OPENBLAS_NUM_THREADS'], os.environ['OMP_NUM_THREADS'])"
    )
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}

    def told(**variables: str) -> str:
        command, environment = (sys.executable, "-P", "-c", code), kept | variables
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.splitlines()[-1]

    assert told() == "1 1"
    assert told(OPENBLAS_NUM_THREADS="4") == "4 1"


def test_every_command_has_a_help_text() -> None:
    from deploy.cli import app

    undocumented = [command.callback for command in app.registered_commands if not (command.callback or print).__doc__]
    assert undocumented == []
    assert shuke("--help").returncode == 0


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_file_names_no_host_and_hashes_everything(lock: str) -> None:
    lines = (Path(__file__).parents[2] / lock).read_text().splitlines()

    packages = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert packages
    assert all("==" in package and package.endswith("\\") for package in packages)
    assert not any("://" in line for line in lines)


def test_the_developer_s_lock_holds_all_of_the_product_s() -> None:
    root = Path(__file__).parents[2]

    product, developer = (
        {line for line in (root / name).read_text().splitlines() if line and not line.startswith(" ")}
        for name in ("requirements.lock", "requirements-dev.lock")
    )
    assert product <= developer


def test_roles_that_answer_have_a_database_of_their_own() -> None:
    assert set(HTTP) == set(PACKAGES) <= set(ROLES)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("dead-letters", "discard", "--reason", "Unreadable"), "--yes"),
        (("dead-letters", "requeue"), "--all"),
        (("dead-letters", "requeue", "scoring-1", "--all"), "say which"),
        (("replay", "scoring"), "--since"),
        (("replay", "scoring", "--sequence", "first"), "1.4711"),
        (("replay", "scoring", "--since", "yesterday"), "2026-06-30T18:00:00+02:00"),
        (("replay", "scoring", "--since", "2026-06-30T18:00:00Z", "--key", "somebody"), "the id of a party"),
    ],
)
def test_what_an_operator_must_say_more_clearly_is_asked_for_and_nothing_is_done(
    words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = shuke(*words, "--data", str(tmp_path))

    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize(
    ("since", "until", "draft", "active"),
    [
        (None, "2025-12-31", "1.0", "0.5"),
        (None, "2026-12-01", "0.5", "0.2"),
        ("2024-01-15", "2025-12-31", "0.5", "0.2"),
    ],
)
def test_both_sides_of_a_trial_are_told_by_the_same_months(
    since: str | None, until: str, draft: str, active: str
) -> None:
    lost = {"draft": {f"2025-{month:02}": 1 for month in range(1, 13)}, "active": {"2025-02": 3, "2025-07": 3}}
    sides = {
        side: {
            "months": [{"month": month, "moves": {"lost": n}} for month, n in by_month.items()],
            "workload": [{"month": month, "at_risk": 0, "lost": n, "follow_ups": 0} for month, n in by_month.items()],
            "treatments": {},
        }
        for side, by_month in lost.items()
    }

    rows = work(sides["draft"], sides["active"], months_of({"from": since, "until": until, **sides}))

    assert rows[1] == ("to a lost stage, a month", draft, active)


def test_a_trial_without_a_move_gives_nothing_to_do() -> None:
    idle: dict[str, Any] = {"months": [], "workload": [], "treatments": {}}

    assert months_of({"from": None, "until": "2025-12-31", "draft": idle, "active": idle}) == 1
    assert {row[1:] for row in work(idle, idle, 1)} == {("0.0", "0.0")}
