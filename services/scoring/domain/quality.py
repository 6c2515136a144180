"""How good a model is: what it said on a day, beside what happened on the days after."""

from datetime import date
from math import ceil

import numpy as np
from pydantic import BaseModel, ConfigDict

from contracts.event import Digest
from contracts.scoring import Stage
from services.scoring.domain.bgnbd import expected_purchases, p_buys
from services.scoring.domain.buyers import Buyers, Ledger
from services.scoring.domain.likelihood import Numbers, Whole, dot
from services.scoring.domain.model import QUANTUM, Model
from services.scoring.domain.outlook import expected_amounts
from services.scoring.domain.rounding import Holds
from services.scoring.domain.stages import ByProbability

STAGES = (Stage.CUSTOMER, Stage.DORMANT_CUSTOMER, Stage.LOST_CUSTOMER)
TOP = 0.1
"""The part of the parties whose share of later revenue is told."""


class Judged(BaseModel):
    """A part of how good a model is."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class StageGroup(Judged):
    """Those who stood in one stage."""

    stage: Stage
    parties: int
    bought_again: float | None
    """The part of them that bought within the horizon; none of nobody."""


class Tenth(Judged):
    """Those whose probability lay in one tenth of the scale."""

    from_p: float
    """The tenth begins with it, and ends before the next one; the last has 1 too."""
    parties: int
    expected: float
    """Mean of their probabilities."""
    bought_again: float
    """The part of them that bought within the horizon."""


class Period(Judged):
    """What a model that knew nothing after `as_of` said, judged by the days up to `until`.

    A number is null where it cannot be told: nobody bought, everybody did, or no revenue came.
    """

    as_of: date
    until: date
    parties: int
    """Those who had bought by `as_of`."""
    repeaters: int
    bought_again: float
    """The part of them that bought until `until`."""
    auc: float | None
    """Of the probability to buy: how often, of one who bought and one who did not, the first had the higher one."""
    auc_of_stages: float | None
    """The same of customer, dormant and lost alone."""
    brier: float
    """Mean squared distance of the probability from what happened; 0 is perfect."""
    purchases: int
    """Purchase days that came."""
    expected_purchases: float
    calibration: float | None
    """The purchase days that came by those expected."""
    revenue_minor: int
    """Gross revenue that came, in minor units of the reporting currency."""
    top_tier_share: float | None
    """The part of it that the top tier brought."""
    top_share_by_value: float | None
    """The part that the tenth of the parties brought whose value was highest."""
    top_share_by_spend: float | None
    """The part that the tenth brought that had spent most so far."""
    stages: tuple[StageGroup, ...]
    """Customer, dormant, lost: from which fewer and fewer buy again."""
    tenths: tuple[Tenth, ...] = ()
    """How far the probabilities came true, tenth by tenth where anybody was; none of a model judged before these."""


class Beside(Judged):
    """The model that was active at the fit, on the last closed period."""

    model: Digest
    auc: float | None
    brier: float


class Quality(Judged):
    """Fits as of earlier days, each judged by what came after it."""

    horizon_days: int
    """How many days each is judged by."""
    periods: tuple[Period, ...]
    """By their days; the last one is the last closed period."""
    active: Beside | None = None

    @property
    def last(self) -> Period | None:
        """The last closed period."""
        return self.periods[-1] if self.periods else None


def probabilities(model: Model, of: Buyers, horizon_days: int) -> Numbers:
    """The probability of each to buy within so many days, rounded as `Model.p_buys` is."""
    return np.round(p_buys(model.parameters, of.x, of.tx, of.T, horizon_days), QUANTUM)


def values(model: Model, of: Buyers, days: int) -> Whole:
    """What each is expected to bring in so many days, in minor units, half-even; see `Model.value_minor`."""
    often = expected_purchases(model.parameters, of.x, of.tx, of.T, days)
    return np.rint(often * expected_amounts(model, of.paid_days, of.paid)).astype(np.int64)


def worths(model: Model, ledger: Ledger, of: Buyers, days: int) -> Whole:
    """What each who had bought by the day of a model is worth then, in minor units.

    By `values` or, of a model whose amounts were not fitted, what was paid in as many days before, returns aside: its
    parties are worth their turnover (`Grading.value`).
    """
    day = model.as_of.toordinal()
    return values(model, of, days) if model.p is not None else ledger.afterwards(of, day - days, day)[1]


def stages(p: Numbers, silent_days: Whole, by: ByProbability) -> Whole:
    """The place in `STAGES` of each, by probability and the days since the last purchase day alone."""
    places = np.where(p >= by.dormant_below, 0, np.where(p >= by.lost_below, 1, 2))
    return np.where(silent_days <= by.fresh_days, 0, places).astype(np.int64)


def auc(scores: Numbers | Whole, happened: Holds) -> float | None:
    """How often, of one to whom it happened and one to whom it did not, the first had the higher score.

    Equal scores count half (Mann, Whitney 1947). None where it happened to everybody or to nobody.
    """
    _, place = np.unique(scores, return_inverse=True)
    number = np.bincount(place)
    those = np.bincount(place, weights=happened)
    others = number - those
    pairs = float(those.sum() * others.sum())
    below = np.cumsum(others) - others
    return dot(those, below + others / 2) / pairs if pairs else None


def brier(p: Numbers, happened: Holds) -> float:
    """Mean squared distance of probabilities from what happened (Brier 1950); at least one."""
    return float(np.mean(np.square(p - happened)))


def tenths(p: Numbers, happened: Holds) -> tuple[Tenth, ...]:
    """Probabilities beside what happened, by tenths of the scale (reliability; Murphy, Winkler 1977)."""
    # In whole steps of the quantum, so that 0.3 is in the tenth that begins with it.
    place = np.minimum(np.rint(p * 10**QUANTUM).astype(np.int64) // 10 ** (QUANTUM - 1), 9)
    return tuple(
        Tenth(
            from_p=tenth / 10,
            parties=int(np.count_nonzero(those)),
            expected=float(np.mean(p[those])),
            bought_again=float(np.mean(happened[those])),
        )
        for tenth in range(10)
        if (those := place == tenth).any()
    )


def top_share(scores: Numbers | Whole, revenue: Whole, part: float = TOP) -> float | None:
    """The part of the revenue that those with the highest scores bring, `part` of all, rounded up.

    Of equal scores at the edge each counts with the same part, so that the order of the rows cannot matter.
    """
    whole = float(revenue.sum())
    if whole <= 0:
        return None
    _, place = np.unique(scores, return_inverse=True)
    number, brought = np.bincount(place)[::-1], np.bincount(place, weights=revenue)[::-1]
    room = np.clip(ceil(part * len(revenue)) - (np.cumsum(number) - number), 0, number)
    return dot(brought, room / number) / whole


def judge(model: Model, ledger: Ledger, horizon_days: int, value_days: int, by: ByProbability) -> Period | None:
    """What a model says as of its day, beside what came in the horizon after; None where nobody had bought."""
    day = model.as_of.toordinal()
    of = ledger.buyers(day)
    if not len(of.x):
        return None
    purchases, revenue = ledger.afterwards(of, day, day + horizon_days)
    happened = purchases > 0
    p, worth = probabilities(model, of, horizon_days), worths(model, ledger, of, value_days)
    stood = stages(p, of.T - of.tx, by)
    expected = float(expected_purchases(model.parameters, of.x, of.tx, of.T, horizon_days).sum())
    came = int(revenue.sum())
    return Period(
        as_of=model.as_of,
        until=date.fromordinal(day + horizon_days),
        parties=len(of.x),
        repeaters=int(np.count_nonzero(of.x)),
        bought_again=float(np.mean(happened)),
        auc=auc(p, happened),
        auc_of_stages=auc(-stood, happened),
        brier=brier(p, happened),
        purchases=int(purchases.sum()),
        expected_purchases=expected,
        calibration=float(purchases.sum()) / expected if expected and purchases.any() else None,
        revenue_minor=came,
        top_tier_share=float(revenue[worth >= model.cuts.top].sum()) / came if came > 0 and model.cuts else None,
        top_share_by_value=top_share(worth, revenue),
        top_share_by_spend=top_share(of.paid, revenue),
        stages=tuple(_group(stage, happened[stood == place]) for place, stage in enumerate(STAGES)),
        tenths=tenths(p, happened),
    )


def _group(stage: Stage, happened: Holds) -> StageGroup:
    bought_again = float(np.mean(happened)) if len(happened) else None
    return StageGroup(stage=stage, parties=len(happened), bought_again=bought_again)
