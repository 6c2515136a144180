"""Observations: how a party feels, what it likes and what it needs, at the time at which somebody noticed it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts.problems import Conflict, Invalid, NotFound
from services.customers.domain.facts import NewFact


class ObservationNotFound(NotFound):
    """There is no such observation."""


class ObservationConflict(Conflict):
    """The id in the source was recorded before with other content; `correct` puts that right."""


class NothingObserved(Invalid):
    """An observation says something, gives a rating, or does both."""


class Certainty(StrEnum):
    """How sure it is."""

    GUESSED = "guessed"
    """Somebody thinks so."""
    NOTICED = "noticed"
    """Somebody saw or heard it."""
    STATED = "stated"
    """The party said so itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewObservation(NewFact):
    """An observation as a source tells it."""

    aspect: str
    text: str | None = None
    """It never leaves customers."""
    rating: int | None = None
    certainty: Certainty = Certainty.NOTICED
    author_id: UUID | None = None


def check_something_said(said: Mapping[str, Any]) -> None:
    """Raise `NothingObserved` unless there is a text or a rating."""
    if said["text"] is None and said["rating"] is None:
        raise NothingObserved("An observation has a text, a rating from 1 to 5, or both.")
