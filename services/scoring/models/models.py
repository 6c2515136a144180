"""Models, how good they are and when they decide, as they are shown and sent."""

from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import msgspec

from chassis.fields import Body, Day, Instant, Shown
from services.scoring.domain.bgnbd import NotEnough
from services.scoring.domain.model import Model
from services.scoring.domain.quality import Beside, Period, Quality
from services.scoring.domain.trials import State
from services.scoring.models.fields import FitId, ModelHash
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


class QualityShown(Shown):
    """Fits as of earlier days, each judged by what came after it; the last one is the last closed period."""

    model: ModelHash
    horizon_days: int
    """How many days each is judged by."""
    periods: tuple[Period, ...]
    active: Beside | None

    @classmethod
    def of(cls, hash: str, quality: Quality) -> Self:
        """As it was found."""
        return cls(model=hash, horizon_days=quality.horizon_days, periods=quality.periods, active=quality.active)


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
    refused: Activation | None
    """The activation that was planned last, where that was refused and it was not active since."""
    document: Model

    @classmethod
    def stored(cls, row: "asyncpg.Record", refused: "asyncpg.Record | None", **more: Any) -> Self:
        """As it lies in the table."""
        were = ModelState.RETIRED if row["activated_at"] else ModelState.FITTED
        state = ModelState.ACTIVE if row["active"] else were
        told = {name: value for name, value in row.items() if name in cls.model_fields}
        document = Model.model_validate_json(row["document"])
        return cls(
            **{**told, **more, "state": state, "document": document, "refused": refused and Activation.stored(refused)}
        )


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


class Fit(Shown):
    """A fit of a model to everybody, and what came out."""

    id: FitId
    as_of: date
    """The last day of what the model is to know."""
    activate: bool
    force: bool
    state: State
    parties: int
    """Parties there are."""
    done: int
    """Parties whose purchases are read. When all are, the model is sought."""
    asked_at: datetime
    asked_by: str | None
    """The key that asked; none where it was asked for by itself."""
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    model: ModelHash | None
    """What came out: `GET /v1/models/{model_hash}`, and `/quality` behind it."""
    activated: bool
    """Whether it decides since."""
    refused: dict[str, Any] | None
    """Why it was not activated though asked: `code`, `detail` and more."""
    not_enough: Shortage | None
    """Where too few bought again to fit a model."""

    @classmethod
    def stored(cls, row: "asyncpg.Record") -> Self:
        """As it lies in the table."""
        told = {name: value for name, value in row.items() if name in cls.model_fields}
        found = row["not_enough"] and NotEnough(**msgspec.json.decode(row["not_enough"]))
        refused = row["refused"] and msgspec.json.decode(row["refused"])
        return cls(**{**told, "refused": refused, "not_enough": found and Shortage.of(found)})
