"""What a party is worth: turnover, what a model expects, the tier, and whether it makes profit."""

from collections.abc import Iterator
from datetime import date
from typing import Literal

from contracts.scoring import Tier
from services.scoring.domain.facts import Kind
from services.scoring.domain.model import Model
from services.scoring.domain.overrides import Field
from services.scoring.domain.policy import Level
from services.scoring.domain.reasons.ground import Ground, Subject
from services.scoring.domain.tiers import Cuts


class Bought(Ground):
    """What a model asks of whoever bought."""

    x: int
    """Purchase days after the first."""
    tx_days: int
    """Days from the first purchase day to the last."""
    T_days: int
    """Days from the first purchase day to the day of the assessment, or to the 36,500th day after the last one."""
    paid_days: int
    """Purchase days with an amount above zero that converts."""
    paid_minor: int
    """The sum of these amounts, gross."""


class Fitted(Ground):
    """The model that was asked: parameters in weeks, of amounts in minor units."""

    hash: str
    """Its content hash."""
    as_of: date
    """The last day of what was known to it."""
    r: float
    alpha: float
    a: float
    b: float
    p: float | None
    q: float | None
    v: float | None
    mean_minor: float
    """Mean amount of a purchase day of the population."""


class Chances(Ground):
    """What a model expects of a party that has bought (`bgnbd`, `gamma_gamma`)."""

    p_alive: float
    """The probability that they have not left for good."""
    horizon_days: int
    p: float
    """The probability that they buy within the horizon, to six decimals."""
    value_days: int
    """The days of which purchases are expected below."""
    purchases: float
    """How many purchases to expect within these days."""
    amount_minor: float | None
    """The amount to expect of each; None where the model knows no amounts."""


class DayMoney(Ground):
    """What came and went on a day, at the rates of the day."""

    day: date
    bought_minor: int
    returned_minor: int


class TurnoverGround(Ground):
    """Net turnover of the policy's window, and the level that it makes."""

    turnover_minor: int
    window_days: int
    """So many days; the last is the day itself."""
    start: date
    """The first of them."""
    days: tuple[DayMoney, ...]
    """Those of the window with money that counts."""
    unconverted: dict[str, int]
    """Net minor units of the window, by currency, for which there is no rate; they are left out."""
    as_set: int | None
    """The turnover that a person set in its place; the level follows from it."""
    level: str | None
    levels: tuple[Level, ...]
    """From the highest to the lowest; the first whose amount is reached."""


class TierGround(Ground):
    """What decided the tier."""

    tier: Tier
    """What the facts, or the value as it is set, give."""
    by: Literal["no_purchase", "turnover", "expected"]
    """Nothing was bought yet; the net turnover counts; or what is expected: purchases times the amount of each."""
    value_minor: int
    as_set: int | None
    """The value that a person set in its place, or the turnover where that is the value; the tier follows from it."""
    cuts: Cuts


class Cost(Ground):
    """What facts of one kind cost us in the window."""

    kind: str
    count: int
    each_minor: int
    minor: int


class ProfitGround(Ground):
    """Whether a party makes profit."""

    margin: float
    turnover_minor: int
    """As a person set it, where somebody did."""
    margin_minor: int
    """The margin of the turnover, half-even."""
    costs: tuple[Cost, ...]
    profit_minor: int
    """The margin less all costs."""


def bought(of: Subject) -> Bought | None:
    """What a model asks of a party; None without a purchase."""
    if not of.bought:
        return None
    x, tx, T = of.history.asked(of.day, of.bought)
    paid = [worth for worth in of.history.gross[: of.bought] if worth > 0]
    return Bought(x=x, tx_days=tx, T_days=T, paid_days=len(paid), paid_minor=sum(paid))


def fitted(model: Model) -> Fitted:
    """A model with what it is made of."""
    return Fitted(
        hash=model.content_hash,
        **{name: getattr(model, name) for name in Fitted.model_fields if name != "hash"},
    )


def chances(of: Subject, bought: Bought | None) -> Chances | None:
    """What the model answers; None without one, or without a purchase."""
    model, p = of.ruling.model, of.history.p(of.day)
    if model is None or bought is None or p is None:
        return None
    x, tx, T = bought.x, bought.tx_days, bought.T_days
    return Chances(
        p_alive=model.p_alive(x, tx, T),
        horizon_days=of.policy.horizon_days,
        p=p,
        value_days=of.policy.turnover_days,
        purchases=model.expected_purchases(x, tx, T, of.policy.turnover_days),
        amount_minor=model.expected_amount(bought.paid_days, bought.paid_minor) if of.history.expects else None,
    )


def turnover_ground(of: Subject) -> TurnoverGround:
    """What came and went, and the level that it makes."""
    turnover, counted = of.history.turnover(of.day), of.numbers.turnover_minor
    unconverted: dict[str, int] = {}
    for (day, kind, currency), amount in of.history.unconverted.items():
        if day in of.window:
            net = amount if kind == Kind.PURCHASE else -amount
            unconverted[currency] = unconverted.get(currency, 0) + net
    return TurnoverGround(
        turnover_minor=turnover,
        window_days=of.policy.turnover_days,
        start=date.fromordinal(of.window.start),
        days=tuple(
            DayMoney(day=date.fromordinal(day), bought_minor=came, returned_minor=went)
            for day, came, went in of.history.earned(of.window.start, of.day)
        ),
        unconverted=unconverted,
        as_set=counted if Field.TURNOVER_MINOR in of.held else None,
        level=of.policy.level(counted),
        levels=of.policy.levels,
    )


def tier_ground(of: Subject) -> TierGround:
    """What decided the tier."""
    by: Literal["no_purchase", "turnover", "expected"] = "expected" if of.history.expects else "turnover"
    said = Field.VALUE_MINOR in of.held or (Field.TURNOVER_MINOR in of.held and not of.history.expects)
    return TierGround(
        tier=Tier(of.follows("tier")),
        by=by if of.bought else "no_purchase",
        value_minor=of.history.value(of.day),
        as_set=of.numbers.value_minor if said else None,
        cuts=of.ruling.cuts,
    )


def profit_ground(of: Subject) -> ProfitGround:
    """Whether the party makes profit."""
    profit, turnover = of.policy.profit, of.numbers.turnover_minor
    margin, costs = profit.of(turnover), tuple(_costs(of))
    return ProfitGround(
        margin=profit.margin,
        turnover_minor=turnover,
        margin_minor=margin,
        costs=costs,
        profit_minor=margin - sum(cost.minor for cost in costs),
    )


def _costs(of: Subject) -> Iterator[Cost]:
    counts, prices = dict[str, int](), of.policy.profit.cost_minor
    inside = of.calendar.between(date.fromordinal(of.window.start), date.fromordinal(of.window.stop))
    for _, kind, _, count, _ in inside.entries if prices else ():
        if (code := Kind(kind).code) in prices:
            counts[code] = counts.get(code, 0) + count
    for code, count in sorted(counts.items()):
        yield Cost(kind=code, count=count, each_minor=prices[code], minor=prices[code] * count)
