"""Rubrics that were activated, and how far the grading of all leads by each one is."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from services.leads.domain.rubrics import Rubric


class GradingState(StrEnum):
    """How far the grading of the leads that were there is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    SUPERSEDED = "superseded"
    """Another rubric was activated before the end."""


class ActivatedRubric(BaseModel):
    """A rubric in force from an instant, and how far the grading of the leads that were there is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    activation: int
    """Counts activations; also the ETag."""
    hash: str
    """Content hash of the rubric."""
    rubric: Rubric
    active_from: datetime
    state: GradingState
    leads: int
    """Those that were there."""
    graded: int
    """Those that the rubric was put to."""
    changed: int
    """Those among them whose grade, points or met criteria became others."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
