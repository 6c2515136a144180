from datetime import UTC, datetime, timedelta

import pytest

from services.customers.domain.problems import STEPS, IllegalStep, ProblemStatus, StepKind, StepTooEarly, step

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_problem_is_solved_and_may_come_back():
    solved = step(ProblemStatus.OPEN, StepKind.SOLVED, after=NOON, at=NOON)
    assert solved is ProblemStatus.SOLVED
    assert step(solved, StepKind.REOPENED, after=NOON, at=NOON + HOUR) is ProblemStatus.OPEN


def test_what_is_solved_is_not_solved_again_and_the_problem_names_the_way_out():
    with pytest.raises(IllegalStep) as refused:
        step(ProblemStatus.SOLVED, StepKind.SOLVED, after=NOON, at=NOON + HOUR)
    assert refused.value.extensions["allowed"] == sorted(STEPS[ProblemStatus.SOLVED])
    with pytest.raises(IllegalStep):
        step(ProblemStatus.OPEN, StepKind.REOPENED, after=NOON, at=NOON)


def test_a_step_is_not_before_the_one_before_it():
    with pytest.raises(StepTooEarly):
        step(ProblemStatus.OPEN, StepKind.SOLVED, after=NOON, at=NOON - HOUR)
