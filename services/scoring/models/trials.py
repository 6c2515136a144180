"""Trials of policies, as they are asked for and shown."""

from datetime import date, datetime
from typing import Self

import asyncpg
import msgspec
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chassis.fields import Body, Day, Shown
from contracts.scoring import MoveKind, Stage, Tier
from services.scoring.domain.trials import State
from services.scoring.models.fields import ModelHash, PolicyHash, TrialId


class TrialAsked(Body):
    """What a trial is to count."""

    from_day: Day | None = Field(None, alias="from")
    """Moves from this local day on count; from the beginning where none is given."""
    until: Day | None = None
    """As everybody stands after this local day, with nothing known of later ones; as of now where none is given."""
    model: ModelHash | None = None
    """The model that the draft decides with; the one in force where none is named."""
    keep_moves: bool = False
    """Keep every move under the draft, to be read afterwards, for 90 days unless the installation says otherwise."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_day and self.until and self.from_day > self.until:
            raise PydanticCustomError("in_order", "`from` is not later than `until`")
        return self


class StandsAt(Shown):
    """How many parties stand somewhere."""

    stage: Stage
    tier: Tier
    parties: int


class Moved(Shown):
    """Moves of a kind."""

    moves: int
    parties: int
    """Those that made any."""


class MonthOfMoves(Shown):
    """The moves of a month by kind."""

    month: str
    """As `2026-03`."""
    moves: dict[MoveKind, int]


class Judged(Shown):
    """How often a stage that says whether somebody will buy was wrong."""

    moves: int
    """Moves to the stage."""
    decided: int
    """Those since which the horizon has passed."""
    wrong: int
    """Of these: bought within the horizon though lost, or did not though a customer."""


class Workload(Shown):
    """What a month gives people to do."""

    month: str
    at_risk: int
    """Moves to a dormant stage."""
    lost: int
    """Moves to a lost stage."""
    follow_ups: int
    """Of these, those with a reason that the policy has followed up."""


class SideOfTrial(Shown):
    """What comes of one policy."""

    policy: PolicyHash
    name: str
    model: ModelHash | None
    stands: list[StandsAt]
    """Who stands where at the end."""
    treatments: dict[str, int]
    """Parties by how they are treated at the end."""
    moves: dict[MoveKind, Moved]
    months: list[MonthOfMoves]
    flapping: Moved
    """Stages that were left and came back within 30 days."""
    judged: dict[Stage, Judged]
    workload: list[Workload]


class DifferingCell(Shown):
    """Parties that stand elsewhere under the draft."""

    stage_active: Stage | None
    tier_active: Tier | None
    stage_draft: Stage | None
    tier_draft: Tier | None
    parties: int


class Differing(Shown):
    """Who stands elsewhere at the end under the draft than under the active policy."""

    parties: int
    cells: list[DifferingCell]


class TrialResult(Shown):
    """What came of both policies, each as if it had decided from the beginning."""

    from_day: date | None = Field(alias="from", serialization_alias="from")
    until: date
    """The day after which everybody stands where it is told."""
    horizon_days: int
    """By what happens within so many days a stage is judged: that of the draft, for both."""
    currency: str | None
    parties: int
    """Those that stand somewhere at the end."""
    differ: Differing
    draft: SideOfTrial
    active: SideOfTrial


class Trial(Shown):
    """A trial of a policy over the whole history, without any effect on standings."""

    id: TrialId
    policy: PolicyHash
    model: ModelHash | None
    from_day: date | None = Field(alias="from", serialization_alias="from")
    until: date | None
    keep_moves: bool
    state: State
    parties: int
    """Parties there are."""
    done: int
    """Parties that it is through with."""
    asked_at: datetime
    asked_by: str | None
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None
    result: TrialResult | None = None
    """None until it is done."""

    @classmethod
    def stored(cls, row: asyncpg.Record, *, whole: bool) -> Self:
        """As it lies in the table; the result only where it is asked for."""
        values = {**dict(row), "from": row["from_day"], "until": row["until_day"], "result": None}
        if whole and row["result"] is not None:
            values["result"] = TrialResult.model_validate(msgspec.json.decode(row["result"]))
        return cls(**values)
