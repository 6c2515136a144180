"""Reports as they are asked for and shown."""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from chassis.fields import Body, Day, PartyId, Shown, TeamId, UserId
from contracts.loss import LossReason
from contracts.scoring import Stage, Tier
from services.scoring.domain.reports.association import Effect, Verdict
from services.scoring.domain.reports.losses import SegmentBy
from services.scoring.domain.reports.patterns import Asked
from services.scoring.domain.reports.purchases import PurchaseKind
from services.scoring.domain.reports.surprises import HeldAs
from services.scoring.domain.reports.zoom import ZoomBy

PartyIds = Annotated[list[PartyId], Field(min_length=1, max_length=10_000)]


class Rate(Shown):
    """So many of so many."""

    hits: int
    of: int
    share: float | None
    """None of nobody."""
    low: float | None
    """Between this and `high` the true share lies in 95 of 100 cases."""
    high: float | None


class NewSurprises(Body):
    """A manager's own list."""

    party_ids: PartyIds
    held_as: HeldAs
    """What they are held to be: `vip`, or of at least the tier `top`, `high` or `mid`."""
    owner_id: UserId | None = None
    """Look for missed ones among the parties of this owner alone."""
    team_id: TeamId | None = None
    """Likewise of this team."""
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    """So many missed ones are named, those worth most first."""


class Surprise(Shown):
    """One party, and why it is where it is."""

    party_id: PartyId
    stage: Stage | None
    """None, as the rest, where the party has no standing."""
    tier: Tier | None
    vip: bool
    value_minor: int
    reason: str


class Surprises(Shown):
    """Where a list and the facts agree, and where they do not."""

    held_as: HeldAs
    currency: str | None
    named: int
    """Parties on the list, those merged into each other once."""
    agreements: list[Surprise]
    missed: list[Surprise]
    """The facts say so, and they were not named; those worth most first, up to `limit`."""
    missed_total: int
    missed_value_minor: int
    """Of all of them."""
    over_rated: list[Surprise]
    """They were named, and the facts do not say so."""
    unknown: list[PartyId]
    """Ids that nothing was told of."""


class Association(Shown):
    """A rank correlation."""

    pairs: int
    """Customers at starting days: the sample of the correlation."""
    parties: int
    """The sample of the test: pairs of one party are one observation."""
    rho: float | None
    """Spearman's, within each starting day; from -1 over 0 (none) to 1."""
    low: float | None
    """Between this and `high` the true one lies in 95 of 100 cases."""
    high: float | None
    p_value: float | None
    """How often chance alone makes a correlation as far from 0."""
    effect: Effect
    verdict: Verdict
    """`not_proven` unless p is below 0.05, the effect at least small (0.1), and there are 30 parties or more."""


class SatisfactionAndSales(Shown):
    """Does satisfaction go with later purchases?"""

    as_of: date
    lag_days: int
    starts: list[date]
    """At the end of each of these days the index was read; purchase days of the `lag_days` after it count."""
    sampled: bool
    """Whether there are more customers than were looked at."""
    whole: Association
    """With the index as it is."""
    without_purchases: Association
    """With an index that purchases do not enter: who bought often goes on buying, satisfied or not."""
    sentence: str


class SalesWeek(Shown):
    """One week, Monday to Sunday."""

    week: str
    """By ISO 8601, such as 2026-W07."""
    first_day: date
    last_day: date
    new_prospects: int
    """Parties that became prospects and never were before."""
    prospects_again: int
    """Parties that became prospects again."""
    active_prospects: int
    """At the end of the week."""
    desire: float | None
    """Of these on average, from 0 to 100."""
    first_purchases: int
    """Parties that bought for the first time."""
    unannounced: int
    """Those of them who had shown no sign of interest before."""
    median_deal_days: float | None
    """Of the others, from the first sign of interest to the first purchase."""
    median_stage_days: dict[Stage, float]
    """How long they had been in a stage who left it in this week."""


class SalesWeeks(Shown):
    """Prospects, their wish to buy, and how fast they do."""

    as_of: date
    policy: str
    data: list[SalesWeek]


class KindOfMonth(Shown):
    """Purchase days of one kind in a month."""

    kind: PurchaseKind
    purchase_days: int
    amount_minor: int
    rate: Rate
    """Of the purchase days of the month."""


class MonthOfKinds(Shown):
    """A month's purchase days by kind."""

    month: date
    """Its first day."""
    purchase_days: int
    data: list[KindOfMonth]


class PurchaseKinds(Shown):
    """What purchases are: first ones, repeated ones, upgrades."""

    since: date
    until: date
    add_on_days: int
    currency: str | None
    data: list[MonthOfKinds]


class Cohort(Shown):
    """Who bought for the first time in a month."""

    month: date
    first_buyers: int
    young: int
    """Those whose time to buy again is not over: they are not part of the rate."""
    rate: Rate
    """Who bought again in time, of those whose time is over."""


class SecondPurchases(Shown):
    """Who comes back to buy a second time."""

    as_of: date
    within_days: int
    rate: Rate
    data: list[Cohort]


class NewWinBack(Body):
    """A programme for lost customers."""

    lost_on: Day
    """Looked at are customers that stood lost at the end of this local day."""
    party_ids: PartyIds | None = None
    """Who was contacted. Where none are given: who was reached on one of the `contact_days` after that day."""
    contact_days: Annotated[int, Field(ge=1, le=365)] = 30
    """Without a list, coming back counts from the end of these days on."""
    within_days: Annotated[int, Field(ge=1, le=3_650)] = 90
    """So many days count."""


class WinBackGroup(Shown):
    """Lost customers that were treated alike."""

    rate: Rate
    """Who bought again in time."""
    bought_minor: int
    """What these bought in that time."""


class Difference(Shown):
    """The share of those who were contacted, less that of the others."""

    difference: float
    low: float
    """Between this and `high` the true difference lies in 95 of 100 cases."""
    high: float
    p_value: float
    """How often chance alone makes a difference that is as unlikely or more so."""


class WinBack(Shown):
    """Who of the lost came back."""

    lost_on: date
    counted_from: date
    """First day on which coming back counts."""
    counted_until: date
    """The last one."""
    complete: bool
    """Whether all these days are over and read."""
    currency: str | None
    contacted: WinBackGroup
    others: WinBackGroup
    back_before: int
    """Who came back before it was settled who is contacted: they are in neither group."""
    not_lost: int
    """Ids of the list that did not stand lost on that day."""
    comparison: Difference | None
    sentence: str


class LossCell(Shown):
    """Who was lost in a month for a reason."""

    month: date
    stage: Stage
    reason: LossReason
    """`unknown` where nobody told one."""
    count: int
    value_minor: int
    """What they were worth on the day."""


class LossesByMonth(Shown):
    """Moves to a lost stage, with their reasons."""

    since: date
    until: date
    currency: str | None
    count: int
    data: list[LossCell]


class AtRisk(Shown):
    """Who falls soon if nothing happens."""

    segment: str
    count: int
    value_minor: int


class Defection(Shown):
    """Who was lost to a competitor in a month."""

    month: date
    competitor: str
    """`unknown` where nobody named it."""
    segment: str
    """Where they stood before."""
    count: int
    value_minor: int
    """What they were worth on the day."""


class Defections(Shown):
    """Who may be lost, and who was lost to whom."""

    since: date
    until: date
    by: SegmentBy
    within_days: int
    currency: str | None
    at_risk: list[AtRisk]
    """As standings are stored now."""
    lost_to_competitors: list[Defection]


class Habit(Shown):
    """What every pattern says."""

    found: bool
    """Whether the test says so: `p_value` is below 0.01."""
    observations: int
    test: Asked
    p_value: float | None
    """How often chance alone looks like this; None where there is too little to look at."""


class IntervalHabit(Habit):
    """Buys in a rhythm."""

    median_days: float | None
    quartile_days: tuple[float, float] | None
    """Half of the gaps lie between these."""


class BasketHabit(Habit):
    """Buys for much the same amount."""

    median_minor: float | None
    """In the reporting currency."""
    spread: float | None
    """Standard deviation of the logarithm of the amount."""


class SeasonHabit(Habit):
    """Buys at one time of the year."""

    years: int
    """Whole years that were looked at."""
    by_month: Sequence[int]
    """In how many of them each month, from January on, had a purchase."""
    concentration: float | None
    """0 where the months are spread evenly, 1 where it is always the same."""
    middle_month: int | None
    """Around which they gather, from 1."""


class ChannelHabit(Habit):
    """Buys by one way."""

    main: str | None
    share: float | None
    unknown: int
    """Purchases whose channel was not told."""


class PriceHabit(Habit):
    """Leaves for the price."""

    share: float | None
    """Of the reasons told for not buying; None (unknown) where none was."""


class Patterns(Shown):
    """The habits of one party."""

    party_id: PartyId
    as_of: date
    currency: str | None
    interval: IntervalHabit
    basket: BasketHabit
    season: SeasonHabit
    channel: ChannelHabit
    price_sensitivity: PriceHabit


class Level(StrEnum):
    """How near one looks."""

    POPULATION = "population"
    SEGMENT = "segment"
    PARTY = "party"


class Measures(Shown):
    """The same at every level."""

    count: int
    customers: int
    """Parties that bought."""
    value_minor: int
    turnover_minor: int
    p_known: int
    """Parties whose probability is known."""
    expected_buyers: float | None
    """The sum of these probabilities: so many are expected to buy within the horizon."""
    mean_p: float | None
    satisfaction_known: int
    """Parties of which there is evidence enough."""
    mean_satisfaction: float | None
    at_risk: int
    """Parties whose stage falls within `within_days` if nothing happens."""
    at_risk_value_minor: int


class Zoomed(Shown):
    """The measures of everybody, of a group or of a party."""

    segment: str | None
    """The group, or the one that the party is in; none of everybody."""
    party_id: PartyId | None = None
    measures: Measures


class Zoom(Shown):
    """One look at the population."""

    level: Level
    by: ZoomBy
    as_of: date | None
    """None: as stored."""
    within_days: int
    currency: str | None
    data: list[Zoomed]
    has_more: bool = False
    next_cursor: str | None = None
