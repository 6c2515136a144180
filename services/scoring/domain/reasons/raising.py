"""What becomes of a party by one more fact, and which purchase raises its tier."""

from math import ceil, isfinite

from services.scoring.domain.calendar import Calendar
from services.scoring.domain.facts import Kind
from services.scoring.domain.history import History
from services.scoring.domain.model import Model
from services.scoring.domain.reasons.ground import Subject

MOST = 10**13
"""Nobody is told to spend more minor units than these."""


def with_fact(calendar: Calendar, day: int, kind: Kind, detail: str = "", amount_minor: int = 0) -> Calendar:
    """The calendar with one more fact on a day."""
    return calendar + Calendar(((day, int(kind), detail, 1, amount_minor),))


def history_with(of: Subject, kind: Kind, day: int, amount_minor: int) -> History:
    """The history of a party with one more fact on a day."""
    detail = of.ruling.rates.currency or "" if kind is Kind.PURCHASE else ""
    return of.history.changed(with_fact(of.calendar, day, kind, detail, amount_minor), day)


def usual_minor(of: Subject) -> int:
    """What a purchase day of the party was worth on average."""
    return of.history.spend(of.day) // of.bought if of.bought else 0


def to_the_next_tier(of: Subject) -> int:
    """The least amount of a purchase on the day that makes a higher tier; the usual one where none would."""
    cuts, value = of.ruling.cuts, of.history.value(of.day)
    above = [least for least in (cuts.mid, cuts.high, cuts.top) if least > value]
    if not above:
        return usual_minor(of)
    if of.ruling.model is None or not of.history.expects:
        return above[0] - value
    amount = _expecting(of, of.ruling.model, above[0])
    return usual_minor(of) if amount is None else amount


def _expecting(of: Subject, model: Model, least: int) -> int | None:
    """The amount of a purchase on the day with which so much is expected; None where no amount of it would do."""
    if model.p is None or model.q is None or model.v is None or model.q <= 1:
        return None
    first = of.history.purchase_days[0] if of.bought else of.day
    again = of.bought and of.history.last_purchase(of.day) == of.day
    x, age = (of.bought - 1 if again else of.bought), of.day - first
    purchases = model.expected_purchases(x, age, age, of.policy.turnover_days)
    worth = of.history.gross[: of.bought]
    paid = [each for each in worth if each > 0]
    paid_days = len(paid) + (0 if again and worth[-1] > 0 else 1)
    if purchases <= 0:
        return None
    exact = least / purchases * (model.p * paid_days + model.q - 1) / model.p - model.v - sum(paid)
    if not isfinite(exact) or exact > MOST:
        return None
    amount = max(1, ceil(exact))
    amounts = range(max(1, amount - 1), amount + 2)
    return next(
        (each for each in amounts if history_with(of, Kind.PURCHASE, of.day, each).value(of.day) >= least), None
    )
