from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from contracts.customers import Holding
from services.customers.domain.assignments import (
    HandedOverToItself,
    NotTheHolder,
    ReleasedTooEarly,
    handed_over,
    holder,
)

ANN, BOB, CAT = (UUID(int=number) for number in (1, 2, 3))
FEB, MAR, APR = date(2026, 2, 1), date(2026, 3, 1), date(2026, 4, 1)


def held(*holdings):
    return tuple(Holding(party_id=party, from_day=day) for party, day in holdings)


def gone(holdings, by, to, day):
    return handed_over(holdings, by={by}, to=to, like={to}, from_day=day)


def test_the_days_before_stay_with_the_first():
    after = gone(held((ANN, None)), ANN, BOB, MAR)
    assert after == held((ANN, None), (BOB, MAR))
    assert [holder(after, day) for day in (FEB, MAR)] == [ANN, BOB]


def test_what_is_handed_over_several_times_or_told_later_is_in_the_order_of_its_days():
    after = gone(gone(held((ANN, None)), ANN, BOB, FEB), BOB, CAT, APR)
    assert after == held((ANN, None), (BOB, FEB), (CAT, APR))
    told_late = gone(gone(held((ANN, None)), ANN, CAT, APR), ANN, BOB, FEB)
    assert told_late == after
    assert gone(after, ANN, BOB, FEB) == after
    assert gone(after, CAT, ANN, date(2026, 5, 1))[-1] == Holding(party_id=ANN, from_day=date(2026, 5, 1))


def test_the_same_successor_earlier_begins_earlier():
    assert gone(held((ANN, None), (BOB, APR)), ANN, BOB, FEB) == held((ANN, None), (BOB, FEB))


def test_only_the_holder_of_the_day_hands_over_and_keeps_a_day():
    after = held((ANN, None), (BOB, MAR))
    with pytest.raises(NotTheHolder):
        gone(after, ANN, CAT, APR)
    with pytest.raises(ReleasedTooEarly):
        gone(after, BOB, CAT, MAR)
    with pytest.raises(HandedOverToItself):
        gone(after, BOB, BOB, APR)


@drawn(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 20)), max_size=8))
def test_days_always_rise_and_only_later_days_of_the_giver_change(told):
    parties, first = [UUID(int=number) for number in range(1, 5)], date(2026, 1, 1)
    holdings = held((parties[0], None))
    for by, to, offset in told:
        day = first + timedelta(days=offset)
        try:
            after = gone(holdings, parties[by], parties[to], day)
        except (NotTheHolder, ReleasedTooEarly, HandedOverToItself):
            continue
        for number in range(25):
            then = first + timedelta(days=number)
            if holder(after, then) != holder(holdings, then):
                assert then >= day
                assert (holder(holdings, then), holder(after, then)) == (parties[by], parties[to])
        holdings = after
    days = [each.from_day for each in holdings[1:]]
    assert days == sorted(set(days))
