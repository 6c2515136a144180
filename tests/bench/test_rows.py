import csv
import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import costs, drain, freshness, journey, live, model, posts, rows
from bench.__main__ import app
from bench.backlog import Backlog, Cost
from bench.figures import Figure
from bench.freshness import Seen
from tests.docs.pages import page, section

BACKLOG = Backlog(parties=20, events=100, spend_minor=5)


def goals(figures: list[Figure]) -> dict[str, tuple[float | None, float | None]]:
    return {figure.what: (figure.goal, figure.goal_ratio) for figure in figures}


def seen(ms: float, count: int = 100) -> Seen:
    found = Seen()
    for _ in range(count):
        found.add(0.0, ms / 2e3, ms / 1e3)
    return found


def listed() -> list[list[str]]:
    """The cells of the table of rows in the documentation."""
    lines = [line for line in section(page("performance.md"), "The rows").splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_page_lists_every_row_and_none_that_does_not_exist() -> None:
    names = Counter(name for cells in listed() for name in cells[0].strip("`").split("` `"))

    assert names == Counter(rows.ALL)


def test_the_page_says_of_each_row_what_it_measures_what_stands_beside_it_and_what_is_wanted() -> None:
    assert all(len(cells) == 4 and all(cells) for cells in listed())


def test_a_drain_must_reach_half_of_what_reading_alone_takes() -> None:
    figures = drain.figures_of("drain-1m", "2 workers", Cost(100, 4, 1, 1), Cost(100, 2, 1, 1), BACKLOG)

    assert goals(figures)["events per second, 2 workers"] == (None, 0.5)
    assert figures[0].ratio == 0.5
    assert figures[0].met


def test_a_command_must_reach_its_share_of_the_bare_handler_within_fifty_milliseconds() -> None:
    door = posts.Taken("", {}, [10.0] * 60, 1.0)
    bare = posts.Taken("", {}, [5.0] * 100, 1.0)

    service, gateway = (posts.figures_of(name, door, bare) for name in ("service", "gateway"))

    assert [figures[0].goal_ratio for figures in (service, gateway)] == [0.6, 0.4]
    assert all(figures[0].met for figures in (service, gateway))
    assert service[2].what.endswith("p99")
    assert service[2].goal == 50


def test_what_takes_longest_of_a_live_load_is_seen_in_its_last_percentile() -> None:
    most = live.Taken(195_000, [10.0] * 980 + [9_000.0] * 20, seconds=15)
    paced = live.Taken(180_000, [10.0] * 980 + [4_000.0] * 20, seconds=15.5)

    figures = live.figures_of("live-kafka", most, paced, 100_000, [5.0] * 100)

    assert [(figure.value, figure.goal, figure.met) for figure in (figures[0], figures[2], figures[5])] == [
        (13_000, 12_000, True),
        (9_000, None, None),
        (4_000, 500, False),
    ]


def test_a_request_of_a_paced_load_is_due_by_its_number_and_not_by_the_answer_before() -> None:
    assert [live.due_at(number, 5.0, 2_000) for number in range(3)] == [5.0, 5.5, 6.0]
    assert [live.due_at(number, 5.0, None) for number in range(3)] == [5.0, 5.0, 5.0]


def test_the_watched_are_in_every_request_in_turn_however_long_they_have_waited() -> None:
    shoppers, found = live.Shoppers(), Counter[int]()
    for _ in range(live.WATCHED // live.SEEN_EACH * 3):
        watched, all_ = shoppers.next()

        assert all_[: len(watched)] == watched
        assert len(set(all_)) == len(all_) == live.ROWS
        assert not any(customer < live.WATCHED for customer in all_[live.SEEN_EACH :])
        found.update(watched)

    assert found == Counter(dict.fromkeys(range(live.WATCHED), 3))


def test_freshness_has_its_goals_at_the_lower_rate_and_is_told_at_the_higher() -> None:
    slow, fast = (freshness.figures_of("freshness", per_s, seen(30), seen(2)) for per_s in (200, 1_000))

    assert goals(slow)["201 to standing readable, p50"] == (15, None)
    assert goals(slow)["201 to standing readable, p99"] == (50, None)
    assert {goal for each in goals(fast).values() for goal in each} == {None}
    assert all(figure.baseline for figure in (*slow, *fast))


def test_an_event_must_keep_its_share_of_speed_in_a_larger_population_and_a_longer_history() -> None:
    assert costs.STEPS == {
        "event-cost-1m": (100_000, 1_000_000, 0.6),
        "event-cost-5m": (1_000_000, 5_000_000, 0.9),
    }

    _, larger = costs.figures_of_step("event-cost-1m", *costs.STEPS["event-cost-1m"], 1_000, 590, 5_000)
    _, longer, alone = costs.figures_of_depth(1_000, 1_000, 900, 200, 170, 5_000)

    assert (larger.ratio, larger.met) == (0.59, False)
    assert (longer.ratio, longer.goal_ratio, longer.met) == (0.9, 0.9, True)
    assert (alone.ratio, alone.goal_ratio, alone.met) == (0.85, 0.9, False)


def test_an_import_is_judged_by_its_rows_per_second_until_all_standings_are_current() -> None:
    took = journey.Imported(1_000_000, recorded_s=60, current_s=80, raw_s=10, idle_mb=500, peak_mb=900)

    figures = {figure.what: figure for figure in journey.figures_of("import-1m", took, goal_per_s=journey.GOAL_PER_S)}

    rate = figures["rows per second, current"]
    assert (rate.value, rate.goal, rate.met) == (12_500, 12_000, True)
    assert rate.ratio == 0.125


def test_the_file_to_import_holds_as_many_purchases_as_asked_for_in_the_order_of_time(tmp_path: Path) -> None:
    until = datetime(2026, 11, 26, tzinfo=UTC)
    for name in ("one.csv", "two.csv"):
        journey.write_orders(tmp_path / name, 1_000, until=until)

    with (tmp_path / "one.csv").open(newline="") as file:
        orders = list(csv.DictReader(file))

    assert len(orders) == len({order["order_id"] for order in orders}) == 1_000
    assert 150 < len({order["customer_id"] for order in orders}) <= 200
    times = [datetime.fromisoformat(order["ts"]) for order in orders]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert times[-1] <= until
    assert all(float(order["amount"]) > 0 for order in orders)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_with_json_there_is_one_object_per_line_and_nothing_else_on_standard_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(model, "CUSTOMERS", 2_000)

    done = CliRunner().invoke(app, ["assess-array", "--times", "2", "--json", "--out", str(tmp_path / "kept.json")])

    assert done.exit_code == 0, done.output
    [line] = map(json.loads, done.stdout.splitlines())
    assert line["row"] == "assess-array"
    assert len(line["runs"]) == len(line["ratios"]) == 2
    assert "run 2 of 2" in done.stderr
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert [*kept["figures"], []] == [{name: line[name] for name in line if name != "figures"}, line["figures"]]
    assert kept["machine"]["cores"]


def memory(mb: float) -> Figure:
    return Figure("memory", "gateway, last tenth of 60 min", mb, "MB", goal=90, baseline=80, binding=True)


@pytest.mark.parametrize(("mb", "exit_code"), [(90, 0), (91, 1)])
def test_a_process_that_grew_ends_the_bench_one_after_all_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mb: float, exit_code: int
) -> None:
    monkeypatch.setattr(rows, "LASTING", {"memory": lambda minutes: [memory(mb)]})

    done = CliRunner().invoke(app, ["memory", "--out", str(tmp_path / "kept.json")])

    assert done.exit_code == exit_code
    assert "gateway" in done.stdout
    assert json.loads((tmp_path / "kept.json").read_text())["figures"][0]["ours"] == mb


def test_a_row_that_fails_is_told_and_those_after_it_are_measured_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def gone() -> list[Figure]:
        raise FileNotFoundError("Needs orders.csv.gz")

    monkeypatch.setattr(model, "CUSTOMERS", 2_000)
    monkeypatch.setattr(rows, "PLAIN", {**rows.PLAIN, "journey": gone})
    kept = tmp_path / "kept.json"

    done = CliRunner().invoke(app, ["journey", "assess-array", "--times", "1", "--json", "--out", str(kept)])

    assert done.exit_code == 1
    assert "journey: failed, FileNotFoundError: Needs orders.csv.gz" in done.stderr
    assert [json.loads(line)["row"] for line in done.stdout.splitlines()] == ["assess-array"]
    document = json.loads(kept.read_text())
    assert document["failed"] == {"journey": "FileNotFoundError: Needs orders.csv.gz"}
    assert [figure["row"] for figure in document["figures"]] == ["assess-array"]


def test_a_row_that_does_not_exist_is_refused_with_those_that_do() -> None:
    done = CliRunner().invoke(app, ["drains"])

    assert done.exit_code == 2
    assert "drain-kafka" in done.stderr
