"""What community decides, without anything around it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.community.domain.groups import folded, spelled
from services.community.domain.members import MemberLeft, check_not_left
from services.community.domain.referrals import (
    ALPHABET,
    EndsTooEarly,
    Outcome,
    ReferralExpired,
    check_open,
    code_of,
    outcome,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_member_does_nothing_from_the_moment_it_left():
    check_not_left(None, NOON)
    check_not_left(NOON, NOON - HOUR)
    for late in (NOON, NOON + HOUR):
        with pytest.raises(MemberLeft):
            check_not_left(NOON, late)


def test_a_name_has_one_spelling_and_capitals_tell_no_groups_apart():
    assert spelled("  Cafe\u0301   Society ") == "Caf\u00e9 Society"
    assert len({folded(name) for name in ("\u0391\u03a3", "\u03b1\u03c2", "\u03b1\u03c3")}) == 1


def test_a_referral_is_open_until_it_is_sold_or_ends():
    assert outcome(None, None, NOON) is Outcome.OPEN
    assert outcome(None, NOON + HOUR, NOON) is Outcome.OPEN
    assert outcome(None, NOON, NOON) is Outcome.EXPIRED
    assert outcome(NOON - HOUR, NOON, NOON + HOUR) is Outcome.CONVERTED


def test_something_happens_to_a_referral_from_its_making_to_its_end():
    check_open(NOON, NOON + HOUR, NOON)
    with pytest.raises(EndsTooEarly):
        check_open(NOON, None, NOON - HOUR)
    with pytest.raises(ReferralExpired):
        check_open(NOON, NOON + HOUR, NOON + HOUR)


@given(st.sets(st.integers(0, 2**40 - 1), max_size=50))
def test_every_number_has_a_code_of_its_own_that_is_easy_to_tell(numbers):
    codes = {code_of(number) for number in numbers}
    assert len(codes) == len(numbers)
    assert all(len(code) == 8 and set(code) <= set(ALPHABET) for code in codes)
    assert not set(ALPHABET) & set("01IO")
