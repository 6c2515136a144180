"""Rubrics that were activated, and how far the grading of all leads by each one is."""

from datetime import datetime
from enum import StrEnum

from chassis.fields import Shown
from services.leads.domain.rubrics import Rubric


class GradingState(StrEnum):
    """How far the grading of the leads that were there is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    SUPERSEDED = "superseded"
    """Another rubric was activated before the end."""


class ActivatedRubric(Shown):
    """A rubric in force from an instant, and how far the grading of the leads that were there is."""

    activation: int
    """Counts activations; also the ETag."""
    content_hash: str
    rubric: Rubric
    activated_at: datetime
    activated_by: str | None = None
    """The key that decided on it; none for the first rubric."""
    state: GradingState
    leads: int
    """Those that were there."""
    graded: int
    """Those that the rubric was put to."""
    changed: int
    """Those among them whose grade, points or met criteria became others."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
