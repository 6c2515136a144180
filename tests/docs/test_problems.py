import re

from chassis.imports.reasons import RowReason
from contracts.problems import BOUNDS, Problem
from tests.docs.pages import code, declared, page, rows, section

PROBLEM = re.compile(r"^### (?P<title>.+)\n\n`(?P<code>\w+)` · (?P<status>\d{3}) · (?P<text>.+)$", re.MULTILINE)


def test_every_problem_has_its_heading_with_code_and_status() -> None:
    told = {(found["title"], found["code"], int(found["status"])) for found in PROBLEM.finditer(page("problems.md"))}

    assert told == {(problem.title(), problem.code(), problem.status) for problem in declared(Problem)}


def test_two_problems_never_share_a_code() -> None:
    codes = [problem.code() for problem in declared(Problem)]

    assert len(codes) == len(set(codes))


def test_every_bound_of_a_wrong_place_is_listed() -> None:
    told = section(page("problems.md"), "Invalid request")

    assert {name for name in BOUNDS if f"`{name}`" not in told} == set()


def test_every_reason_for_which_a_row_is_rejected_is_listed() -> None:
    told = {code(row[0]) for row in rows(section(page("problems.md"), "Reasons of rejected rows"))}

    assert told == {reason for reasons in declared(RowReason) for reason in reasons}
