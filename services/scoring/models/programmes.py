"""Win-back programmes as they are sent and shown."""

from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import Field

from chassis.fields import Body, PartyId, Shown
from contracts.loss import LossReason
from contracts.scoring import Stage, Tier
from contracts.versions import EachOnce
from services.scoring.models.fields import ProgrammeId
from services.scoring.models.reports.populations import PartyIds, WinBack


class NewProgramme(Body):
    """Whom to win back, and how long that may take."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """So many of the lost are drawn by lot to be contacted. The others show how many come back by themselves: with
    none left there is nothing to compare with."""
    within_days: Annotated[int, Field(ge=1, le=3_650)] = 90
    """Who buys on one of so many local days after today has come back."""
    reasons: Annotated[tuple[LossReason, ...], EachOnce] = ()
    """Only who is lost for one of these reasons; without any, whatever the reason is."""
    tiers: Annotated[tuple[Tier, ...], EachOnce] = ()
    """Only who is of one of these tiers; without any, of whatever tier."""
    party_ids: PartyIds | None = None
    """Only these, as far as they are lost customers; none given is everybody."""


class Programme(Shown):
    """A win-back programme."""

    id: ProgrammeId
    name: str
    lost_on: date
    """They stood lost on this local day, on which it began."""
    until: date
    """The last day on which a purchase counts."""
    within_days: int
    share: float
    reasons: list[LossReason]
    tiers: list[Tier]
    contacted: int
    """Parties that were drawn to be contacted."""
    others: int
    """Lost parties that were not drawn."""
    not_lost: int
    """Ids of the list that were no lost customers."""
    begun_at: datetime
    begun_by: str
    """The key that asked for it."""

    @classmethod
    def stored(cls, row: Any, **more: Any) -> Self:
        """As it lies in the table."""
        until = date.fromordinal(row["lost_on"].toordinal() + row["within_days"])
        return cls(**dict(row), until=until, **more)


class ProgrammeResult(Programme):
    """A win-back programme, and what came of it."""

    contacted_reached: int
    """Of those who were drawn, so many were reached since."""
    others_reached: int
    """Of the others, who were to be left alone."""
    result: WinBack
    """As far as everything was read; `complete` when its last day is over."""


class ProgrammeMember(Shown):
    """Somebody of a win-back programme."""

    party_id: PartyId
    """The party that the one which was drawn leads to today."""
    contact: bool
    """Whether it was drawn to be contacted."""
    stage: Stage | None
    """As it is stored now; null where nothing is known of it any more."""
    tier: Tier | None
    last_day: date | None
    """Last purchase day."""
