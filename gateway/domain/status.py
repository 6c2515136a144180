"""How far the whole chain is, from what each service says of itself."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

Report = Mapping[str, Any]


def composed(reports: Mapping[str, Report | None]) -> dict[str, Any]:
    """Lag per consumer and topic, gaps, pauses, dead letters, what holds time, how many wait for a ruling, how old.

    `processes` are those that said lately that they run, and those that went away without a word.

    None is a service that is away.
    """
    there = {service: report for service, report in reports.items() if report is not None}
    written = {
        (stream["topic"], stream["partition"]): stream for report in there.values() for stream in report["streams"]
    }
    consumers = of_services(there, "consumers")
    return {
        "services": [
            {
                "service": service,
                "answers": report is not None,
                "oldest_unsequenced_s": report and report["oldest_unsequenced_s"],
                "unpublished": report and _unpublished(report),
            }
            for service, report in reports.items()
        ],
        "lag": _lag(consumers, written),
        "gaps": [
            {**consumer, "reason": consumer["stopped_reason"]}
            for consumer in consumers
            if consumer["stopped_reason"] is not None
        ],
        "paused": _paused(consumers),
        "dead_letters": of_services(there, "dead_letters"),
        "processes": of_services(there, "processes"),
        "watermark": [source for report in there.values() for source in report.get("watermark", ())],
        "reassessing": sum(report.get("reassessing", 0) for report in there.values()),
        "oldest_unsequenced_s": max((report["oldest_unsequenced_s"] for report in there.values()), default=None),
    }


def of_services(reports: Mapping[str, Report], part: str) -> list[dict[str, Any]]:
    """The rows of a part of all reports, each with the service that it is of; an older service may not have it."""
    return [{"service": service, **row} for service, report in reports.items() for row in report.get(part, ())]


def _lag(consumers: list[dict[str, Any]], written: Mapping[tuple[str, int], Report]) -> list[dict[str, Any]]:
    read = {(each["service"], each["consumer"], each["topic"], each["partition"]): each for each in consumers}
    behind: dict[tuple[str, str, str], int] = defaultdict(int)
    for service, consumer, topic in {(each["service"], each["consumer"], each["topic"]) for each in consumers}:
        # A partition that was never read is behind by all that was written to it.
        for (of, partition), stream in written.items():
            if of == topic:
                mark = read.get((service, consumer, topic, partition))
                seen = mark["seq"] if mark and mark["epoch"] == stream["epoch"] else 0
                behind[service, consumer, topic] += max(0, stream["last_seq"] - seen)
    return [
        {"service": service, "consumer": consumer, "topic": topic, "events": events}
        for (service, consumer, topic), events in sorted(behind.items())
    ]


def _paused(consumers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What operators have paused: a line for each topic of a consumer."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for each in consumers:
        if each.get("paused_at"):
            place = each["service"], each["consumer"], each["topic"]
            line = found.setdefault(
                place,
                {
                    **dict(zip(("service", "consumer", "topic"), place, strict=True)),
                    "partitions": 0,
                    "since": each["paused_at"],
                    "by": each["paused_by"],
                },
            )
            line["partitions"] += 1
    return [found[place] for place in sorted(found)]


def _unpublished(report: Report) -> int:
    published = [stream for stream in report["streams"] if stream["published_seq"] is not None]
    return sum(stream["last_seq"] - stream["published_seq"] for stream in published)
