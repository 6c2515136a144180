"""Standings as lines of a file, which others read with programs of their own."""

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
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
)
"""New columns are added behind; these keep their places."""

HEADER = ",".join(COLUMNS) + "\n"

Line = tuple[UUID, datetime, Standing]
"""A party, when, and how it stands then."""


def lines(standings: Sequence[Line], ruling: Ruling) -> str:
    """One line of CSV for each: money in decimal major units, flags with blanks between; what is not known is empty."""
    currency = ruling.rates.currency or ""
    # Without a reporting currency nothing was counted yet: two decimals, as most have.
    digits = MINOR_DIGITS.get(currency, 2)
    policy, model = ruling.policy.name, ruling.model.content_hash if ruling.model else ""
    days: dict[datetime, int] = {}
    written: list[str] = []
    for party_id, at, standing in standings:
        first, last, count = standing.first_day, standing.last_day, standing.purchase_days
        x = tx_days = T_days = ""
        if first is not None and last is not None:
            day = days.get(at)
            if day is None:
                day = days[at] = ruling.day(at)
            begun = first.toordinal()
            x, tx_days, T_days = str(count - 1), str(last.toordinal() - begun), str(day - begun)
        # None has a comma, a quote or a line feed in it: they are numbers, days and codes.
        written.append(
            ",".join(
                (
                    f"party_{party_id.hex}",
                    standing.stage or "",
                    standing.tier or "",
                    _money(standing.value_minor, digits),
                    currency,
                    x,
                    tx_days,
                    T_days,
                    _money(standing.spend_minor, digits),
                    _day(standing.since),
                    _instant(standing.next_change_at),
                    policy,
                    model,
                    "" if standing.p is None else repr(standing.p),
                    _money(standing.turnover_minor, digits),
                    standing.level or "",
                    "" if standing.satisfaction is None else repr(standing.satisfaction),
                    standing.satisfaction_band or "",
                    "" if standing.loyalty is None else repr(standing.loyalty),
                    standing.loyalty_band or "",
                    standing.posture or "",
                    standing.treatment or "",
                    " ".join(standing.flags),
                    "true" if standing.vip else "false",
                    _day(standing.last_contact_day),
                )
            )
        )
    return "\n".join([*written, ""])


def _money(amount_minor: int, digits: int) -> str:
    """The same as `contracts.money.major` writes."""
    if not digits:
        return str(amount_minor)
    whole, rest = divmod(abs(amount_minor), 10**digits)
    return f"{'-' if amount_minor < 0 else ''}{whole}.{rest:0{digits}d}"


@lru_cache(maxsize=20_000)
def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


@lru_cache(maxsize=20_000)
def _instant(at: datetime | None) -> str:
    return "" if at is None else at.isoformat().replace("+00:00", "Z")
