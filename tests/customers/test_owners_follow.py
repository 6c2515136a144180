"""Owners that follow from automatic merges: by who is one now, whatever the order, and gone with the merge."""

from datetime import UTC, datetime
from itertools import permutations
from uuid import UUID

import pytest

from chassis.db import driver
from chassis.ids import uuid7
from contracts.identity import Scheme
from services.customers.queries.deciding import decide
from services.customers.queries.identities import have_identities
from services.customers.queries.pairs import Evidence, Together, see, unsee
from tests.customers.test_owners_routes import ANN, BEA, CEM, give

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def three(database, here):
    """In the order of their ids; the smallest survives."""
    people = sorted(here.identity(Scheme.EMAIL, f"p{number}@x.example").id for number in range(3))
    async with database.transaction() as session:
        await have_identities(session, [here.identity(Scheme.EMAIL, f"p{number}@x.example") for number in range(3)])
    return [Party(database, here, identity) for identity in people]


class Party:
    def __init__(self, database, here, id: UUID):
        self.database, self.here, self.id, self.name = database, here, id, f"party_{id.hex}"

    async def one_with(self, other):
        """Told by a fact; its id."""
        fact = uuid7()
        async with self.database.transaction() as session:
            evidence = Evidence(fact, "leads", "lead_captured", NOON, "website")
            await see(session, [Together([self.id, other.id], evidence)])
        await self.decided()
        return fact

    async def not_any_more(self, fact):
        async with self.database.transaction() as session:
            await unsee(session, [fact])
        await self.decided()

    async def decided(self):
        more = True
        while more:
            async with self.database.transaction() as session:
                more = await decide(session, self.here.zone)


async def owner(api, party):
    return (await api.get(f"/v1/parties/{party.name}/owner")).json()["owner_id"]


@pytest.mark.parametrize("order", list(permutations("bcx")))
async def test_of_several_heirs_the_smallest_is_followed_in_any_order(api, three, order):
    a, b, c = three
    await give(api, b.name, BEA)
    await give(api, c.name, CEM)
    facts = {}
    for step in order:
        if step == "x" and "b" in facts:
            await a.not_any_more(facts.pop("b"))
        elif step != "x":
            facts[step] = await a.one_with({"b": b, "c": c}[step])
    assert await owner(api, a) == (BEA if "b" in facts else CEM)
    assert await owner(api, b) == BEA


async def test_an_owner_that_came_with_an_automatic_merge_goes_with_it(api, three, published):
    a, b, _ = three
    await give(api, b.name, BEA)
    await published()
    fact = await a.one_with(b)
    assert await owner(api, a) == BEA
    await a.not_any_more(fact)
    assert (await owner(api, a), await owner(api, b)) == (None, BEA)
    told = [data for kind, _, data in await published() if kind == "party_owner_changed"]
    assert [(data["version"], "owner_id" in data and data["owner_id"] is not None) for data in told] == [
        (1, True),
        (2, False),
    ]
    await a.one_with(b)
    assert await owner(api, a) == BEA


@pytest.mark.parametrize("said", [BEA, CEM, None])
async def test_what_somebody_said_since_stays(api, three, said):
    a, b, _ = three
    await give(api, b.name, BEA)
    fact = await a.one_with(b)
    await give(api, a.name, said)
    await a.not_any_more(fact)
    assert await owner(api, a) == said
    await a.one_with(b)
    assert await owner(api, a) == said


async def test_parties_of_a_user_are_handed_over_and_what_followed_goes_with_the_merge_all_the_same(api, three):
    a, b, _ = three
    await give(api, b.name, BEA)
    fact = await a.one_with(b)
    answer = await api.post("/v1/owners/hand-over", json={"from_owner_id": BEA, "to_owner_id": ANN})
    assert (answer.json()["handed_over"], await owner(api, a)) == (2, ANN)
    await a.not_any_more(fact)
    assert (await owner(api, a), await owner(api, b)) == (None, ANN)


async def test_what_a_person_merged_keeps_its_owner_when_the_merge_goes(api, three, database):
    a, b, _ = three
    await give(api, b.name, BEA)
    fact = await a.one_with(b)
    await api.post(f"/v1/parties/{a.name}/merge", json={"party_id": b.name})
    await a.not_any_more(fact)
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch("SELECT kind FROM merge WHERE unmerged_at IS NULL")
    assert [row["kind"] for row in rows] == ["person"]
    assert await owner(api, a) == BEA
