import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.leads import Grade
from services.leads.domain.rubrics import FIRST, Rubric, Seen, grade

CUTS = {"a": 30, "b": 20, "c": 10}


def rubric(when, points=30, **other):
    criteria = [{"name": "it", "when": when, "points": points}]
    return Rubric.model_validate_json(json.dumps({"name": "r", "criteria": criteria, "cuts": CUTS} | other))


def meets(when, lead):
    return grade(rubric(when), lead).met == ("it",)


def says(field, op, value=None):
    return {"field": field, "op": op} | ({} if value is None else {"value": value})


WEB = says("source", "is", "website")
HOT = says("attributes.visits", "at_least", 3)
LEAD = Seen("website", None, "spring", {"visits": "3.0", "Lead Origin": " API ", "empty": ""})


@pytest.mark.parametrize(
    ("when", "met"),
    [
        (WEB, True),
        (says("source", "is", " WebSite "), True),
        (says("source", "is", "web"), False),
        (says("source", "contains", "SITE"), True),
        (says("source", "in", ["fair", "website"]), True),
        (says("source", "in", ["fair"]), False),
        (says("medium", "known"), False),
        (says("campaign", "known"), True),
        (says("attributes.Lead Origin", "is", "api"), True),
        (says("attributes.lead origin", "known"), False),
        (says("attributes.empty", "known"), False),
        (HOT, True),
        (says("attributes.visits", "at_least", 3.5), False),
        (says("attributes.visits", "at_most", 3), True),
        (says("attributes.Lead Origin", "at_least", 0), False),
        (says("attributes.absent", "at_most", 9), False),
        ({"not": says("attributes.absent", "known")}, True),
        ({"all": [WEB, HOT]}, True),
        ({"all": [WEB, {"not": HOT}]}, False),
        ({"any": [{"not": WEB}, HOT]}, True),
        ({"any": [{"not": WEB}]}, False),
    ],
)
def test_a_condition_is_met_or_not(when, met):
    assert meets(when, LEAD) is met


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-sNaN", "", "1e999999999", "٣", "three"])
def test_what_is_no_plain_number_meets_no_bound_or_compares_as_one(number):
    lead = Seen("website", attributes={"visits": number})
    meets(HOT, lead)
    assert not (
        meets(says("attributes.visits", "at_least", 5), lead) and meets(says("attributes.visits", "at_most", 4), lead)
    )


@pytest.mark.parametrize(
    ("points", "expected"), [(31, "A"), (30, "A"), (29, "B"), (20, "B"), (19, "C"), (10, "C"), (9, "D"), (-9, "D")]
)
def test_cut_points_are_the_fewest_of_their_grade(points, expected):
    assert grade(rubric(WEB, points), LEAD).grade is Grade(expected)


@pytest.mark.parametrize(
    "when",
    [
        says("status", "known"),
        says("attributes.", "known"),
        says("attributes." + "a" * 65, "known"),
        says("source", "like", "x"),
        says("source", "is"),
        says("source", "is", 3),
        says("source", "in", "website"),
        says("source", "in", []),
        says("source", "at_least", "3"),
        says("source", "known", "x"),
        {"all": []},
        {"any": []},
        {"not": [WEB]},
        {"all": [WEB], "any": [WEB]},
        {},
        [],
        "source",
        None,
    ],
)
def test_a_condition_that_says_nothing_is_refused(when):
    with pytest.raises(ValidationError):
        rubric(when)


def deep(depth):
    when = WEB
    for _ in range(depth - 1):
        when = {"not": when}
    return when


def test_conditions_stand_so_deep_and_no_deeper():
    assert rubric(deep(8))
    for depth in (9, 60, 5_000):
        with pytest.raises((ValidationError, RecursionError)):
            rubric(deep(depth))


def test_a_rubric_has_so_many_conditions_and_no_more():
    def wide(count):
        return [{"name": f"c{n}", "points": 1, "when": {"any": [WEB] * 99}} for n in range(count)]

    assert rubric(WEB, criteria=wide(5))
    with pytest.raises(ValidationError):
        rubric(WEB, criteria=wide(6))


@pytest.mark.parametrize("cuts", [{"a": 20, "b": 20, "c": 10}, {"a": 5, "b": 20, "c": 10}, {"a": 30, "b": 20}])
def test_cut_points_fall_from_grade_to_grade(cuts):
    with pytest.raises(ValidationError):
        rubric(WEB, cuts=cuts)


def test_two_criteria_of_one_name_are_refused():
    twice = [{"name": "it", "when": WEB, "points": 1}] * 2
    with pytest.raises(ValidationError):
        rubric(WEB, criteria=twice)


def test_a_rubric_is_named_by_what_it_says_and_reads_back_as_itself():
    assert Rubric.model_validate_json(FIRST.model_dump_json()) == FIRST
    assert rubric(WEB).content_hash == rubric(WEB).content_hash
    others = {rubric(WEB, 31).content_hash, rubric({"not": WEB}).content_hash, rubric(HOT).content_hash}
    assert len(others | {rubric(WEB).content_hash}) == 4
    again = Rubric.model_validate_json(rubric({"not": says("attributes.x", "at_most", 2.5)}).model_dump_json())
    assert again.content_hash == rubric({"not": says("attributes.x", "at_most", 2.5)}).content_hash


texts = st.text(max_size=20)
leads = st.builds(
    Seen,
    st.sampled_from(["website", "list", "referral", "fair"]),
    st.none() | st.sampled_from(["organic", "cold"]),
    st.none() | st.just("x"),
    st.dictionaries(st.sampled_from(["budget", "company", "employees"]) | texts, texts, max_size=5),
)


@given(leads)
def test_the_first_rubric_grades_whatever_comes_by_the_sum_of_what_is_met(lead):
    found = grade(FIRST, lead)
    points = {criterion.name: criterion.points for criterion in FIRST.criteria}
    assert found.points == sum(points[name] for name in found.met)
    assert found.grade is FIRST.cuts.grade(found.points)


def test_the_first_rubric_uses_every_grade():
    leads = [
        Seen("referral", "referral", "x", {"budget": "9"}),
        Seen("website", None, "x"),
        Seen("fair"),
        Seen("list", "cold"),
    ]
    assert [grade(FIRST, lead).grade for lead in leads] == list(Grade)
