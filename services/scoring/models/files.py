"""Standings as lines of a file, which others read with programs of their own."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from itertools import repeat
from uuid import UUID

from contracts.money import MINOR_DIGITS
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import Standing

COLUMNS = (
    "party_id",
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
    "last_contact_day",
    "potential",
    "policy_hash",
)
"""New columns are added behind; these keep their places."""

HEADER = ",".join(COLUMNS) + "\n"

Line = tuple[UUID, datetime, Standing]
"""A party, when, and how it stands then."""


def lines(standings: Sequence[Line], ruling: Ruling) -> str:
    """One line of CSV for each: money in decimal major units, flags with blanks between; what is not known is empty."""
    if not standings:
        return ""
    currency = ruling.rates.currency or ""
    # Without a reporting currency nothing was counted yet: two decimals, as most have.
    digits = MINOR_DIGITS.get(currency, 2)
    parties, ats, found = zip(*standings, strict=True)
    days = {at: ruling.day(at) for at in set(ats)}
    # Column by column, which takes less time than row by row. None has a comma, a quote or a line feed in it:
    # they are numbers, days and codes.
    columns: tuple[Iterable[str], ...] = (
        [f"party_{party_id.hex}" for party_id in parties],
        [each.stage or "" for each in found],
        [each.tier or "" for each in found],
        _money([each.value_minor for each in found], digits),
        repeat(currency),
        *zip(*(_course(each, days[at]) for each, at in zip(found, ats, strict=True)), strict=True),
        _money([each.spend_minor for each in found], digits),
        [_day(each.since) for each in found],
        [_instant(each.next_change_at) for each in found],
        repeat(ruling.policy.name),
        repeat(ruling.model.content_hash if ruling.model else ""),
        [_number(each.p) for each in found],
        _money([each.turnover_minor for each in found], digits),
        [each.level or "" for each in found],
        [_number(each.satisfaction) for each in found],
        [each.satisfaction_band or "" for each in found],
        [_number(each.loyalty) for each in found],
        [each.loyalty_band or "" for each in found],
        [each.posture or "" for each in found],
        [each.treatment or "" for each in found],
        [" ".join(each.flags) for each in found],
        ["true" if each.vip else "false" for each in found],
        [_day(each.last_contact_day) for each in found],
        [each.potential or "" for each in found],
        repeat(ruling.policy.content_hash),
    )
    return "\n".join([*map(",".join, zip(*columns, strict=False)), ""])


def _course(standing: Standing, day: int) -> tuple[str, str, str]:
    """What a model knows of a buyer: purchases behind the first, days to the last of them, and to a day (ordinal)."""
    first, last = standing.first_day, standing.last_day
    if first is None or last is None:
        return "", "", ""
    begun = first.toordinal()
    return str(standing.purchase_days - 1), str(last.toordinal() - begun), str(day - begun)


def _money(amounts_minor: Sequence[int], digits: int) -> list[str]:
    """The same as `contracts.money.major` writes of each."""
    if not digits:
        return list(map(str, amounts_minor))
    form, unit = f"%d.%0{digits}d", 10**digits
    return [
        form % divmod(amount, unit) if amount >= 0 else f"-{form % divmod(-amount, unit)}" for amount in amounts_minor
    ]


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


@lru_cache(maxsize=20_000)
def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


@lru_cache(maxsize=20_000)
def _instant(at: datetime | None) -> str:
    return "" if at is None else at.isoformat().replace("+00:00", "Z")
