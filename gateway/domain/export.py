"""A line of the standings export: what scoring knows and the id that others know the party by."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contracts.money import major

COLUMNS = (
    "party_id",
    "external_id",
    "stage",
    "tier",
    "value",
    "currency",
    "x",
    "tx_days",
    "T_days",
    "spend",
    "since",
    "next_change_at",
    "policy",
    "model",
    "p",
    "turnover",
    "level",
    "satisfaction",
    "satisfaction_band",
    "loyalty",
    "loyalty_band",
    "posture",
    "treatment",
    "flags",
    "vip",
)
"""New columns are added behind; these keep their places."""


def lines(standings: Iterable[Mapping[str, Any]], external_ids: Mapping[str, str]) -> list[Sequence[Any]]:
    """One line per standing: money in decimal major units, flags with blanks between; what is not known is empty."""
    return [
        [
            _written(
                {
                    **standing,
                    "external_id": external_ids.get(standing["party_id"]),
                    "value": _money(standing, "value_minor"),
                    "spend": _money(standing, "spend_minor"),
                    "turnover": _money(standing, "turnover_minor"),
                    "flags": " ".join(standing.get("flags") or ()),
                }.get(column)
            )
            for column in COLUMNS
        ]
        for standing in standings
    ]


def written(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def oldest(external_ids: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The one external id that stands for a party: of several, the first."""
    chosen: dict[str, str] = {}
    for each in external_ids:
        chosen.setdefault(each["party_id"], each["value"])
    return chosen


def _money(standing: Mapping[str, Any], member: str) -> str | None:
    amount_minor, currency = standing.get(member), standing.get("currency")
    # Without a reporting currency nothing was counted yet: two decimals, as most have.
    return None if amount_minor is None else f"{major(amount_minor, currency or '')}"


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value
