"""The second implementation: slow, from the facts themselves, day by day, sharing no step with the first.

Verification compares both. Nothing here may be made faster by what the first one knows.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.money import MINOR_DIGITS
from contracts.scoring import Stage, Tier
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.policy import Policy
from services.scoring.domain.standing import Standing
from services.scoring.domain.tiers import Cuts

_EXACT = Context(prec=60)
Rows = Sequence[tuple[date, str, Decimal]]
"""Day, currency, units of the reporting currency for one unit of it."""


def counting(facts: Iterable[Fact], withdrawn: Iterable[tuple[UUID, UUID]]) -> list[Fact]:
    """The facts that count: each id once, without those withdrawn or replaced, given as (fact, identity)."""
    gone = set(withdrawn)
    once = {fact.fact_id: fact for fact in facts}
    return [fact for fact in once.values() if (fact.fact_id, fact.identity_id) not in gone]


def plain_standing(
    facts: Sequence[Fact],
    at: datetime,
    policy: Policy,
    cuts: Cuts,
    *,
    currency: str | None,
    rates: Rows,
    zone: ZoneInfo,
) -> Standing:
    """The standing of a party at an instant from the facts that count for it."""
    dated = [(fact.occurred_at.astimezone(zone).date(), fact) for fact in facts]
    today = at.astimezone(zone).date()

    def money(until: date, after: date | None, kind: Kind) -> int:
        sums: dict[tuple[date, str], int] = {}
        for day, fact in dated:
            if fact.kind is kind and day <= until and (after is None or day > after):
                sums[day, fact.currency] = sums.get((day, fact.currency), 0) + fact.amount_minor
        return sum(_converted(amount, code, day, currency, rates) for (day, code), amount in sums.items())

    def value(day: date) -> int:
        start = day - timedelta(days=policy.turnover_days)
        return money(day, start, Kind.PURCHASE) - money(day, start, Kind.RETURN)

    def bought(until: date) -> list[date]:
        return sorted({day for day, fact in dated if fact.kind is Kind.PURCHASE and day <= until})

    def stage(day: date) -> Stage | None:
        if not any(of <= day for of, _ in dated):
            return None
        days = bought(day)
        if not days:
            return Stage.STRANGER
        if (day - days[-1]).days > policy.lost_after_days:
            return Stage.LOST_CUSTOMER
        return Stage.DORMANT_CUSTOMER if (day - days[-1]).days > policy.dormant_after_days else Stage.CUSTOMER

    def tier(day: date) -> Tier | None:
        if not any(of <= day for of, _ in dated):
            return None
        if not bought(day):
            return Tier.UNPROVEN
        worth = value(day)
        amounts = ((Tier.TOP, cuts.top), (Tier.HIGH, cuts.high), (Tier.MID, cuts.mid))
        return next((name for name, least in amounts if worth >= least), Tier.LOW)

    now = stage(today), tier(today)
    since: date | None = None
    if now[0] is not None:
        since = today
        while stage(since - timedelta(days=1)) == now[0]:
            since -= timedelta(days=1)
    horizon = max([today, *(day for day, _ in dated)]) + timedelta(
        days=max(policy.lost_after_days + 1, policy.turnover_days)
    )
    turned = today
    while turned <= horizon and (stage(turned), tier(turned)) == now:
        turned += timedelta(days=1)
    days = bought(today)
    return Standing(
        stage=now[0],
        tier=now[1],
        since=since,
        value_minor=value(today),
        spend_minor=money(today, None, Kind.PURCHASE),
        purchase_days=len(days),
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
        next_change_at=_first_instant(turned, zone) if turned <= horizon else None,
    )


def _converted(amount: int, code: str, day: date, currency: str | None, rates: Rows) -> int:
    if code == currency:
        return amount
    known = [(since, place, rate) for place, (since, of, rate) in enumerate(rates) if of == code and since <= day]
    if not known:
        return 0
    shift = MINOR_DIGITS.get(currency or "", 2) - MINOR_DIGITS.get(code, 2)
    exact = _EXACT.scaleb(_EXACT.multiply(Decimal(amount), max(known)[2]), Decimal(shift))
    return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


def _first_instant(day: date, zone: ZoneInfo) -> datetime:
    """Quarter of an hour by quarter of an hour: no zone has shifted by less since 1972."""
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=16)
    while instant.astimezone(zone).date() < day:
        instant += timedelta(minutes=15)
    return instant
