"""The parameters that ask for standings of another time, as known at another, or under other versions."""

from typing import Annotated

from fastapi import Depends, Query

from chassis.fields import Day, Instant
from services.scoring.models.clocks import Question
from services.scoring.models.fields import ModelHash, PolicyHash


def _asked(
    as_of: Annotated[Day | None, Query(description="After this whole local day, with what is known.")] = None,
    known_at: Annotated[
        Instant | None,
        Query(
            description="By what was recorded up to this instant, and under what was in force then. Alone, at that "
            "instant. Not later than the watermark."
        ),
    ] = None,
    policy: Annotated[PolicyHash | None, Query(description="Under this policy, by its content hash.")] = None,
    model: Annotated[ModelHash | None, Query(description="Under this model, by its content hash.")] = None,
    horizon_days: Annotated[
        int | None, Query(ge=1, le=3_650, description="Within so many days, in the place of the policy's.")
    ] = None,
) -> Question:
    return Question(as_of, known_at, policy, model, horizon_days)


Asked = Annotated[Question, Depends(_asked)]
"""What is asked for by `as_of`, `known_at`, `policy`, `model` and `horizon_days`."""
