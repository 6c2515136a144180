"""The table of metrics against those that the product declares."""

import sys
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from chassis.freshness import LABELS, NAME, Freshness
from tests.docs.pages import PACKAGES, code, everything, page, rows, section

NAMES = {package.__name__ for package in PACKAGES}


def declared_metrics() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Type and labels of every metric of ours, by the name under which it is exposed."""
    everything()
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] in NAMES]
    for metric in {id(each): each for module in modules for each in vars(module).values() if is_metric(each)}.values():
        if isinstance(metric, Freshness):
            found[NAME] = "histogram", LABELS
        else:
            [described] = metric.describe()
            name = f"{described.name}_total" if described.type == "counter" else described.name
            found[name] = described.type, tuple(metric._labelnames)
    return found


def is_metric(thing: Any) -> bool:
    return isinstance(thing, MetricWrapperBase | Freshness)


def told_metrics() -> dict[str, tuple[str, tuple[str, ...]]]:
    table = rows(section(page("operation.md"), "Metrics"))
    return {
        code(name): (kind, () if labels == "none" else tuple(code(label) for label in labels.split(", ")))
        for name, kind, labels, _ in table
    }


def test_every_metric_is_listed_with_its_type_and_labels() -> None:
    assert told_metrics() == declared_metrics()


def test_no_metric_has_a_label_without_bounds() -> None:
    bounded = {"service", "operation", "status", "consumer", "source", "topic", "partition", "part", "peer", "task"}

    assert {label for _, labels in declared_metrics().values() for label in labels} <= bounded
