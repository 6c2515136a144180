from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.customers import Holding
from services.customers.domain.assignments import (
    MergeWithItself,
    NotTheHolder,
    ReleasedTooEarly,
    edge,
    holder,
    released,
    resolved,
    survivors,
)

A, B, C = (UUID(int=number) for number in (1, 2, 3))
DAY = date(2026, 2, 1)

party_ids = st.integers(1, 9).map(lambda number: UUID(int=number))
edges = st.lists(st.tuples(party_ids, party_ids).filter(lambda pair: pair[0] != pair[1]), max_size=15)


def slow_survivors(pairs):
    """Spread the smallest id along every edge until nothing changes."""
    best = {party: party for pair in pairs for party in pair}
    for _ in best:
        for one, other in pairs:
            best[one] = best[other] = min(best[one], best[other])
    return best


@given(edges)
def test_the_survivor_is_the_smallest_id_of_what_is_connected(pairs):
    assert survivors(pairs) == slow_survivors(pairs)


@given(edges.flatmap(lambda pairs: st.tuples(st.just(pairs), st.permutations(pairs))), st.data())
def test_merges_in_any_order_and_direction_end_the_same(orders, data):
    pairs, shuffled = orders
    turned = [pair[::-1] if data.draw(st.booleans()) else pair for pair in shuffled]
    assert survivors(turned) == survivors(pairs)


@given(edges, edges.flatmap(lambda pairs: st.permutations(pairs)))
def test_taking_merges_back_leaves_what_the_others_say(kept, undone):
    active = kept + undone
    for pair in undone:
        active.remove(pair)
    after, alone = survivors(active), survivors(kept)
    assert {party: after.get(party, party) for party in after | alone} == alone


def test_a_merge_has_no_direction():
    assert edge(B, A) == edge(A, B) == (A, B)
    with pytest.raises(MergeWithItself):
        edge(A, A)


def test_holders_that_became_one_party_are_one_holding():
    held = (Holding(party_id=B), Holding(party_id=C, from_day=DAY))
    assert resolved(held, {}) == held
    assert resolved(held, {B: A}) == (Holding(party_id=A), held[1])
    assert resolved(held, {B: A, C: A}) == (Holding(party_id=A),)


def test_days_before_a_release_stay_with_the_former_holder():
    longer = released((Holding(party_id=A),), by={A}, to=B, from_day=DAY)
    assert [holder(longer, day) for day in (date(2026, 1, 31), DAY, date(2026, 2, 2))] == [A, B, B]


def test_only_the_present_holder_gives_an_identity_up_and_not_before_its_first_day():
    held = (Holding(party_id=A), Holding(party_id=B, from_day=DAY))
    with pytest.raises(NotTheHolder):
        released(held, by={A}, to=C, from_day=date(2026, 3, 1))
    with pytest.raises(ReleasedTooEarly):
        released(held, by={B}, to=C, from_day=DAY)
