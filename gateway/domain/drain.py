"""The door that takes nothing in, until all that came in before has arrived everywhere."""

from collections.abc import Mapping
from typing import Any

from contracts.problems import Unavailable

RETRY_AFTER_S = 30


class IntakeClosed(Unavailable):
    """Nothing is taken in just now: an operator drains the installation."""

    def __init__(self) -> None:
        super().__init__("An operator has closed the intake; reading goes on.", retry_after_s=RETRY_AFTER_S)


def waiting(reports: Mapping[str, Mapping[str, Any] | None], status: Mapping[str, Any]) -> dict[str, int | list[str]]:
    """What is still on its way, each None-free part with its number; empty when all is quiet.

    `reports` are of all who read, the feed of the gateway too; `status` is what `gateway.domain.status.composed` makes
    of them.
    """
    there = [report for report in reports.values() if report is not None]
    found: dict[str, int | list[str]] = {
        "requests": sum(report["underway"] for report in there),
        "imports": sum(report["importing"] for report in there),
        "undecided": sum(report.get("undecided", 0) for report in there),
        "ungraded": sum(report.get("ungraded", 0) for report in there),
        "unnumbered": sum(report["oldest_unsequenced_s"] > 0 for report in there),
        "unpublished": sum(each["unpublished"] or 0 for each in status["services"]),
        "unread": sum(each["events"] for each in status["lag"]),
        "reassessing": status["reassessing"],
        "away": [service for service, report in reports.items() if report is None],
    }
    return {name: value for name, value in found.items() if value}
