"""Policy: every threshold that decides, as data with a content hash."""

from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, product
from typing import Annotated, Self

from pydantic import Field, model_validator

from contracts.customers import PartyKind
from contracts.loss import LossReason
from contracts.scoring import Band, Tier
from contracts.versions import EachOnce, Version
from services.scoring.domain.facts import Kind
from services.scoring.domain.indexes import LOYALTY, SATISFACTION, Index
from services.scoring.domain.likelihood import FEWEST
from services.scoring.domain.money import half_even
from services.scoring.domain.rules import MOVING, Rule, comparisons
from services.scoring.domain.stages import Days, Share, Stages, in_one_spelling
from services.scoring.domain.tiers import SHARES, Cuts, Minor, TierShares

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]


class Level(Version):
    """A band of the turnover of the last 365 days."""

    name: Slug
    """What the band is called."""
    from_minor: Minor
    """The smallest turnover of the band, in minor units of the reporting currency."""


class Trend(Version):
    """Which way a relationship goes: how much passed in one window, against the window before it."""

    window_days: Annotated[int, Field(ge=1, le=3_650)] = 90
    """Length of each of the two windows; the later one ends with the day itself."""
    developing_from: Annotated[float, Field(ge=1, le=1_000)] = 1.25
    """Developing where the later window has at least so many times the days with contact or purchase of the earlier."""
    conservative_below: Share = 0.75
    """Conservative where it has less than so many times."""


class Profit(Version):
    """When a party is held to make profit: the margin of the turnover of 365 days, less what it cost meanwhile."""

    margin: Share = 0.3
    """The part of net turnover that is left after the cost of goods."""
    cost_minor: Mapping[Slug, Annotated[int, Field(ge=0, le=2**53)]] = {}
    """What one fact of a kind costs us, in minor units of the reporting currency; kinds not named cost nothing."""

    @cached_property
    def exact_margin(self) -> tuple[int, int]:
        """The margin as a fraction: numerator and denominator."""
        return Fraction(str(self.margin)).as_integer_ratio()

    def of(self, turnover_minor: int) -> int:
        """What is left of a turnover after the cost of goods, in minor units, half-even."""
        return half_even(self.exact_margin[0] * turnover_minor, self.exact_margin[1])

    @model_validator(mode="after")
    def _known_kinds(self) -> Self:
        possible = {kind.code for kind in Kind}
        if not possible.issuperset(self.cost_minor):
            raise ValueError(f"a cost is of one of {', '.join(sorted(possible))}")
        return self


class Desire(Version):
    """How much a prospect wants to buy: each sign of interest is worth points, which fade; reports tell it by week."""

    points: Mapping[Slug, Annotated[int, Field(ge=0, le=1_000)]] = {"inquired": 2, "lead_qualified": 2, "lead_won": 3}
    """What a sign of a kind says of the wish to buy; one of a kind that is not named says 1."""
    window_days: Annotated[int, Field(ge=1, le=3_650)] = 28
    """Older signs say nothing."""
    half_life_days: Annotated[int, Field(ge=1, le=3_650)] = 14
    """After so many days a sign says half."""
    half_points: Annotated[float, Field(gt=0, le=10_000)] = 2.0
    """So many points are a desire of 50, twice as many one of 75."""

    @cached_property
    def by_kind(self) -> Mapping[int, int]:
        """The points of the kinds that are named, by their number."""
        return {kind: self.points[kind.code] for kind in Kind if kind.code in self.points}

    @model_validator(mode="after")
    def _signs(self) -> Self:
        in_one_spelling(self.points)
        return self


DESIRE = Desire()


class Treatment(Version):
    """How parties are treated: the first row of the table whose parts all fit. An empty part fits everybody."""

    tier: Annotated[tuple[Tier, ...], EachOnce] = ()
    """Fits these tiers."""
    satisfaction: Annotated[tuple[Band, ...], EachOnce] = ()
    """Fits these bands of satisfaction."""
    loyalty: Annotated[tuple[Band, ...], EachOnce] = ()
    """Fits these bands of loyalty."""
    treatment: Slug
    """What is done, as front ends know it."""

    def fits(self, tier: Tier, satisfaction: Band, loyalty: Band) -> bool:
        """Whether it is the row of whoever stands so, if none before it is."""
        return (
            (not self.tier or tier in self.tier)
            and (not self.satisfaction or satisfaction in self.satisfaction)
            and (not self.loyalty or loyalty in self.loyalty)
        )


class Policy(Version):
    """How a party stands: all that decides besides the facts, the model, rates, currency and time zone."""

    name: Slug
    """What it is called; versions of one policy may share a name."""
    horizon_days: Annotated[int, Field(ge=1, le=3_650)] = 180
    """H: the probability is that of a purchase within so many days."""
    persons: Stages = Stages()
    """The stages of persons, and of whoever is not known to be an organisation."""
    organisations: Stages | None = None
    """The stages of organisations, where these are other ones."""
    turnover_days: Annotated[int, Field(ge=1, le=3_650)] = 365
    """Turnover is that of the local day itself and of the days before it, so many in all. Value, with a model, is what
    is expected in as many days to come; without one it is the turnover."""
    cuts: Cuts = Cuts(top=100_000, high=30_000, mid=10_000)
    """Tier amounts before the first fit."""
    tier_shares: Annotated[TierShares, Field(exclude_if=lambda shares: shares == SHARES)] = SHARES
    """How much of the customer base each tier takes, from the next fit of a model or of the tiers on. Left out of the
    document where it is the default, which never changes: policies from before it keep their content hash."""
    fewest_repeaters: Annotated[int, Field(ge=5, le=1_000_000, exclude_if=lambda fewest: fewest == FEWEST)] = FEWEST
    """A model is fitted where at least so many parties bought on a second day, and expects amounts where as many paid
    on several days; with fewer, days and turnover decide. Left out of the document where it is the default."""
    levels: Annotated[tuple[Level, ...], Field(min_length=1, max_length=10)] = (
        Level(name="large", from_minor=100_000),
        Level(name="medium", from_minor=20_000),
        Level(name="small", from_minor=1),
    )
    """Bands of the turnover, the highest first; below the last one a party has none."""
    satisfaction: Index = SATISFACTION
    """From what people do, never from what they say."""
    loyalty: Index = LOYALTY
    """From what people do, likewise."""
    problem_limit_days: Days = 7
    """A problem that is open for more days than these is evidence of its own."""
    answer_within_days: Days = 2
    """Who asked us and was neither reached within so many days nor, unless complaining, bought had a late answer."""
    posture: Trend = Trend()
    """Which way a relationship goes."""
    profit: Profit = Profit()
    """Who makes profit."""
    desire: Annotated[Desire, Field(exclude_if=lambda desire: desire == DESIRE)] = DESIRE
    """How much prospects want to buy. Left out of the document where it is the default, as `tier_shares` is."""
    vip: Rule | None = None
    """Who is a VIP; nobody where there is no rule."""
    treatments: Annotated[tuple[Treatment, ...], Field(min_length=1, max_length=100)] = (
        Treatment(satisfaction=(Band.LOW,), tier=(Tier.TOP, Tier.HIGH), treatment="recover"),
        Treatment(tier=(Tier.TOP,), treatment="care"),
        Treatment(tier=(Tier.HIGH,), loyalty=(Band.HIGH,), treatment="care"),
        Treatment(tier=(Tier.HIGH, Tier.MID), treatment="develop"),
        Treatment(tier=(Tier.UNPROVEN,), treatment="win"),
        Treatment(treatment="serve"),
    )
    """The last row fits everybody."""
    follow_up_reasons: Annotated[tuple[LossReason, ...], EachOnce] = (LossReason.UNKNOWN,)
    """Lost parties with one of these reasons stand on the follow-up list."""
    refresh_days: Annotated[int, Field(ge=1, le=366)] = 7
    """Stored values that move from day to day are looked at again at least so often."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        amounts = [level.from_minor for level in self.levels]
        if any(lower >= higher for higher, lower in pairwise(amounts)):
            raise ValueError("levels fall from the highest amount to the lowest")
        if len({level.name for level in self.levels}) < len(self.levels):
            raise ValueError("each level has a name of its own")
        last = self.treatments[-1]
        if last.tier or last.satisfaction or last.loyalty:
            raise ValueError("the last treatment fits everybody: it names no tier, satisfaction or loyalty")
        if self.vip is not None:
            comparisons(self.vip)
        return self

    @cached_property
    def value_steps(self) -> tuple[int, ...]:
        """The amounts at which the rule for VIPs may decide otherwise as value falls, rising."""
        steps = set()
        for leaf in comparisons(self.vip) if self.vip is not None else ():
            if leaf.field == "value_minor" and isinstance(leaf.value, int):
                steps |= {leaf.value, leaf.value + 1} if leaf.op == "eq" else {leaf.value}
        return tuple(sorted(steps))

    @cached_property
    def vip_by_money(self) -> bool:
        """Whether the rule for VIPs is about money that moves from day to day."""
        return self.vip is not None and any(leaf.field in MOVING for leaf in comparisons(self.vip))

    def stages(self, kind: PartyKind) -> Stages:
        """The stages of a kind of party."""
        return self.organisations or self.persons if kind is PartyKind.ORGANISATION else self.persons

    def treatment(self, tier: Tier, satisfaction: Band, loyalty: Band) -> str:
        """How whoever stands so is treated."""
        return self._treated[tier, satisfaction, loyalty]

    @cached_property
    def _treated(self) -> Mapping[tuple[Tier, Band, Band], str]:
        """The table written out, once: it is asked twice for every party that an event touches."""
        return {
            place: next(row.treatment for row in self.treatments if row.fits(*place))
            for place in product(Tier, Band, Band)
        }

    def level(self, turnover_minor: int) -> str | None:
        """The band of a turnover; None below the last."""
        return next((level.name for level in self.levels if turnover_minor >= level.from_minor), None)
