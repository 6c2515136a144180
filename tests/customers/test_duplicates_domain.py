from datetime import date
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.customers import Holding
from contracts.identity import Given, Scheme, given
from services.customers.domain.duplicates import (
    EvidenceKind,
    Known,
    Obstacle,
    Rules,
    Told,
    alike,
    likeness,
    obstacle,
    score,
    ties,
)

ONE, TWO, THREE, FOUR = (UUID(int=number) for number in range(1, 5))
DAY, LATER = date(2026, 2, 1), date(2026, 3, 1)
RULES = Rules()


def email(value, id=ONE):
    return Known(id, Scheme.EMAIL, value=value)


def phone(id=TWO):
    return Known(id, Scheme.PHONE, value="+49301234567")


def external(value, system="shop", id=ONE):
    return Known(id, Scheme.EXTERNAL, system, value)


def own(*identities):
    return {identity: [Holding(party_id=identity)] for identity in identities}


def tied(one, other, told, *, claims=None, resembling=None, holdings=None, rules=RULES):
    return ties(one, other, told, claims or {}, resembling or {}, holdings or own(one.id, other.id), rules)


def test_two_strong_identifiers_seen_together_make_their_parties_one():
    [tie] = tied(email("a@x.org"), phone(), [Told("website", DAY)])
    assert (tie.edge, tie.automatic) == ((ONE, TWO), True)


def test_an_identifier_that_more_came_with_than_one_party_has_merges_nobody():
    for claims, automatic in ((3, True), (4, False)):
        [tie] = tied(email("a@x.org"), phone(), [Told("website", DAY)], claims={TWO: claims})
        assert tie.automatic is automatic
    [tie] = tied(email("a@x.org"), phone(), [Told("website", DAY)], claims={TWO: 4}, rules=Rules(most_claims=4))
    assert tie.automatic


@pytest.mark.parametrize("address", ["info@x.org", "sales+fair@x.org"])
def test_the_address_of_a_role_merges_nobody(address):
    [tie] = tied(email(address), phone(), [Told("website", DAY)])
    assert tie.obstacle is Obstacle.ROLE_ADDRESS
    [tie] = tied(email(address), phone(), [Told("website", DAY)], rules=Rules(role_addresses=()))
    assert tie.automatic


def test_an_external_id_is_strong_in_what_its_own_system_tells():
    told = {"shop": None, "crm": Obstacle.OTHER_SYSTEM, None: None}
    assert {source: obstacle(external("77"), 0, source, RULES) for source in told} == told
    assert obstacle(external("77"), 0, "shop", Rules(strong=("email",))) is Obstacle.WEAK


def test_an_identity_of_which_only_the_id_is_known_is_what_it_was_given_as():
    known = [Known(ONE), *(Known(ONE, given=each) for each in Given)]
    assert [obstacle(each, 0, "website", RULES) for each in known] == [
        Obstacle.UNKNOWN,
        None,
        Obstacle.ROLE_ADDRESS,
        None,
        Obstacle.OTHER_SYSTEM,
    ]
    assert [each.kind for each in known] == ["unknown", "email", "email", "phone", "external"]


def test_what_is_told_of_an_identifier_elsewhere_is_its_scheme_and_whether_a_role_has_it(here):
    told = {"a@x.org": Given.EMAIL, "INFO@x.org": Given.ROLE_EMAIL}
    assert {value: given(here.identity(Scheme.EMAIL, value)) for value in told} == told
    assert given(here.identity(Scheme.PHONE, "+49301234567")) is Given.PHONE


def test_of_several_tellings_the_one_that_says_most_counts_in_any_order():
    told = [Told("crm", DAY), Told("shop", DAY), Told("crm", LATER)]
    found = {tied(external("77"), phone(), order) for order in permutations(told)}
    assert [tie.automatic for tie in found.pop()] == [True]
    assert not found


def test_a_pair_is_about_those_who_held_both_on_its_day():
    holdings = own(ONE) | {TWO: [Holding(party_id=TWO), Holding(party_id=THREE, from_day=LATER)]}
    before = tied(email("a@x.org"), phone(), [Told("website", DAY)], holdings=holdings)
    after = tied(email("a@x.org"), phone(), [Told("website", LATER)], holdings=holdings)
    assert {tie.edge for tie in before} == {(ONE, TWO)}
    assert {tie.edge for tie in after} == {(ONE, THREE)}


def test_a_pair_within_one_party_says_nothing():
    assert tied(
        email("a@x.org"), phone(), [Told("website", DAY)], holdings=dict.fromkeys([ONE, TWO], own(ONE)[ONE])
    ) == (frozenset())


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("ann.lee@x.org", "annlee@x.org", EvidenceKind.EMAIL_SPELLING),
        ("annlee+shop@x.org", "ann.lee@x.org", EvidenceKind.EMAIL_SPELLING),
        ("ann@x.org", "аnn@x.org", EvidenceKind.EMAIL_CONFUSABLE),
        ("rene@x.org", "rené@x.org", EvidenceKind.EMAIL_CONFUSABLE),
        ("b0b@x.org", "bob@x.org", EvidenceKind.EMAIL_CONFUSABLE),
        ("ann@x.org", "ann@y.org", None),
        ("ann@x.org", "anne@x.org", None),
    ],
)
def test_addresses_that_look_alike_are_evidence(one, other, kind):
    assert alike(email(one), email(other, TWO)) is kind
    found = tied(email(one), email(other, TWO), [])
    assert [(tie.kind, tie.automatic) for tie in found] == ([(kind, False)] if kind else [])


def test_what_more_look_like_than_one_party_has_looks_like_nothing():
    pair = email("ann+1@x.org"), email("ann+2@x.org", TWO)
    assert tied(*pair, [], resembling={ONE: 3, TWO: 3})
    assert not tied(*pair, [], resembling={ONE: 4, TWO: 4})


def test_the_same_id_in_two_systems_is_evidence_where_it_is_long_enough_to_be_no_chance():
    long = "8d50f5eadf50201ccdcedfb9e2ac8455"
    assert alike(external(long), external(long, "crm", TWO)) is EvidenceKind.EXTERNAL_VALUE
    assert alike(external(long), external(long, "shop", TWO)) is None
    assert alike(external("1234567"), external("1234567", "crm", TWO)) is None
    by_value = [
        next(iter(tied(external(value), external(value, "crm", TWO), []))).score for value in (long, "12345678")
    ]
    assert by_value[0] > by_value[1]


def test_phones_and_identities_without_an_identifier_look_like_nothing():
    assert likeness(phone()) is likeness(Known(ONE)) is None
    assert alike(phone(), phone(THREE)) is None


@drawn(
    st.lists(st.integers(0, 100), max_size=8).flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts)))
)
def test_more_evidence_in_any_order_makes_it_likelier(orders):
    parts, shuffled = orders
    assert score(parts) == score(shuffled)
    assert max(parts, default=0) <= score(parts) <= score([*parts, 50]) <= 100


def test_rules_that_say_the_same_are_the_same_version():
    one = Rules(strong=("phone", "email"), role_addresses=(" Info", "sales", "info"))
    other = Rules(strong=("email", "phone", "phone"), role_addresses=("sales", "info"))
    assert one.content_hash == other.content_hash != Rules().content_hash
    assert Rules.model_validate(one.model_dump(mode="json")) == one
    with pytest.raises(ValidationError):
        Rules(most_claims=0)
