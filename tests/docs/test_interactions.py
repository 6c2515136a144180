from services.customers.domain.problems import STEPS, StepKind
from services.customers.handlers.imports.interactions import USUAL
from tests.docs.pages import code, page, rows, section

PAGE = page("interactions.md")


def test_the_table_of_kinds_says_what_a_row_of_a_file_is_taken_for() -> None:
    told = [tuple(map(code, row)) for row in rows(section(PAGE, "Interactions"))]

    assert told == [(str(kind), *map(str, usual)) for kind, usual in USUAL.items()]


def test_the_table_of_problems_is_that_of_their_steps() -> None:
    told = [tuple(map(code, row)) for row in rows(section(PAGE, "Problems"))]

    event = {StepKind.SOLVED: "customers.problem_solved.v1", StepKind.REOPENED: "customers.problem_opened.v1"}
    assert told == [
        (str(status), str(step), str(then), event[step])
        for status, steps in STEPS.items()
        for step, then in steps.items()
    ]
