"""How promising whoever never bought is, and why."""

from datetime import date

from contracts.leads import Grade
from services.scoring.domain.reasons.ground import Ground, Subject


class PotentialGround(Ground):
    """What decided the potential: the grade that one of their leads was given last."""

    potential: Grade
    """What the facts give."""
    graded_on: date
    """The local day on which it was given."""


def potential_ground(of: Subject) -> PotentialGround | None:
    """What decided the potential; None of who bought, and where no lead was graded."""
    graded = None if of.bought else of.history.lead_graded(of.day)
    return graded and PotentialGround(potential=graded[1], graded_on=date.fromordinal(graded[0]))
