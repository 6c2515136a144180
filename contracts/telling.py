"""What became of something that was told, for the routes of one row, of many, and for imports."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from contracts.problems import Problem


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
