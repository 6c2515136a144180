from typing import Any

import pytest

from chassis.auth import Caller
from chassis.contact import ContactHidden, check_search, hidden, masked
from contracts.identity import Scheme


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ann@example.org", "a…@…"),
        ("Write to ann@example.org, or ring +44 20 7183 8750.", "Write to a…@…, or ring +44…50."),
        ("0049 171 1234567", "004…67"),
        ("C-1001", "C-1001"),
        ("2026-02-03T10:00:00+00:00", "2026-02-03T10:00:00+00:00"),
        ("party_0198f0c2a3b47c11a1e2f3a4b5c6d7e8", "party_0198f0c2a3b47c11a1e2f3a4b5c6d7e8"),
        ("", ""),
    ],
)
def test_ways_to_reach_somebody_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"scheme": "email", "value": "ann@example.org"}, {"scheme": "email", "value": "a…@…"}),
        ({"scheme": "phone", "value": "+442071838750"}, {"scheme": "phone", "value": "+44…50"}),
        ({"scheme": "external", "value": "C-1"}, {"scheme": "external", "value": "C-1"}),
        ({"note": "Ring twice.", "other": None}, {"note": "…", "other": None}),
        ({"note": None}, {"note": None}),
        ([{"attributes": {"Mobile": "0171 123", "size": "10"}}], [{"attributes": {"Mobile": "…", "size": "10"}}]),
        ({"count": 3, "share": 0.5, "done": True}, {"count": 3, "share": 0.5, "done": True}),
    ],
)
def test_what_is_hidden_of_an_answer_is_told_by_its_members(value: Any, shown: Any) -> None:
    assert hidden(value, {"note"}) == shown


def test_who_may_not_see_contact_data_searches_by_other_ids_alone() -> None:
    analyst = Caller("user_1", frozenset({"analyst"}), contact=False)
    for scheme in (Scheme.EMAIL, Scheme.PHONE):
        with pytest.raises(ContactHidden):
            check_search(analyst, scheme)
        check_search(Caller("user_1", frozenset()), scheme)
    check_search(analyst, Scheme.EXTERNAL)
    check_search(analyst, None)
