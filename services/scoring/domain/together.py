"""How many parties stand at once."""

from collections.abc import Sequence
from datetime import datetime

from services.scoring.domain.calendar import Calendar
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import Standing, assess


def assess_together(seen: Sequence[tuple[Calendar, datetime]], ruling: Ruling) -> list[Standing]:
    """What `assess` gives for each calendar at its instant, in the same order."""
    return [assess(calendar, at, ruling) for calendar, at in seen]
