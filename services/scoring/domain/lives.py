"""The life of a policy: it is drafted, tried, approved, active from an instant, and retired.

What a policy says never changes: other content is another policy.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from contracts.problems import Conflict, Invalid, NotFound


class State(StrEnum):
    """Where a policy is in its life."""

    DRAFT = "draft"
    TRIED = "tried"
    """A trial of it came to its end."""
    APPROVED = "approved"
    ACTIVE = "active"
    """It decides. One policy does, at any time."""
    RETIRED = "retired"
    """Put away, or replaced by another one."""


class Act(StrEnum):
    """What is done with a policy."""

    DRAFT = "draft"
    TRY = "try"
    APPROVE = "approve"
    ACTIVATE = "activate"
    REPLACE = "replace"
    """Another one is activated in its place."""
    RETIRE = "retire"


MOVES: Mapping[State, Mapping[Act, State]] = {
    State.DRAFT: {Act.DRAFT: State.DRAFT, Act.TRY: State.TRIED, Act.RETIRE: State.RETIRED},
    State.TRIED: {
        Act.DRAFT: State.TRIED,
        Act.TRY: State.TRIED,
        Act.APPROVE: State.APPROVED,
        Act.RETIRE: State.RETIRED,
    },
    State.APPROVED: {
        Act.DRAFT: State.APPROVED,
        Act.TRY: State.APPROVED,
        Act.ACTIVATE: State.ACTIVE,
        Act.RETIRE: State.RETIRED,
    },
    State.ACTIVE: {Act.DRAFT: State.ACTIVE, Act.TRY: State.ACTIVE, Act.REPLACE: State.RETIRED},
    State.RETIRED: {Act.DRAFT: State.DRAFT, Act.TRY: State.RETIRED, Act.ACTIVATE: State.ACTIVE},
}
"""What may be done in a state, and where it leads. Drafting again what is not retired changes nothing."""

WAYS_OUT: Mapping[tuple[State, Act], str] = {
    (State.DRAFT, Act.APPROVE): (
        "It was not tried yet. Have a trial of it first, and approve it when that has ended. A trial counts that looks"
        " at somebody: over the whole history, or until a day on which a party stood somewhere."
    ),
    (State.DRAFT, Act.ACTIVATE): (
        "It was not tried and not approved. Have a trial of it that looks at somebody, then have it approved."
    ),
    (State.TRIED, Act.ACTIVATE): "It was not approved. Have somebody with the role admin approve it first.",
    (State.APPROVED, Act.APPROVE): "It is approved already, and can be activated.",
    (State.ACTIVE, Act.APPROVE): "It is approved already, and active.",
    (State.ACTIVE, Act.ACTIVATE): "It is active already.",
    (State.ACTIVE, Act.RETIRE): "It decides, and something has to. Activate another policy, which retires this one.",
    (State.RETIRED, Act.APPROVE): "It is retired. Draft it again, then have a trial of it.",
    (State.RETIRED, Act.ACTIVATE): "It is retired and was never approved. Draft it again, try it and have it approved.",
    (State.RETIRED, Act.RETIRE): "It is retired already.",
}
"""What to do instead of what may not be done."""


class PresetNotFound(NotFound):
    """No preset has this name."""


class BadPolicy(Invalid):
    """What was sent, laid over its base, is no policy."""


class IllegalPolicyMove(Conflict):
    """A policy cannot come from where it is in its life to where it was sent."""

    def __init__(self, state: State, act: Act, allowed: Iterable[Act]) -> None:
        super().__init__(WAYS_OUT[state, act], state=state, allowed=sorted(allowed))


class ActivationPassed(Invalid):
    """An activation cannot have been before now: what was decided since would be another history."""


class ActivationPlanned(Conflict):
    """It is to become active at an instant that has not come."""


class ActivationNotFound(NotFound):
    """There is no such planned activation."""


class ActivationClosed(Conflict):
    """A planned activation that took place or was cancelled stays what it is."""


class Life(msgspec.Struct, frozen=True):
    """Where a policy is, and whether it is approved, as whatever was active once stays."""

    state: State
    approved: bool = False

    def after(self, act: Act) -> State:
        """Where an act leads. Raises `IllegalPolicyMove`, which tells the way out."""
        allowed = MOVES[self.state]
        if act not in allowed or (act is Act.ACTIVATE and not self.approved):
            without = {Act.REPLACE} if self.approved else {Act.REPLACE, Act.ACTIVATE}
            raise IllegalPolicyMove(self.state, act, allowed.keys() - without)
        # What was active once may be again, which is the way back from a policy that proves wrong.
        return self.state if act is Act.DRAFT and self.approved else allowed[act]
