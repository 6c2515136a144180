"""Alert rules and the dashboard against the metrics that there are, and the runbook against the rules."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.docs.pages import ROOT, page, section
from tests.docs.test_metrics import declared_metrics

RULES: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/alerts/shuke.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/shuke.json").read_text())
THEIRS = {"up": {"job", "instance"}}
"""Metrics that Prometheus itself has."""
EVERYWHERE = {"job", "instance"}
"""Labels that Prometheus gives to everything."""


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5m").replace("$service", ".*")
            yield panel["title"], text


def exposed() -> dict[str, set[str]]:
    """The labels of every series, by its name."""
    found: dict[str, set[str]] = {name: set(labels) for name, labels in THEIRS.items()}
    for name, (kind, labels) in declared_metrics().items():
        if kind == "histogram":
            found[f"{name}_bucket"] = {*labels, "le"}
            found[f"{name}_sum"] = found[f"{name}_count"] = set(labels)
        else:
            found[name] = set(labels)
    return found


def used(expression: Any) -> Iterator[tuple[str, set[str]]]:
    """Every series in an expression, with the labels that matchers, groupings and joins around it ask of it."""
    match expression:
        case promql.VectorSelector():
            yield str(expression.name), {matcher.name for matcher in expression.matchers.matchers}
        case promql.MatrixSelector():
            yield from used(expression.vector_selector)
        case promql.AggregateExpr():
            grouped = set(expression.modifier.labels) if expression.modifier else set()
            yield from ((name, labels | grouped) for name, labels in used(expression.expr))
        case promql.BinaryExpr():
            matching = expression.modifier.matching if expression.modifier else None
            joined = set(matching.labels) if matching else set()
            for side in (expression.lhs, expression.rhs):
                yield from ((name, labels | joined) for name, labels in used(side))
        case promql.Call():
            for argument in expression.args:
                yield from used(argument)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from used(expression.expr)


@pytest.mark.parametrize(("where", "text"), list(expressions()))
def test_every_expression_is_promql_over_metrics_and_labels_that_there_are(where: str, text: str) -> None:
    series = exposed()
    found = list(used(promql.parse(text)))

    assert found
    for name, labels in found:
        assert name in series, name
        assert labels <= series[name] | EVERYWHERE, (name, labels)


def test_the_check_notices_metrics_and_labels_that_there_are_not() -> None:
    text = 'sum by (nobody) (rate(shuke_gaps_total{where="here"}[5m])) > on (beside) shuke_nothing'

    assert dict(used(promql.parse(text))) == {
        "shuke_gaps_total": {"nobody", "where", "beside"},
        "shuke_nothing": {"beside"},
    }
    with pytest.raises(ValueError, match="matrix"):
        promql.parse("rate(shuke_gaps_total)")


def test_every_label_in_a_legend_or_a_summary_is_one_of_its_expression() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            text = target["expr"].replace("$__rate_interval", "5m").replace("$service", ".*")
            assert named <= left(promql.parse(text)), panel["title"]
    for rule in RULES:
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert named <= left(promql.parse(rule["expr"])) | EVERYWHERE, rule["alert"]


def left(expression: Any) -> set[str]:
    """The labels that a result has."""
    match expression:
        case promql.AggregateExpr():
            return set(expression.modifier.labels) if expression.modifier else set()
        case promql.BinaryExpr():
            return left(expression.lhs)
        case promql.Call() if expression.func.name == "histogram_quantile":
            return left(expression.args[1]) - {"le"}
        case promql.Call():
            return left(expression.args[0])
        case promql.ParenExpr() | promql.UnaryExpr():
            return left(expression.expr)
        case promql.MatrixSelector():
            return left(expression.vector_selector)
        case promql.VectorSelector():
            return exposed()[str(expression.name)] | EVERYWHERE
        case _:
            return set()


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {name for panel in DASHBOARD["panels"] for target in panel["targets"] for name in names(target["expr"])}

    assert declared_metrics().keys() - shown == set()


def names(text: str) -> set[str]:
    found = set(re.findall(r"shuke_\w+", text))
    return found | {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def test_every_alert_has_its_entry_in_the_runbook_and_no_other_is_there() -> None:
    text = page("operating.md")
    headings = re.findall(r"^### (Shuke\w+)$", text, re.MULTILINE)

    assert headings == [rule["alert"] for rule in RULES]
    for alert in headings:
        told = section(text, alert)
        assert re.findall(r"^- \*\*(.+?)\*\*", told, re.MULTILINE) == ["Means", "See more", "Do", "Over when"], alert


def test_every_alert_says_how_urgent_it_is_and_what_is_wrong() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
