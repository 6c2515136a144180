"""Policies, their life and what differs between them, as they are shown and sent."""

from datetime import datetime
from typing import Annotated, Any, Self

import asyncpg
import msgspec
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chassis.fields import Body, Instant, Shown
from services.scoring.domain.lives import State
from services.scoring.domain.policy import Policy
from services.scoring.models.fields import ActivationId, ModelHash, PolicyHash


class NewPolicy(Body):
    """A document, whole or in part, laid over a policy that there is; or a preset."""

    document: Annotated[dict[str, Any], Field(default_factory=dict, max_length=100)]
    """What it says. Members that are not named are those of the base; one that is null has its default."""
    base: PolicyHash | None = None
    """The policy that a part is laid over; the active one where neither this nor a preset is named."""
    preset: Annotated[str, Field(max_length=64)] | None = None
    """A preset to begin with: the policy itself, or what the document is laid over."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.base is not None and self.preset is not None:
            raise PydanticCustomError("one_base", "Name a base or a preset, not both")
        if not self.document and self.preset is None:
            raise PydanticCustomError("nothing_said", "Send a document, whole or in part, or name a preset")
        return self


class ActivationAsked(Body):
    """When a policy is to become active."""

    active_from: Instant | None = None
    """An instant to come; at once where none is given."""


class Activation(Shown):
    """An activation that is planned for an instant, and what became of it."""

    id: ActivationId
    policy: PolicyHash | None
    model: ModelHash | None
    active_from: datetime
    planned_at: datetime
    planned_by: str | None
    """The key that planned it."""
    done_at: datetime | None
    """When it took place; none where it did not."""
    cancelled_at: datetime | None
    """When it was cancelled, or refused."""
    refused: dict[str, Any] | None
    """Why it could not take place when its instant came: `code`, `detail` and more."""

    @classmethod
    def stored(cls, row: "asyncpg.Record") -> Self:
        """As it lies in the table."""
        told = {name: value for name, value in row.items() if name in cls.model_fields}
        return cls(**{**told, "refused": row["refused"] and msgspec.json.decode(row["refused"])})


class PolicyLife(Shown):
    """A policy and where it is in its life. Who did something is told by the key that asked for it."""

    hash: PolicyHash
    """Names it for ever: SHA-256 over its content."""
    name: str
    state: State
    created_at: datetime
    created_by: str | None
    tried_at: datetime | None
    """When a trial of it ended last."""
    approved_at: datetime | None
    approved_by: str | None
    activated_at: datetime | None
    """From when it was active last."""
    activated_by: str | None
    retired_at: datetime | None
    retired_by: str | None
    refused: Activation | None
    """The activation that was planned last, where that was refused and it was not active since."""

    @classmethod
    def stored(cls, row: "asyncpg.Record", refused: "asyncpg.Record | None", **more: Any) -> Self:
        """As it lies in the table."""
        told = {name: value for name, value in row.items() if name in cls.model_fields}
        return cls(**{**told, **more, "refused": refused and Activation.stored(refused)})


class PolicyTold(PolicyLife):
    """A policy with what it says."""

    document: Policy
    planned: list[Activation]
    """When it is to become active, the next time first."""


class Preset(Shown):
    """A policy to begin with."""

    name: str
    hash: PolicyHash
    state: State | None
    """Where it is in its life; none where it was never drafted here."""
    document: Policy


class Presets(Shown):
    """Policies to begin with."""

    data: list[Preset]


class Difference(Shown):
    """One thing that a policy says otherwise than another."""

    field: str
    """Where in the document (JSON Pointer)."""
    sentence: str


class Differences(Shown):
    """What a policy says otherwise than another, in the order of the document."""

    policy: PolicyHash
    against: PolicyHash
    differences: list[Difference]
