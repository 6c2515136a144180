"""What a read of standings asks for: of which time, as known when, and under what."""

from datetime import date, datetime
from typing import NamedTuple


class Question(NamedTuple):
    """Where nothing is given: now, with all that is known, under what is in force."""

    as_of: date | None = None
    """The end of this local day."""
    known_at: datetime | None = None
    """Only what was recorded by then."""
    policy: str | None = None
    """Content hash of the policy to decide with, whatever is in force."""
    model: str | None = None
    """Likewise of the model."""
    horizon_days: int | None = None
    """H, in the place of the policy's."""
