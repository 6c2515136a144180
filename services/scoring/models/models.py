"""Models, how good they are and when they decide, as they are shown and sent."""

from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self

import msgspec
from pydantic import Field

from chassis.fields import Body, Day, Instant, Shown
from contracts.scoring import Stage
from services.scoring.domain.bgnbd import NotEnough
from services.scoring.domain.model import Model
from services.scoring.domain.quality import Quality
from services.scoring.models.fields import ModelHash
from services.scoring.models.policies import Activation

if TYPE_CHECKING:
    import asyncpg


class ModelState(StrEnum):
    """Where a model is in its life."""

    FITTED = "fitted"
    """It never decided."""
    ACTIVE = "active"
    RETIRED = "retired"
    """It decided once."""


class NewModel(Body):
    """What a model is to be fitted to."""

    as_of: Day | None = None
    """By what happened up to this local day; today where none is given."""
    activate: bool = False
    """Have it decide at once, unless it is worse than the active one by more than the margin."""
    force: bool = False
    """Activate it also then."""


class ModelActivationAsked(Body):
    """When a model is to become active."""

    active_from: Instant | None = None
    """An instant to come; at once where none is given."""
    force: bool = False
    """Also where it is worse than the active one by more than the margin."""


class GroupShown(Shown):
    """Those who stood in one stage."""

    stage: Stage
    parties: int
    bought_again: float | None
    """The part of them that bought within the horizon; none of nobody."""


class PeriodShown(Shown):
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
    stages: list[GroupShown]
    """Customer, dormant, lost."""


class BesideShown(Shown):
    """The model that was active at the fit, on the last closed period."""

    model: ModelHash
    auc: float | None
    brier: float


class QualityShown(Shown):
    """Fits as of earlier days, each judged by what came after it; the last one is the last closed period."""

    model: ModelHash
    horizon_days: int
    """How many days each is judged by."""
    periods: list[PeriodShown]
    active: BesideShown | None

    @classmethod
    def of(cls, hash: str, quality: Quality) -> Self:
        """As it was found."""
        return cls(model=hash, **msgspec.to_builtins(quality))


class ModelShown(Shown):
    """A model and where it is in its life. Who did something is told by the key that asked for it."""

    hash: ModelHash
    """Names it for ever: SHA-256 over its content."""
    state: ModelState
    as_of: date
    """The last day of what it knows."""
    fitted_at: datetime
    fitted_by: str | None
    """None where it was fitted by itself."""
    activated_at: datetime | None
    """From when it was active last."""
    activated_by: str | None
    document: Model

    @classmethod
    def stored(cls, row: "asyncpg.Record", **more: Any) -> Self:
        """As it lies in the table."""
        were = ModelState.RETIRED if row["activated_at"] else ModelState.FITTED
        state = ModelState.ACTIVE if row["active"] else were
        told = {name: value for name, value in row.items() if name in cls.model_fields}
        return cls(**{**told, **more, "state": state, "document": Model.model_validate_json(row["document"])})


class ModelTold(ModelShown):
    """A model with when it is to decide."""

    planned: list[Activation]
    """When it is to become active, the next time first."""


class Shortage(Shown):
    """Too few bought again to fit a model: the days of the policy decide."""

    parties: int
    """Those who had bought."""
    repeaters: int
    """Those who had bought on a second day."""
    needed: int
    """So many repeat buyers it takes."""
    detail: str

    @classmethod
    def of(cls, found: NotEnough) -> Self:
        """With the way out."""
        lacking = (
            f"{found.repeaters} of {found.parties} parties bought on a second day; a model takes {found.needed}."
            " Until then stages go by the days of the policy, and value is the turnover. Fit again when more have"
            " bought again, or as of a later day."
        )
        return cls(**found._asdict(), detail=lacking)


class FitStep(Shown):
    """A line of a fit: how far it is, or its end."""

    read: Annotated[int, Field(ge=0)] | None = None
    """Parties read so far, of `parties`."""
    parties: int | None = None
    done: bool = False
    """True on the last line."""
    model: ModelTold | None = None
    quality: QualityShown | None = None
    activated: bool = False
    refused: dict[str, Any] | None = None
    """Why it was not activated: `code`, `detail` and more."""
    not_enough: Shortage | None = None
