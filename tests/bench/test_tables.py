import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.faults.account import Broken, Outcome
from bench.figures import Figure, median, told
from bench.tables import BEGIN, END, NoPlace, app, sections, with_fault_run, with_results
from tests.docs.pages import page

MACHINE = {
    "processor": "Fast Processor",
    "cores": 2,
    "memory_gb": 24,
    "kernel": "6.1",
    "python": "3.11.7",
    "postgresql": "18",
    "commit": "5d54dce",
}
PAGE = f"# Performance\n\nBefore.\n\n{BEGIN}\n\n{END}\n\nAfter.\n"


def results(*figures: Figure, began: str = "2026-11-26T10:00:00+00:00", **on: str) -> dict[str, Any]:
    return {"began": began, "machine": MACHINE | on, "times": 3, "figures": [told(figure) for figure in figures]}


def rate(row: str, *values: float) -> Figure:
    how = "baseline: decoded, one upsert | each batch"
    return median([Figure(row, "events per second", value, "1/s", None, 20_000, how, 0.5) for value in values])


def written(text: str, *documents: dict[str, Any]) -> str:
    return with_results(text, sections(documents))


def test_a_table_says_when_on_what_and_at_which_commit_it_was_measured() -> None:
    text = written(PAGE, results(rate("drain", 9_000, 12_000, 11_000)))

    assert "### `drain`" in text
    assert "26 November 2026, commit 5d54dce: Fast Processor, 2 cores, 24 GB" in text
    assert "| events per second | 11,000 1/s | 20,000 1/s | 0.55 | ≥ 0.5 × baseline | yes | 3 |" in text
    assert "- Baseline: decoded, one upsert | each batch." in text


def test_what_stands_around_the_results_stays() -> None:
    text = written(PAGE, results(rate("drain", 1)))

    assert text.startswith("# Performance\n\nBefore.\n\n")
    assert text.endswith("\n\nAfter.\n")


def test_a_row_measured_again_takes_the_place_of_its_former_table_and_others_stay() -> None:
    first = written(PAGE, results(rate("drain", 11_000), rate("post", 30_000)))

    second = written(first, results(rate("drain", 8_000), commit="abcdef0"))

    assert second.count("### `drain`") == second.count("### `post`") == 1
    assert "11,000" not in second
    assert "| events per second | 8,000 1/s | 20,000 1/s | 0.40 | ≥ 0.5 × baseline | no | 1 |" in second
    assert "30,000" in second
    assert second.count("commit 5d54dce") == second.count("commit abcdef0") == 1


def test_the_tables_stand_in_the_order_of_the_rows_however_they_came() -> None:
    apart = written(written(PAGE, results(rate("soak", 1), rate("drain", 1))), results(rate("live-kafka", 1)))
    at_once = written(PAGE, results(rate("live-kafka", 1), rate("drain", 1), rate("soak", 1)))

    assert apart == at_once
    places = [apart.index(f"### `{row}`") for row in ("live-kafka", "drain", "soak")]
    assert places == sorted(places)


def test_of_several_files_the_latest_holds() -> None:
    late = results(rate("drain", 222), began="2026-11-26T12:00:00+00:00")
    early = results(rate("drain", 111), began="2026-11-26T11:00:00+00:00")

    text = written(PAGE, late, early)

    assert "222 1/s" in text
    assert "111 1/s" not in text


def test_to_write_the_same_again_changes_nothing() -> None:
    once = written(PAGE, results(rate("drain", 1), rate("post", 2)))

    assert written(once, results(rate("drain", 1), rate("post", 2))) == once
    assert with_results(once, {}) == once


def test_a_page_without_a_place_for_results_is_refused() -> None:
    for text in ("# Performance\n", f"{BEGIN}\n", f"{END}\n"):
        with pytest.raises(NoPlace):
            written(text, results(rate("drain", 1)))


def test_the_page_of_the_product_has_its_place_and_what_stands_there_was_written_by_this() -> None:
    assert with_results(page("performance.md"), {}) == page("performance.md")


def test_the_command_writes_files_of_results_into_a_page(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    (tmp_path / "kept.json").write_text(json.dumps(results(rate("drain", 12_000))))

    done = CliRunner().invoke(app, [str(tmp_path / "kept.json"), "--page", str(tmp_path / "page.md")])

    assert done.exit_code == 0, done.output
    assert "drain written to" in done.stdout
    assert "12,000 1/s" in (tmp_path / "page.md").read_text()


def fault_run(**more: Any) -> dict[str, Any]:
    outcome = Outcome(faults=3, commands=1_964, attempts=1_995, judged=True, limits={"killed worker": 11.0}, took_s=130)
    for number, took in enumerate((9.0, 10.5, 12.25), 1):
        outcome.recovery_s["killed worker"].append(took)
        outcome.broken.append(Broken(number, "killed worker", "scoring-worker-1", number * 20.0, took, took))
    document = {"began": "2026-11-26T17:10:00+00:00", "machine": MACHINE, "count": 3, "seed": 1}
    return document | outcome.account() | more


def test_a_run_of_faults_says_what_was_found_and_how_long_each_kind_took() -> None:
    text = with_fault_run(PAGE, fault_run())

    assert "3 faults of seed 1 in 2 min 10 s. 26 November 2026, commit 5d54dce: Fast Processor" in text
    assert "| Commands acknowledged | 1,964 |" in text
    assert "| Lost | 0 |" in text
    assert "| Digest that of a quiet installation | yes |" in text
    assert "| killed worker | 3 | 10.5 | 12.2 | 11 |" in text
    assert "- Late: killed worker." in text
    assert text.startswith("# Performance\n\nBefore.\n\n")
    assert text.endswith("\n\nAfter.\n")


def test_a_run_of_faults_takes_the_place_of_the_former_one_and_says_what_it_did_not_do() -> None:
    first = with_fault_run(PAGE, fault_run())

    second = with_fault_run(first, fault_run(seed=2, judged=False, failed=["Kafka: TimeoutError"]))

    assert second.count("| killed worker |") == 1
    assert "of seed 2" in second
    assert "was not judged as a whole" in second
    assert "- Not done: Kafka: TimeoutError." in second


def test_results_of_rows_and_of_faults_go_to_a_page_each(tmp_path: Path) -> None:
    documents = {"rows.json": results(rate("drain", 1)), "faults.json": fault_run()}
    for name, document in documents.items():
        (tmp_path / name).write_text(json.dumps(document))
    rows_page, faults_page = tmp_path / "rows.md", tmp_path / "faults.md"
    for each in (rows_page, faults_page):
        each.write_text(PAGE)
    files, pages = [str(tmp_path / name) for name in documents], (str(rows_page), str(faults_page))

    done = CliRunner().invoke(app, [*files, "--page", pages[0], "--faults-page", pages[1]])

    assert done.exit_code == 0, done.output
    assert "### `drain`" in rows_page.read_text()
    assert "killed worker" not in rows_page.read_text()
    assert "| killed worker | 3 |" in faults_page.read_text()


def test_the_page_of_faults_has_a_place_for_results() -> None:
    assert "| killed worker | 3 |" in with_fault_run(page("faults.md"), fault_run())
