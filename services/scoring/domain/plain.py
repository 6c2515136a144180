"""The second implementation: slow, from the facts themselves, day by day, sharing no step with the first.

Verification compares both. Nothing here may be made faster by what the first one knows.
"""

from collections.abc import Iterable, Mapping, Sequence
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
NOTHING: tuple[Stage | None, Tier | None] = (None, None)
"""No standing."""
Rows = Sequence[tuple[date, str, Decimal]]
"""Day, currency, units of the reporting currency for one unit of it."""


def counting(facts: Iterable[Fact], withdrawn: Iterable[tuple[UUID, UUID]]) -> list[Fact]:
    """The facts that count: each id once, without those withdrawn or replaced, given as (fact, identity)."""
    gone = set(withdrawn)
    once = {fact.fact_id: fact for fact in facts}
    return [fact for fact in once.values() if (fact.fact_id, fact.identity_id) not in gone]


def held(
    facts: Iterable[Fact], holdings: Mapping[UUID, Sequence[tuple[UUID, date | None]]], party: UUID, zone: ZoneInfo
) -> list[Fact]:
    """The facts that are a party's: of each identity the days on which it is the last holder to have begun.

    Holders are given with their first local day (None: from the beginning); an identity without any is its own party.
    """
    mine = []
    for fact in facts:
        day = fact.occurred_at.astimezone(zone).date()
        begun = [who for who, start in holdings.get(fact.identity_id, ()) if start is None or start <= day]
        if (begun[-1] if begun else fact.identity_id) == party:
            mine.append(fact)
    return mine


def plain_entries(facts: Iterable[Fact], zone: ZoneInfo) -> dict[tuple[date, Kind, str], tuple[int, int]]:
    """Count and sum of the facts that count, by local day, kind and currency: what their calendar has to hold."""
    entries: dict[tuple[date, Kind, str], tuple[int, int]] = {}
    for fact in facts:
        key = fact.occurred_at.astimezone(zone).date(), fact.kind, fact.currency
        count, amount = entries.get(key, (0, 0))
        entries[key] = count + 1, amount + fact.amount_minor
    return entries


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
    today, entries = at.astimezone(zone).date(), plain_entries(facts, zone)
    bought = {day for day, kind, _ in entries if kind is Kind.PURCHASE}
    gross, net = dict.fromkeys(bought, 0), dict.fromkeys((day for day, _, _ in entries), 0)
    for (day, kind, code), (_, amount) in entries.items():
        worth = _converted(amount, code, day, currency, rates)
        if kind is Kind.PURCHASE:
            gross[day] += worth
            net[day] += worth
        elif kind is Kind.RETURN:
            net[day] -= worth

    def value(day: date) -> int:
        return sum(amount for of, amount in net.items() if 0 <= (day - of).days < policy.turnover_days)

    first, last = min([today, *net]), max(net, default=today)
    # To the day after which time alone changes nothing, which may lie long before today.
    walk = [first + timedelta(days=n) for n in range((last - first).days + _longest(policy) + 1)]
    outcomes: dict[date, tuple[Stage | None, Tier | None]] = {}
    known, last_bought, worth = False, None, 0
    for day in walk:
        known = known or day in net
        last_bought = day if day in bought else last_bought
        worth += net.get(day, 0) - net.get(day - timedelta(days=policy.turnover_days), 0)
        outcomes[day] = _outcome(day, known=known, last_bought=last_bought, worth=worth, policy=policy, cuts=cuts)

    stage, tier = now = outcomes[min(today, walk[-1])]
    began = (day for day in reversed(walk) if day <= today and outcomes.get(_before(day), NOTHING)[0] != stage)
    turned = next((day for day in walk if day > today and outcomes[day] != now), None)
    days = sorted(day for day in bought if day <= today)
    return Standing(
        stage=stage,
        tier=tier,
        since=next(began) if stage else None,
        value_minor=value(today),
        spend_minor=sum(amount for day, amount in gross.items() if day <= today),
        purchase_days=len(days),
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
        next_change_at=_first_instant(turned, zone) if turned else None,
    )


def _outcome(
    day: date, *, known: bool, last_bought: date | None, worth: int, policy: Policy, cuts: Cuts
) -> tuple[Stage | None, Tier | None]:
    if not known:
        return NOTHING
    if last_bought is None:
        return Stage.STRANGER, Tier.UNPROVEN
    amounts = ((Tier.TOP, cuts.top), (Tier.HIGH, cuts.high), (Tier.MID, cuts.mid))
    tier = next((name for name, least in amounts if worth >= least), Tier.LOW)
    if (day - last_bought).days > policy.lost_after_days:
        return Stage.LOST_CUSTOMER, tier
    return (Stage.DORMANT_CUSTOMER if (day - last_bought).days > policy.dormant_after_days else Stage.CUSTOMER), tier


def _longest(policy: Policy) -> int:
    """Days after the last fact on which time alone can still change anything."""
    return max(policy.lost_after_days + 1, policy.turnover_days)


def _before(day: date) -> date:
    return day - timedelta(days=1)


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
