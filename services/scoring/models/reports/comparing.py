"""Surprises, habits, and who left for whom."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from chassis.fields import Body, PartyId, Shown, TeamId, UserId
from contracts.scoring import Stage, Tier
from services.scoring.domain.reports import losses
from services.scoring.domain.reports.patterns import BasketHabit, ChannelHabit, IntervalHabit, PriceHabit, SeasonHabit
from services.scoring.domain.reports.surprises import HeldAs, Stands
from services.scoring.domain.reports.zoom import ZoomBy
from services.scoring.domain.ruling import Ruling

PartyIds = Annotated[list[PartyId], Field(min_length=1, max_length=10_000)]


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
    """One party as it stands, with what is set by hand, and why it is where it is."""

    party_id: PartyId
    stage: Stage | None
    """None, as the rest, where the party has no standing."""
    tier: Tier | None
    vip: bool
    value_minor: int
    reason: str
    """What the facts say of it and, where anything is set by hand, what."""

    @classmethod
    def of(cls, party_id: UUID, stands: Stands | None, reason: str) -> Self:
        """A party as it stands, if it does."""
        if stands is None:
            return cls(party_id=party_id, stage=None, tier=None, vip=False, value_minor=0, reason=reason)
        return cls(
            party_id=party_id,
            stage=stands.stage,
            tier=stands.tier,
            vip=stands.vip,
            value_minor=stands.value_minor,
            reason=reason,
        )


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
    """Where they stood before; `none` of who had none of what they are told apart by."""
    count: int
    value_minor: int
    """What they were worth on the day."""


class Defections(Shown):
    """Who may be lost, and who was lost to whom."""

    since: date
    until: date
    by: ZoomBy
    within_days: int
    currency: str | None
    calibration: float | None
    """A sum of values times this is a forecast; null where values are turnover, or the model was never judged."""
    at_risk: list[AtRisk]
    """As standings are stored now."""
    lost_to_competitors: list[Defection]

    @classmethod
    def of(
        cls, found: losses.Defections, by: ZoomBy, risk: Mapping[str, tuple[int, int]], within_days: int, ruling: Ruling
    ) -> Self:
        """Those lost as they were counted, and how many and how much worth of each segment is at risk."""
        lost = [
            Defection(
                month=month, competitor=competitor, segment=segment, count=count, value_minor=found.value_minor[key]
            )
            for key, count in sorted(found.count.items())
            for month, competitor, segment in (key,)
        ]
        return cls(
            since=found.since,
            until=found.until,
            by=by,
            within_days=within_days,
            currency=ruling.rates.currency,
            calibration=ruling.calibration,
            at_risk=[
                AtRisk(segment=segment, count=count, value_minor=value)
                for segment, (count, value) in sorted(risk.items())
            ],
            lost_to_competitors=lost,
        )


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
