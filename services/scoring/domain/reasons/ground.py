"""What a part of a reason is, and what it is told from."""

from datetime import date

from pydantic import BaseModel, ConfigDict

from services.scoring.domain.history import History


class Ground(BaseModel):
    """A part of a reason."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Subject:
    """One party on one day (ordinal) on which it stands somewhere."""

    def __init__(self, history: History, day: int) -> None:
        self.history, self.day = history, day
        self.calendar, self.policy, self.ruling = history.calendar, history.policy, history.ruling
        self.grades = history.grades(day)
        self.derived = history.derived(day)
        self.held = history.set_on(day)
        """What a person set, by field."""
        self.numbers = history.numbers(day, self.held)
        self.bought = history.purchases(day)
        """How many days had a purchase."""
        self.window = range(day - self.policy.turnover_days + 1, day + 1)
        """The days of which turnover is taken."""

    def follows(self, field: str) -> str:
        """What the facts give of a field that a person may have set."""
        return str(self.derived.get(field, getattr(self.grades, field)))


def told(day: int | None) -> date | None:
    """A day as it is told."""
    return None if day is None else date.fromordinal(day)
