"""Reports on everybody."""

from datetime import date
from typing import Annotated, Self

from pydantic import Field

from chassis.fields import Body, Day, PartyId, Shown
from contracts.loss import LossReason
from contracts.scoring import Stage
from services.scoring.domain.reports import flows, losses, purchases, weeks, winback
from services.scoring.domain.reports.association import Effect, Verdict
from services.scoring.domain.reports.purchases import PurchaseKind
from services.scoring.domain.ruling import Ruling
from services.scoring.models.reports.rates import Rate

PartyIds = Annotated[list[PartyId], Field(min_length=1, max_length=10_000)]


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
    verdict: Verdict
    """What is shown: that of both where it is one, else `not_proven`."""
    sentence: str


class SalesWeek(Shown):
    """One week, Monday to Sunday."""

    week: str
    """By ISO 8601, such as 2026-W07."""
    first_day: date
    last_day: date
    """The Sunday, or the day of the report where the week is not over."""
    new_prospects: int
    """Parties that became prospects and never were before."""
    prospects_again: int
    """Parties that became prospects again."""
    active_prospects: int
    """At the end of the last day."""
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

    @classmethod
    def of(cls, week: weeks.Week) -> Self:
        """A week as it was measured."""
        return cls(
            week="{}-W{:02}".format(*date.fromordinal(week.first).isocalendar()[:2]),
            first_day=date.fromordinal(week.first),
            last_day=date.fromordinal(week.last),
            new_prospects=week.became,
            prospects_again=week.again,
            active_prospects=week.active,
            desire=week.desire,
            first_purchases=week.bought,
            unannounced=week.unannounced,
            median_deal_days=week.median_deal_days,
            median_stage_days=week.median_stay_days,
        )


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

    @classmethod
    def of(cls, kinds: purchases.KindsByMonth, month: date) -> Self:
        """A month as it was counted."""
        shares = kinds.shares(month)
        data = [
            KindOfMonth(
                kind=kind,
                purchase_days=share.hits,
                amount_minor=kinds.amount_minor[month, kind],
                rate=Rate.model_validate(share),
            )
            for kind, share in shares.items()
        ]
        return cls(month=month, purchase_days=sum(share.hits for share in shares.values()), data=data)


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

    @classmethod
    def of(cls, second: purchases.SecondPurchases) -> Self:
        """Cohorts as they were counted."""
        cohorts = [
            Cohort(
                month=month,
                first_buyers=count,
                young=second.young[month],
                rate=Rate.model_validate(second.rate(month)),
            )
            for month, count in sorted(second.first.items())
        ]
        return cls(
            as_of=date.fromordinal(second.known),
            within_days=second.within_days,
            rate=Rate.model_validate(second.whole()),
            data=cohorts,
        )


class NewWinBack(Body):
    """A programme for lost customers."""

    lost_on: Annotated[Day, Field(le=date(8900, 12, 31))]
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

    @classmethod
    def of(cls, programme: winback.WinBack, *, known: date, not_lost: int, currency: str | None, sentence: str) -> Self:
        """A programme as it was judged on the last day that is known."""
        comparison = programme.comparison
        return cls(
            lost_on=date.fromordinal(programme.lost_on),
            counted_from=date.fromordinal(programme.landmark + 1),
            counted_until=date.fromordinal(programme.until),
            complete=programme.until < known.toordinal(),
            currency=currency,
            contacted=WinBackGroup.model_validate(programme.contacted),
            others=WinBackGroup.model_validate(programme.others),
            back_before=programme.early,
            not_lost=not_lost,
            comparison=Difference.model_validate(comparison) if comparison else None,
            sentence=sentence,
        )


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
    calibration: float | None
    """A sum of values times this is a forecast; null where values are turnover, or the model was never judged."""
    count: int
    data: list[LossCell]

    @classmethod
    def of(cls, found: losses.Losses, ruling: Ruling) -> Self:
        """Losses as they were counted."""
        data = [
            LossCell(month=month, stage=stage, reason=reason, count=count, value_minor=found.value_minor[key])
            for key, count in sorted(found.count.items())
            for month, stage, reason in (key,)
        ]
        return cls(
            since=found.since,
            until=found.until,
            currency=ruling.rates.currency,
            calibration=ruling.calibration,
            count=found.count.total(),
            data=data,
        )


class Flow(Shown):
    """Moves from one stage to another."""

    from_stage: Stage | None
    """None for those who became known."""
    to_stage: Stage | None
    """None for those of whom nothing is left."""
    count: int


class StoodThen(Shown):
    """How many stood in a stage at the end of a day."""

    day: date
    stage: Stage
    count: int


class FlowsBetweenStages(Shown):
    """Who moved from where to where."""

    since: date
    until: date
    sampled: bool
    """Whether only some were looked at: counts are then what that comes to for all."""
    looked_at: int
    """Parties."""
    data: list[Flow]
    """The most frequent first."""
    trend: list[StoodThen]
    """On up to 13 days, the day before the period and its last one among them."""

    @classmethod
    def of(cls, found: flows.Flows, drawn: int, parties: int) -> Self:
        """Moves as they were counted among those drawn of so many parties."""
        times = parties / drawn if drawn else 1
        return cls(
            since=found.since,
            until=found.until,
            sampled=drawn < parties,
            looked_at=found.parties,
            data=[
                Flow(from_stage=before, to_stage=after, count=round(count * times))
                for (before, after), count in found.moved.most_common()
            ],
            trend=[
                StoodThen(day=date.fromordinal(day), stage=stage, count=round(count * times))
                for (day, stage), count in sorted(found.stood.items())
            ],
        )
