"""Entries of a timeline, as every service shows them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from services.customers.domain.timelines import EntryKind


class Entry(BaseModel):
    """Something that happened to a party."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    at: datetime
    """When it happened."""
    id: str
    kind: EntryKind
    service: Literal["customers"] = "customers"
    recorded_at: datetime
    detail: dict[str, Any]
    """What there is to say of this kind. What was put right is shown as it stands, with its `version` and where its
    `versions` are; what was withdrawn has `withdrawn_at`."""


class Timeline(BaseModel):
    """Entries, the latest first."""

    data: list[Entry]
    has_more: bool
