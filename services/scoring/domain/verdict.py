"""Where what is stored differs from what the facts give, by the second, plain implementation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.plain import Rows, held, plain_entries, plain_standing
from services.scoring.domain.ruling import Ruling

Holdings = Mapping[UUID, Sequence[tuple[UUID, date | None]]]
"""Of each assigned identity its holders with their first local days, in day order."""


COMPUTED_ON_READ = frozenset({"satisfaction_evidence", "loyalty_evidence", "derived"})
"""Parts of a standing that are not stored."""


class Difference(msgspec.Struct, frozen=True):
    """Something stored that the facts do not give."""

    party_id: UUID | None
    """None where it is about no single party: a sum of the summary."""
    identity_id: UUID | None
    """Where it is about one identity."""
    field: str
    stored: str | None
    computed: str | None


class Evidence(msgspec.Struct, frozen=True):
    """Everything that is stored about a party, as it lies there."""

    row: Mapping[str, Any]
    holdings: Holdings
    identities: frozenset[UUID]
    """Those of which the party holds any day."""
    facts: Sequence[Fact]
    """Those of its identities that count, also on days that are another's."""
    years: Mapping[UUID, Sequence[tuple[int, bytes]]]


def verdict(
    evidence: Evidence, ruling: Ruling | None, rates: Rows, *, waiting: bool = False
) -> tuple[int, list[Difference]]:
    """How many facts count for a party, and what is stored otherwise than they and the ruling it stands under say.

    Of one that is `waiting` to be assessed by rebuilt calendars only these are compared.
    """
    row, party_id = evidence.row, evidence.row["party_id"]
    if ruling is None or row["assessed_at"] is None:
        there = bool(evidence.facts) or row["stage"] is not None
        return len(evidence.facts), [Difference(party_id, None, "assessed_at", None, "some time")] if there else []
    zone = ruling.zone
    mine = held(evidence.facts, evidence.holdings, party_id, zone)
    found = [] if waiting else list(_standings(row, mine, ruling, rates))
    for identity_id in sorted(evidence.identities):
        # A calendar that several parties share is compared once.
        if next(iter(evidence.holdings.get(identity_id, ())), (party_id, None))[0] == party_id:
            facts = [fact for fact in evidence.facts if fact.identity_id == identity_id]
            found += _calendars(party_id, identity_id, evidence.years.get(identity_id, ()), facts, zone)
    return len(mine), found


def _standings(row: Mapping[str, Any], mine: Sequence[Fact], ruling: Ruling, rates: Rows) -> Iterator[Difference]:
    computed = plain_standing(
        mine, row["assessed_at"], ruling.policy, ruling.cuts,
        model=ruling.model, currency=ruling.rates.currency, rates=rates, zone=ruling.zone,
        earlier=ruling.earlier,
    )  # fmt: skip
    first_identity = min((fact.identity_id for fact in mine), default=None)
    for field, value in {**msgspec.structs.asdict(computed), "first_identity": first_identity}.items():
        if field in COMPUTED_ON_READ:
            continue
        # What is rounded to a quantum is stored to the digit; of an array the driver makes a list.
        stored = tuple(row[field]) if isinstance(row[field], list) else row[field]
        if stored != value:
            yield Difference(row["party_id"], None, field, _text(stored), _text(value))


def _calendars(
    party_id: UUID, identity_id: UUID, years: Iterable[tuple[int, bytes]], facts: Sequence[Fact], zone: ZoneInfo
) -> Iterator[Difference]:
    stored: dict[tuple[date, Kind, str], tuple[int, int]] = {}
    try:
        for year, days in years:
            for ordinal, kind, detail, count, amount in msgspec.msgpack.decode(days):
                day = date.fromordinal(ordinal)
                if day.year != year or (day, Kind(kind), detail) in stored:
                    raise ValueError
                stored[day, Kind(kind), detail] = count, amount
    except (ValueError, TypeError, OverflowError):
        yield Difference(party_id, identity_id, "calendar", "unreadable", None)
        return
    computed = plain_entries(facts, zone)
    for key in sorted(stored.keys() | computed.keys()):
        if stored.get(key) != computed.get(key):
            day, kind, detail = key
            field = " ".join(filter(None, ("calendar", str(day), kind.code, detail)))
            yield Difference(party_id, identity_id, field, _entry(stored.get(key)), _entry(computed.get(key)))


def _entry(entry: tuple[int, int] | None) -> str | None:
    return None if entry is None else f"{entry[0]} facts, {entry[1]} minor units"


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
