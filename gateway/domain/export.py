"""The ids that others know parties by, as a column of a file."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PARTY = "party_id"
"""The name of the first column."""
SPECIAL = frozenset(',"\r\n')
"""Characters for which CSV has a field in quotes (RFC 4180 §2)."""


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


def party_ids(lines: Iterable[str]) -> list[str]:
    """What lines of CSV begin with: party ids, and the name of their column."""
    return [line.partition(",")[0] for line in lines]


def joined(lines: Sequence[str], party_ids: Sequence[str], external_ids: Mapping[str, str]) -> str:
    """Lines of CSV that begin with party ids, each with the id that others know the party by behind it.

    A party without one has an empty field there.
    """
    texts = {party_id: _field(value) for party_id, value in external_ids.items()}
    known = {PARTY: "external_id", **texts}.get
    return "".join(
        [
            f"{party_id},{known(party_id, '')}{line[len(party_id) :]}\n"
            for line, party_id in zip(lines, party_ids, strict=True)
        ]
    )


def _field(value: str) -> str:
    return value if SPECIAL.isdisjoint(value) else '"' + value.replace('"', '""') + '"'
