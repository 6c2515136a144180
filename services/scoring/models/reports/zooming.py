"""The same measures from far and from near."""

from datetime import date
from enum import StrEnum

from chassis.fields import PartyId, Shown
from services.scoring.domain.reports.zoom import ZoomBy


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
    """Of the level `party` alone."""
    measures: Measures


class Zoom(Shown):
    """One look at the population."""

    level: Level
    by: ZoomBy
    as_of: date | None
    """None: as stored."""
    within_days: int
    currency: str | None
    calibration: float | None
    """A sum of values times this is a forecast; null where values are turnover, or the model was never judged."""
    data: list[Zoomed]
    has_more: bool = False
    next_cursor: str | None = None
