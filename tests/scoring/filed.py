"""The file of all standings, and what a standing that is shown elsewhere is there."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import httpx

from contracts.money import major

SAME = (
    "party_id", "stage", "tier", "currency", "x", "tx_days", "T_days", "since", "next_change_at", "policy", "model",
    "p", "level", "satisfaction", "satisfaction_band", "loyalty", "loyalty_band", "posture", "treatment", "flags",
    "vip", "last_contact_day", "potential", "policy_hash",
)  # fmt: skip
"""Columns that have the names of what is shown."""


async def exported(api: httpx.AsyncClient, **query: Any) -> list[dict[str, str]]:
    """The lines of the file."""
    answer = await api.get("/internal/standings/export", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def as_line(standing: Mapping[str, Any]) -> dict[str, str]:
    """The line of a standing as a list shows it."""
    money = {
        name: f"{major(standing[f'{name}_minor'], standing['currency'])}" for name in ("value", "spend", "turnover")
    }
    return {name: _text(standing[name]) for name in SAME} | money


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return " ".join(value)
        case _:
            return str(value)
