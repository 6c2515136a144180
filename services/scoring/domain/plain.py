"""The second implementation: slow, from the facts themselves, day by day, sharing no step with the first.

Verification compares both. Nothing here may be made faster by what the first one knows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.loss import LossReason
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
    """Count and sum of the facts that count, by local day, kind and detail: what their calendar has to hold."""
    entries: dict[tuple[date, Kind, str], tuple[int, int]] = {}
    for fact in facts:
        day, detail = fact.occurred_at.astimezone(zone).date(), fact.detail
        if fact.kind is Kind.PROBLEM_SOLVED and fact.opened_at is not None:
            detail = fact.opened_at.astimezone(zone).date().isoformat()
        said = [(day, fact.kind, detail)]
        if fact.rating:
            said.append((day, Kind.RATED_WELL if fact.rating > 0 else Kind.RATED_POORLY, ""))
        for place, key in enumerate(said):
            count, amount = entries.get(key, (0, 0))
            entries[key] = count + 1, amount + (0 if place else fact.amount_minor)
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
        if kind is Kind.PURCHASE:
            gross[day] += _converted(amount, code, day, currency, rates)
            net[day] += _converted(amount, code, day, currency, rates)
        elif kind is Kind.RETURN:
            net[day] -= _converted(amount, code, day, currency, rates)

    def value(day: date) -> int:
        return sum(amount for of, amount in net.items() if 0 <= (day - of).days < policy.turnover_days)

    first, last = min([today, *net]), max(net, default=today)
    # To the day after which time alone changes nothing, which may lie long before today.
    walk = [first + timedelta(days=n) for n in range((last - first).days + _longest(policy) + 1)]
    outcomes: dict[date, tuple[Stage | None, Tier | None]] = {}
    happened: dict[date, set[tuple[Kind, str]]] = {}
    for day, kind, detail in entries:
        happened.setdefault(day, set()).add((kind, detail))
    lasts: dict[date, Lasts] = {}
    so_far, worth = Lasts(), 0
    for day in walk:
        so_far = lasts[day] = _after(so_far, day, happened[day], policy) if day in happened else so_far
        worth += net.get(day, 0) - net.get(day - timedelta(days=policy.turnover_days), 0)
        outcomes[day] = _stage(day, so_far, policy), _tier(so_far, worth, cuts)

    stood = min(today, walk[-1])
    stage, tier = now = outcomes[stood]
    began = (day for day in reversed(walk) if day <= today and outcomes.get(_before(day), NOTHING)[0] != stage)
    turned = next((day for day in walk if day > today and outcomes[day] != now), None)
    stage_turned = next((day for day in walk if day > today and outcomes[day][0] != stage), None)
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
        last_sign_day=lasts[stood].sign,
        loss_reason=_loss_reason(stage, lasts[stood]),
        next_change_at=_first_instant(turned, zone) if turned else None,
        next_stage_at=_first_instant(stage_turned, zone) if stage_turned else None,
        next_stage=outcomes[stage_turned][0] if stage_turned else None,
    )


@dataclass(frozen=True)
class Lasts:
    """The last day up to one on which each of these happened, and what was said on it."""

    known: date | None = None
    bought: date | None = None
    sign: date | None = None
    declared: date | None = None
    """A lead lost or disqualified, or the party declined."""
    declared_reasons: frozenset[str] = frozenset()
    declined: date | None = None
    declined_reasons: frozenset[str] = frozenset()


def _after(before: Lasts, day: date, done: set[tuple[Kind, str]], policy: Policy) -> Lasts:
    kinds = {kind for kind, _ in done}
    against = {detail for kind, detail in done if kind in (Kind.LEAD_LOST, Kind.LEAD_DISQUALIFIED, Kind.DECLINED)}
    declining = {detail for kind, detail in done if kind is Kind.DECLINED}
    return Lasts(
        known=day,
        bought=day if Kind.PURCHASE in kinds else before.bought,
        sign=day if any(kind.name.lower() in policy.persons.prospects.signs for kind in kinds) else before.sign,
        declared=day if against else before.declared,
        declared_reasons=frozenset(against) or before.declared_reasons,
        declined=day if declining else before.declined,
        declined_reasons=frozenset(declining) or before.declined_reasons,
    )


def _stage(day: date, lasts: Lasts, policy: Policy) -> Stage | None:
    if lasts.known is None:
        return None
    if lasts.bought is not None:
        if lasts.declined is not None and lasts.declined > lasts.bought:
            return Stage.LOST_CUSTOMER
        silent = (day - lasts.bought).days
        if silent > policy.persons.by_days.lost_after_days:
            return Stage.LOST_CUSTOMER
        return Stage.DORMANT_CUSTOMER if silent > policy.persons.by_days.dormant_after_days else Stage.CUSTOMER
    if lasts.declared is not None and (lasts.sign is None or lasts.declared >= lasts.sign):
        return Stage.LOST_PROSPECT
    if lasts.sign is None:
        return Stage.STRANGER
    silent = (day - lasts.sign).days
    if silent > policy.persons.prospects.lost_after_days:
        return Stage.LOST_PROSPECT
    return Stage.DORMANT_PROSPECT if silent > policy.persons.prospects.active_days else Stage.PROSPECT


def _tier(lasts: Lasts, worth: int, cuts: Cuts) -> Tier | None:
    if lasts.known is None:
        return None
    if lasts.bought is None:
        return Tier.UNPROVEN
    amounts = ((Tier.TOP, cuts.top), (Tier.HIGH, cuts.high), (Tier.MID, cuts.mid))
    return next((name for name, least in amounts if worth >= least), Tier.LOW)


def _loss_reason(stage: Stage | None, lasts: Lasts) -> LossReason | None:
    """Of several reasons on one day the one that the taxonomy has first."""
    reasons: frozenset[str] = frozenset()
    if stage is Stage.LOST_PROSPECT:
        if lasts.declared is not None and (lasts.sign is None or lasts.sign <= lasts.declared):
            reasons = lasts.declared_reasons
    elif stage is Stage.LOST_CUSTOMER and lasts.bought is not None:
        if lasts.declined is not None and lasts.declined > lasts.bought:
            reasons = lasts.declined_reasons
        elif lasts.declared is not None and lasts.declared >= lasts.bought:
            reasons = lasts.declared_reasons
    else:
        return None
    return next((reason for reason in LossReason if reason.value in reasons), LossReason.UNKNOWN)


def _longest(policy: Policy) -> int:
    """Days after the last fact on which time alone can still change anything."""
    return max(
        policy.persons.by_days.lost_after_days + 1, policy.persons.prospects.lost_after_days + 1, policy.turnover_days
    )


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
