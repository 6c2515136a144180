import json

import pytest

from bench.figures import Figure, by_row, cells, median, percentile, read, told


def rate(value: float, baseline: float | None = None, **fields: object) -> Figure:
    return Figure("drain", "events per second", value, "1/s", baseline=baseline, **fields)  # type: ignore[arg-type]


def took(value: float, baseline: float | None = None, **fields: object) -> Figure:
    return Figure("gateway", "added", value, "ms", baseline=baseline, **fields)  # type: ignore[arg-type]


def test_the_ratio_of_several_runs_is_the_median_of_their_ratios_and_not_the_ratio_of_two_medians() -> None:
    shown = median([rate(10, 10), rate(20, 80), rate(30, 40)])

    assert (shown.value, shown.baseline) == (20, 40)
    assert shown.ratio == 0.75
    assert shown.runs == (10, 20, 30)
    assert shown.ratios == (1.0, 0.25, 0.75)


def test_a_goal_that_is_a_ratio_is_judged_by_the_median_of_the_ratios() -> None:
    runs = [rate(10, 10, goal_ratio=0.6), rate(20, 80, goal_ratio=0.6), rate(30, 40, goal_ratio=0.6)]

    assert median(runs).met is True
    assert [run.met for run in runs] == [True, False, True]


def test_a_row_is_told_by_its_first_figure_with_a_goal_and_has_the_others_beside_it() -> None:
    figures = [rate(8, 10), rate(4, 10, goal_ratio=0.6), rate(7, 10, goal_ratio=0.6), took(5)]

    drained, added = by_row(figures)

    assert (drained["row"], drained["ours"], drained["ratio"], drained["met"]) == ("drain", 4, 0.4, False)
    assert [each["ours"] for each in drained["figures"]] == [8, 7]
    assert (added["row"], added["ours"], added["figures"]) == ("gateway", 5, [])


def test_a_rate_must_reach_its_goal_and_a_time_must_stay_within_it() -> None:
    assert rate(12_000, goal=12_000).met is True
    assert rate(11_999, goal=12_000).met is False
    assert took(50, goal=50).met is True
    assert took(51, goal=50).met is False
    assert took(14, 10, goal_ratio=1.3).met is False
    assert rate(14, 10, goal_ratio=1.3).met is True


def test_of_two_goals_both_must_be_met() -> None:
    assert rate(100, 200, goal=90, goal_ratio=0.6).met is False
    assert rate(100, 150, goal=90, goal_ratio=0.6).met is True


def test_nothing_is_judged_without_a_goal_or_without_the_baseline_that_it_needs() -> None:
    assert rate(1).met is None
    assert rate(1, None, goal_ratio=0.5).met is None


def test_what_a_median_says_of_its_load_and_its_goal_are_those_of_the_run_in_the_middle() -> None:
    runs = [took(9, how="900 due", goal=90), took(1, how="100 due", goal=10), took(5, how="500 due", goal=50)]

    shown = median(runs)

    assert (shown.value, shown.how, shown.goal) == (5, "500 due", 50)


def test_a_figure_told_as_one_json_line_can_be_read_again() -> None:
    shown = median([rate(10, 20, goal_ratio=0.5), rate(20, 20, goal_ratio=0.5), rate(30, 40, goal_ratio=0.5)])

    line = json.dumps(told(shown))

    assert "\n" not in line
    document = json.loads(line)
    assert {"row": "drain", "ours": 20, "baseline": 20, "ratio": 0.75, "unit": "1/s"}.items() <= document.items()
    assert document["runs"] == [10, 20, 30]
    assert document["met"] is True
    assert read(document) == shown


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 101)]

    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile([7.0], 99) == 7
    assert percentile([1.0, 2.0], 99) == 2


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        (rate(12_345.6, 20_000, goal_ratio=0.5), ["12,346 1/s", "20,000 1/s", "0.62", "≥ 0.5 × baseline", "yes", "1"]),
        (took(51.26, goal=50), ["51.3 ms", "", "", "≤ 50 ms", "no", "1"]),
        (took(0.126), ["0.13 ms", "", "", "", "", "1"]),
    ],
)
def test_people_read_a_figure_with_its_goal_and_whether_it_is_met(figure: Figure, shown: list[str]) -> None:
    assert cells(figure) == shown
