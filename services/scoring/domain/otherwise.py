"""What would hold with other facts: a standing explained by what would change it."""

from collections.abc import Collection, Iterable, Iterator
from datetime import date

import msgspec

from contracts.scoring import Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import DECLARATIONS, Kind
from services.scoring.domain.history import History
from services.scoring.domain.policy import Policy


class Otherwise(msgspec.Struct, frozen=True):
    """What would hold on the same day with other facts: without some of those there are, or with one more."""

    without: tuple[date, ...]
    """Days from which facts are taken away together."""
    without_kinds: tuple[str, ...]
    """The kinds that are taken away from these days."""
    added: str | None
    """Kind of a fact added on the day itself."""
    added_minor: int | None
    """Amount, in the reporting currency, where that is a purchase."""
    stage: Stage | None
    tier: Tier | None


def otherwise(calendar: Calendar, history: History, day: int) -> Iterator[Otherwise]:
    """What makes another stage or tier: going without the facts that keep the stage, or one more fact."""
    holds = history.outcome(day)
    return (other for other in _thought_of(calendar, history, day) if (other.stage, other.tier) != holds)


def _thought_of(calendar: Calendar, history: History, day: int) -> Iterator[Otherwise]:
    ruling, stage = history.ruling, history.stage(day)
    for kinds, days in _keeping(calendar, history, day):
        taken = tuple(date.fromordinal(of_day) for of_day in days)
        other = History(without_facts(calendar, kinds, taken), ruling)
        codes = tuple(kind.code for kind in sorted(kinds))
        yield Otherwise(taken, codes, None, None, other.stage(day), other.tier(day))
    if stage is None:
        return
    if history.last_purchase(day) is None and (sign := _likely_sign(ruling.policy)) is not None:
        other = History(with_fact(calendar, day, sign), ruling)
        yield Otherwise((), (), sign.code, None, other.stage(day), other.tier(day))
    if ruling.rates.currency is not None:
        rungs = [least for least in (ruling.cuts.mid, ruling.cuts.high, ruling.cuts.top) if least > history.value(day)]
        amount = rungs[0] - history.value(day) if rungs else 0
        other = History(with_fact(calendar, day, Kind.PURCHASE, ruling.rates.currency, amount), ruling)
        yield Otherwise((), (), Kind.PURCHASE.code, amount, other.stage(day), other.tier(day))


def with_fact(calendar: Calendar, day: int, kind: Kind, detail: str = "", amount_minor: int = 0) -> Calendar:
    """The calendar with one more fact on a day."""
    return calendar + Calendar(((day, int(kind), detail, 1, amount_minor),))


def without_facts(calendar: Calendar, kinds: Collection[Kind], days: Iterable[date]) -> Calendar:
    """The calendar without any fact of some kinds on some days."""
    gone = {day.toordinal() for day in days}
    return Calendar(tuple(entry for entry in calendar.entries if not (entry[1] in kinds and entry[0] in gone)))


def _keeping(calendar: Calendar, history: History, day: int) -> Iterator[tuple[frozenset[Kind], list[int]]]:
    """The facts that keep the stage, all of the kinds on all of the days together; silence may keep it without them."""
    prospects, by_days = history.stages.prospects, history.stages.by_days
    signs = frozenset(Kind(number) for number in prospects.sign_numbers)
    bought, sign = history.last_purchase(day), history.last_sign(day)
    match history.stage(day):
        case Stage.PROSPECT:
            yield signs, _within(history.sign_days, day, prospects.active_days)
        case Stage.DORMANT_PROSPECT:
            yield signs, _within(history.sign_days, day, prospects.lost_after_days)
        case Stage.CUSTOMER:
            yield (
                frozenset({Kind.PURCHASE}),
                _within(history.purchase_days, day, by_days.dormant_after_days),
            )
        case Stage.DORMANT_CUSTOMER:
            yield (
                frozenset({Kind.PURCHASE}),
                _within(history.purchase_days, day, by_days.lost_after_days),
            )
        case Stage.LOST_PROSPECT:
            days = [of_day for of_day in history.declared.days if (sign or 0) <= of_day <= day]
            if days:
                yield DECLARATIONS, days
        case Stage.LOST_CUSTOMER:
            days = [of_day for of_day in history.declined.days if (bought or 0) < of_day <= day]
            if days:
                yield frozenset({Kind.DECLINED}), days


def _within(days: list[int], day: int, silent_days: int) -> list[int]:
    return [of_day for of_day in days if day - silent_days <= of_day <= day]


def _likely_sign(policy: Policy) -> Kind | None:
    """The sign of interest to think of: an inquiry, or else the first of the policy."""
    signs = policy.persons.prospects.signs
    codes = (Kind.INQUIRED.code, *signs) if Kind.INQUIRED.code in signs else signs
    return Kind[codes[0].upper()] if codes else None
