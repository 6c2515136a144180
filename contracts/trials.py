"""What may be wrong with a trial of a policy, as scoring says it and the gateway passes it on."""

from contracts.problems import Conflict, NotFound


class TrialNotFound(NotFound):
    """There is no such trial."""


class TrialNotDone(Conflict):
    """The trial has not come to its end."""


class MovesNotKept(Conflict):
    """The trial counted its moves and did not keep them."""
