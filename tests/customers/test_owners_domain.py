from itertools import permutations
from uuid import UUID

from services.customers.domain.owners import NOBODY, Care, followed, taken_over

A, B, C, ANN, BEA = (UUID(int=number) for number in range(1, 6))


def test_a_survivor_without_an_owner_takes_over_that_of_the_other():
    assert taken_over({B: A}, {A: A, B: B}, {B: Care(ANN)}) == [(A, Care(ANN))]
    assert taken_over({B: A}, {A: A, B: B}, {A: NOBODY, B: Care(None, BEA)}) == [(A, Care(None, BEA))]


def test_a_survivor_with_an_owner_or_a_team_keeps_it():
    for own in (Care(BEA), Care(None, BEA)):
        assert taken_over({B: A}, {A: A, B: B}, {A: own, B: Care(ANN)}) == []


def test_who_stood_for_itself_comes_before_who_was_merged_already():
    moved, stood = {B: A, C: A}, {A: A, B: C, C: C}
    for care in permutations([(B, Care(ANN)), (C, Care(BEA))]):
        assert taken_over(moved, stood, dict(care)) == [(A, Care(BEA))]


def test_an_unmerge_gives_a_survivor_its_own_owner_back_and_takes_none():
    assert taken_over({B: B}, {A: A, B: A}, {A: Care(ANN), B: Care(BEA)}) == []
    assert taken_over({B: B, C: B}, {A: A, B: A, C: A}, {C: Care(BEA)}) == [(B, Care(BEA))]


def test_what_follows_from_who_is_one_is_the_smallest_ids_and_nobodys_where_none_has_any():
    for care in permutations([(B, Care(ANN)), (C, Care(BEA))]):
        assert followed({A: A, B: A, C: A}, dict(care)) == {A: Care(ANN)}
    assert followed({A: A, B: B, C: A}, {B: Care(ANN), C: Care(BEA)}) == {A: Care(BEA)}
    assert followed({A: A, B: B}, {B: Care(ANN)}) == {A: NOBODY}


def test_nothing_follows_where_somebody_said_who_it_is_or_that_it_is_nobody():
    for said in (Care(BEA), NOBODY):
        assert followed({A: A, B: A}, {A: said, B: Care(ANN)}) == {}
