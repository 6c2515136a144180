"""The second implementation: slow, from the facts themselves, day by day, sharing no step with the first.

Verification compares both. Nothing here may be made faster by what the first one knows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from contracts.money import MINOR_DIGITS
from contracts.scoring import Stage
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.plain_grades import Outcome, Walk
from services.scoring.domain.plain_stages import FARTHEST
from services.scoring.domain.policy import Policy
from services.scoring.domain.standing import Standing
from services.scoring.domain.tiers import Cuts

if TYPE_CHECKING:
    from services.scoring.domain.model import Model
    from services.scoring.domain.ruling import Decided

_EXACT = Context(prec=60)
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
        if fact.kind is Kind.LEAD_GRADED:
            at = fact.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
            detail = f"{at}|{'DCBA'.index(detail)}|{detail}"
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
    model: "Model | None" = None,
    currency: str | None,
    rates: Rows,
    zone: ZoneInfo,
    earlier: Sequence["Decided"] = (),
) -> Standing:
    """The standing of a party at an instant from the facts that count for it.

    `earlier` is what decided of its stage before, the latest first.
    """
    entries = plain_entries(facts, zone)
    gross: defaultdict[int, int] = defaultdict(int)
    net: defaultdict[int, int] = defaultdict(int)
    for (day, kind, code), (_, amount) in entries.items():
        if kind in (Kind.PURCHASE, Kind.RETURN):
            worth = _converted(amount, code, day, currency, rates)
            net[day.toordinal()] += worth if kind is Kind.PURCHASE else -worth
            if kind is Kind.PURCHASE:
                gross[day.toordinal()] += worth
    today = at.astimezone(zone).date().toordinal()
    walk = Walk(entries, gross, net, policy, cuts, model, today)
    since, until = _walked(walk, today), today
    for before in earlier:
        until = min(until, before.until)
        if since > until:
            break
        then = Walk(entries, gross, net, before.policy, cuts, before.model, until)
        since = _walked(then, until)
        if then.stage() is not walk.stage():
            since = until
            break
    outcome, derived = walk.told()
    numbers, derived_numbers = walk.counted()
    standing = Standing(
        stage=outcome.stage,
        tier=outcome.tier,
        since=_date(since) if outcome.stage else None,
        p=numbers["p"],
        value_minor=numbers["value_minor"],
        turnover_minor=numbers["turnover_minor"],
        level=outcome.level,
        spend_minor=walk.spend,
        purchase_days=walk.days_bought,
        first_day=_date(walk.first_bought),
        last_day=_date(walk.bought),
        last_sign_day=_date(walk.sign),
        last_contact_day=_date(walk.contact),
        loss_reason=outcome.loss_reason,
        satisfaction=numbers["satisfaction_index"] if walk.known else None,
        satisfaction_band=outcome.satisfaction,
        satisfaction_evidence=walk.satisfaction.evidence(today),
        loyalty=numbers["loyalty_index"] if walk.known else None,
        loyalty_band=outcome.loyalty,
        loyalty_evidence=walk.loyalty.evidence(today),
        posture=outcome.posture,
        treatment=outcome.treatment,
        flags=outcome.flags,
        vip=outcome.vip,
        potential=outcome.potential,
        derived=derived | derived_numbers,
        next_change_at=None,
        next_stage_at=None,
        next_stage=None,
    )
    # From here on the walk is on later days.
    turned, stage_turned, next_stage = _turns(walk, outcome)
    return msgspec.structs.replace(
        standing,
        next_change_at=_first_instant(turned, zone),
        next_stage_at=_first_instant(stage_turned, zone),
        next_stage=next_stage,
    )


def _walked(walk: Walk, until: int) -> int:
    """Walk on to a day, and tell the first day of the stage that holds then."""
    stage, since = walk.stage(), until
    while walk.day < until:
        if walk.stays(stage_alone=True):
            walk.rest(until)
            break
        silent, by_hand = walk.stage_by_silence(), walk.overridden()
        walk.step()
        if not (stage is silent is walk.stage(by_hand) is walk.stage()):
            stage, since = walk.stage(), walk.day
    return since


def _turns(walk: Walk, now: Outcome) -> tuple[int | None, int | None, Stage | None]:
    """The next days on which anything differs, and the stage, and to which: None where they never do."""
    turned: int | None = None
    asked = walk.day
    while not walk.stays(stage_alone=turned is not None):
        if walk.day >= max(walk.quiet_from, asked + FARTHEST, (walk.bought or asked) + FARTHEST):
            break
        if walk.day >= walk.quiet_from:
            walk.leap()
        by_hand = walk.overridden()
        walk.step()
        if turned is None and (walk.outcome() != now or _renumbered(walk, by_hand)):
            turned = walk.day
        if walk.stage() is not now.stage:
            return turned, walk.day, walk.stage()
    return turned, None, None


def _renumbered(walk: Walk, by_hand: Mapping[str, str]) -> bool:
    """Whether a number is another than it would be with what was set by hand on the eve."""
    return walk.overridden() != by_hand and walk.counted()[0] != walk.counted(by_hand)[0]


def _date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)


def _converted(amount: int, code: str, day: date, currency: str | None, rates: Rows) -> int:
    if code == currency:
        return amount
    known = [(since, place, rate) for place, (since, of, rate) in enumerate(rates) if of == code and since <= day]
    if not known:
        return 0
    shift = MINOR_DIGITS.get(currency or "", 2) - MINOR_DIGITS.get(code, 2)
    exact = _EXACT.scaleb(_EXACT.multiply(Decimal(amount), max(known)[2]), Decimal(shift))
    return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


def _first_instant(ordinal: int | None, zone: ZoneInfo) -> datetime | None:
    """Quarter of an hour by quarter of an hour: no zone has shifted by less since 1972."""
    if ordinal is None:
        return None
    day = date.fromordinal(ordinal)
    instant = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=16)
    while instant.astimezone(zone).date() < day:
        instant += timedelta(minutes=15)
    return instant
