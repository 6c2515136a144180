from itertools import permutations
from uuid import UUID

from services.customers.domain.timelines import FIRST, LAST, id_before

PREFIXES = ["identity", "interaction", "lead", "merge", "observation", "ownership", "post", "purchase", "return"]
PREFIXES += ["step"]


def test_a_page_goes_on_below_the_last_entry_in_the_order_of_outer_ids():
    ids = [f"{prefix}_{number:032x}" for prefix in PREFIXES for number in (1, 7)]
    for one, last in permutations(ids, 2):
        prefix, _, digits = one.rpartition("_")
        assert (one < last) == (UUID(hex=digits) < id_before(prefix, last))


def test_without_an_id_only_what_is_before_the_instant_follows():
    assert id_before("purchase", "") == FIRST
    assert id_before("purchase", f"return_{0:032x}") == LAST
