import json
import re

from services.leads.domain.leads import Change
from services.leads.domain.moves import CHANGES, MOVES, OPERATIONS, LeadStatus
from services.leads.domain.rubrics import DEEPEST, FIRST, MOST_CONDITIONS, Op, Rubric
from services.leads.handlers.imports.leads import LEADS
from services.leads.handlers.imports.outcomes import LEAD_OUTCOMES, MEANING
from tests.docs.pages import code, page, rows, section

PAGE = page("leads.md")


def codes(heading: str) -> list[str]:
    return [code(row[0]) for row in rows(section(PAGE, heading))]


def test_the_table_of_moves_is_the_one_that_decides() -> None:
    told = [tuple(map(code, row)) for row in rows(section(PAGE, "Moves"))]

    assert told == [
        (status, to, OPERATIONS[to], f"leads.lead_{CHANGES[to]}.v1")
        for status, allowed in MOVES.items()
        for to in (*list(LeadStatus)[1:3], LeadStatus.WON, LeadStatus.LOST, LeadStatus.NEW)
        if to in allowed
    ]


def test_every_change_in_a_history_is_listed() -> None:
    assert codes("History") == list(Change)


def test_every_op_of_a_rubric_and_its_bounds_are_told() -> None:
    told = section(PAGE, "Grades")
    listed = codes("Grades")

    assert listed == [*Op, *(criterion.name for criterion in FIRST.criteria)]
    assert f"at most {DEEPEST} deep" in told
    assert f"{MOST_CONDITIONS}\nconditions" in told


def test_the_first_rubric_is_told_with_its_points_and_cut_points() -> None:
    told = rows(section(PAGE, "Grades"))[len(Op) :]

    assert [(code(name), int(points)) for name, points in told] == [
        (criterion.name, criterion.points) for criterion in FIRST.criteria
    ]
    assert f"A has {FIRST.cuts.a} points or more, B {FIRST.cuts.b}, C {FIRST.cuts.c}." in PAGE


def test_the_rubric_that_is_shown_is_one() -> None:
    [shown] = re.findall(r"^```json\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert Rubric.model_validate(json.loads(shown)).criteria


def test_every_field_of_an_import_is_listed() -> None:
    assert codes("Imports of leads") == [field.name for field in LEADS.fields]
    assert codes("Imports of outcomes") == [field.name for field in LEAD_OUTCOMES.fields]


def test_every_word_that_is_told_for_an_outcome_means_it() -> None:
    [cell] = [row[1] for row in rows(section(PAGE, "Imports of outcomes")) if code(row[0]) == "outcome"]
    told = [
        [MEANING[word] for word in re.findall(r"`(\w+)`", part)]
        for part in cell.split(";")
        if re.findall(r"`(\w+)`", part)
    ]

    assert [set(statuses) for statuses in told] == [
        {LeadStatus.WON},
        {LeadStatus.LOST},
        {LeadStatus.DISQUALIFIED},
        {LeadStatus.QUALIFIED},
    ]
