"""What became of something that was told, for the routes of one row, of many, and for imports; and what is refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from contracts.problems import Conflict, Problem


class AlreadyWithdrawn(Conflict):
    """It was withdrawn and does not count; record it anew."""


class StaleVersion(Conflict):
    """It has another version than the one named; read it again."""


class Status(StrEnum):
    """What became of a row."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """The same content was there."""
    CONFLICT = "conflict"
    """Other content was there under the same id in the source."""
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row, and what now stands for it."""

    status: Status
    id: UUID | None = None
    problem: Problem | None = None

    @property
    def reason(self) -> str | None:
        """The machine name of what is wrong."""
        return self.problem.code() if self.problem else None

    def accepted(self) -> tuple[UUID, bool]:
        """The id, and whether it is new. Raises the problem of a row that was not taken."""
        if self.problem is not None:
            raise self.problem
        assert self.id is not None
        return self.id, self.status is Status.ACCEPTED


def ids_of(outcomes: Iterable[Outcome]) -> list[UUID]:
    """What now stands for what was told and taken."""
    return [outcome.id for outcome in outcomes if outcome.id is not None and outcome.problem is None]


def check_version(named: int | None, present: int) -> None:
    """Raise `StaleVersion` where a version is named that is not the latest."""
    if named is not None and named != present:
        raise StaleVersion(f"The latest version is {present}.", version=present)
