"""Which way a relationship goes, and why."""

from contracts.scoring import Posture
from services.scoring.domain.facts import Kind
from services.scoring.domain.reading import TOUCHING
from services.scoring.domain.reasons.ground import Ground, Subject


class PostureGround(Ground):
    """What decided the posture."""

    posture: Posture
    """What the facts give."""
    window_days: int
    """Length of the two windows; the later one ends with the day itself."""
    kinds: tuple[str, ...]
    """The kinds of facts whose days count."""
    later_days: int
    """Days with such facts in the later window."""
    earlier_days: int
    """In the window before it."""
    ratio: float | None
    """The later by the earlier; None without earlier ones."""
    developing_from: float
    conservative_below: float


def posture_ground(of: Subject) -> PostureGround:
    """What decided the posture."""
    trend, (later, earlier) = of.policy.posture, of.history.touched(of.day)
    return PostureGround(
        posture=Posture(of.follows("posture")),
        window_days=trend.window_days,
        kinds=tuple(sorted(Kind(number).code for number in TOUCHING)),
        later_days=later,
        earlier_days=earlier,
        ratio=later / earlier if earlier else None,
        developing_from=trend.developing_from,
        conservative_below=trend.conservative_below,
    )
