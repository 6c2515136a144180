"""What a standing rests on: data from which each of its parts can be decided again by hand.

Days are local days; money is in minor units of the reporting currency. What a person set in the place of what the facts
say stands in `overrides` alone: `stage`, `tier`, both indexes and `posture` are what the facts give.
"""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from contracts.customers import PartyKind
from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.indexes import Evidence
from services.scoring.domain.policy import Level, Treatment
from services.scoring.domain.rules import Rule
from services.scoring.domain.tiers import Cuts

Output = str | bool | tuple[str, ...] | None
"""A discrete part of a standing: a code, whether somebody is a VIP, the flags."""


class Ground(BaseModel):
    """A part of a reason."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Deciding(Ground):
    """Facts that decide."""

    kinds: tuple[str, ...]
    days: tuple[date, ...]
    """The days on which they lie, at most the last hundred."""
    days_total: int
    """How many days there are."""


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


class StageGround(Ground):
    """What decided the stage."""

    stage: Stage
    """What the facts give."""
    rule: str
    by: Literal["interest", "days", "probability"]
    """What decides unless a declaration does: the days since the last sign of interest, those since the last purchase
    day, or the probability of another purchase."""
    last_purchase_day: date | None
    """The day that decides the stage of whoever bought."""
    last_sign_day: date | None
    """The day that decides the stage of whoever did not: the last one with a sign of interest."""
    declared_day: date | None
    """The last day on which somebody declared the party lost: a declaration counts against nothing later."""
    declared: tuple[str, ...]
    """The kinds of facts that did."""
    declined_day: date | None
    """The last day on which the party itself declined, which alone loses whoever bought."""
    silent_days: int | None
    """Since the last purchase day or, without a purchase, since the last sign of interest."""
    loss_reason: LossReason | None
    """Of a lost stage."""
    interest: tuple[str, ...]
    """The kinds of facts that are a sign of interest."""
    active_days: int
    """Without a purchase: dormant after more silent days than these."""
    prospect_lost_after_days: int
    """Without a purchase: lost after more silent days than these."""
    dormant_after_days: int
    """With a purchase, by days: dormant after more silent days than these."""
    lost_after_days: int
    """With a purchase, by days: lost after more silent days than these."""
    fresh_days: int | None
    """With a purchase, by probability: a customer in any case up to so many silent days; None where days decide."""
    dormant_below: float | None
    """With a purchase, by probability: dormant below this."""
    lost_below: float | None
    """With a purchase, by probability: lost below this."""
    facts: Deciding


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
    level: str | None
    levels: tuple[Level, ...]
    """From the highest to the lowest; the first whose amount is reached."""


class TierGround(Ground):
    """What decided the tier."""

    tier: Tier
    """What the facts give."""
    by: Literal["no_purchase", "turnover", "expected"]
    """Nothing was bought yet; the net turnover counts; or what is expected: purchases times the amount of each."""
    value_minor: int
    cuts: Cuts


class Contribution(Ground):
    """Evidence of one kind on one day, or on all days before those that are told one by one."""

    evidence: Evidence
    first_day: date
    last_day: date
    count: int
    weight: float
    """What one piece adds to the log-odds on its day."""
    faded_count: float
    """The count, each piece halved with every half-life that passed since its day."""
    log_odds: float
    """The weight times the faded count."""


class IndexGround(Ground):
    """What decided an index and its band."""

    index: float
    """100 / (1 + exp(-log_odds)), to one decimal."""
    band: Band
    """What the facts give."""
    log_odds: float
    """The exact sum of the contributions, rounded once."""
    evidence: float
    """The sum of the faded counts, to three decimals."""
    min_evidence: float
    """The band is unknown below this."""
    low_below: float
    high_from: float
    half_life_days: int
    contributions: tuple[Contribution, ...]


class PostureGround(Ground):
    """What decided the posture."""

    posture: Posture
    """What the facts give."""
    window_days: int
    """Length of the two windows; the later one ends with the day itself."""
    kinds: tuple[str, ...]
    """The kinds of facts whose days count."""
    later_days: int
    """Days with such facts in the later window."""
    earlier_days: int
    """In the window before it."""
    ratio: float | None
    """The later by the earlier; None without earlier ones."""
    developing_from: float
    conservative_below: float


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
    margin_minor: int
    """The margin of the turnover, half-even."""
    costs: tuple[Cost, ...]
    profit_minor: int
    """The margin less all costs."""


class Compared(Ground):
    """One comparison of a rule."""

    field: str
    op: Literal["eq", "in", "gte", "lt"]
    value: int | str | tuple[str, ...]
    """What it is held against."""
    said: int | str | None
    """What it was."""
    holds: bool


class FlagGround(Ground):
    """One of the four flags and whether it is raised."""

    flag: str
    by: Compared


class VipGround(Ground):
    """Whether somebody is a VIP, and by which rule."""

    vip: bool
    """What the rule gives."""
    rule: Rule | None
    """None: nobody is."""
    comparisons: tuple[Compared, ...]
    """Those of the rule, left to right."""


class TreatmentGround(Ground):
    """Which row of the table fits."""

    treatment: str
    """What the table gives."""
    tier: Tier
    satisfaction: Band
    loyalty: Band
    row: int
    """Counted from 1."""
    rows: tuple[Treatment, ...]
    """The table down to this row, the first that fits."""


class OverrideGround(Ground):
    """A part that a person set; who and why is told by the list of overrides."""

    field: str
    value: str
    derived: str
    """What it would be otherwise."""
    set_at: datetime
    until: date | None
    """The last day on which it holds; None is until it is ended."""


class Change(Ground):
    """A part of the standing that is another one."""

    field: str
    before: Output
    after: Output


class Coming(Ground):
    """What holds from a day on if nothing else happens."""

    day: date
    stage: Stage | None
    tier: Tier | None
    changes: tuple[Change, ...]
    """Against the day of the assessment."""


class Otherwise(Ground):
    """What would hold with other facts: without some of those there are, or with one more."""

    without: tuple[date, ...]
    """Days from which facts are taken away together."""
    without_kinds: tuple[str, ...]
    """The kinds that are taken away from these days."""
    added: str | None
    """Kind of one more fact."""
    added_on: date | None
    """Its day."""
    added_minor: int | None
    """Its amount, where that is a purchase."""
    on: date
    """The day of which the rest is told."""
    stage: Stage | None
    tier: Tier | None
    changes: tuple[Change, ...]
    """Against what holds on that day if nothing else happens."""


class Reason(Ground):
    """What decided, complete enough to decide again by hand."""

    day: date
    """The local day of the assessment."""
    kind: PartyKind
    """A party of which nothing else is known is a person."""
    currency: str | None
    """The reporting currency."""
    policy: str
    """Its name."""
    policy_hash: str
    model: Fitted | None
    """None as long as there is none: then days decide, and value is turnover."""
    bought: Bought | None
    """None without a purchase."""
    chances: Chances | None
    """None without a model or without a purchase."""
    stage: StageGround
    turnover: TurnoverGround
    tier: TierGround
    satisfaction: IndexGround
    loyalty: IndexGround
    posture: PostureGround
    profit: ProfitGround
    flags: tuple[FlagGround, ...]
    vip: VipGround
    treatment: TreatmentGround
    overrides: tuple[OverrideGround, ...]
    """Those in force that say something else than the facts."""
    coming: Coming | None
    """The next change of any part, if there is one."""
    coming_stage: Coming | None
    """The next change of the stage."""
    otherwise: tuple[Otherwise, ...]
