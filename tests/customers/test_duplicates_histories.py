"""Whatever the order: who is one party follows from the pairs seen, the rules, and what people decided."""

import os
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import combinations
from uuid import UUID

import pytest

from chassis.db import driver
from chassis.ids import uuid7
from contracts.identity import Scheme
from services.customers.domain.duplicates import CandidateStatus, Rules
from services.customers.queries.deciding import decide
from services.customers.queries.duplicates import activate, candidates, dismiss
from services.customers.queries.identities import have_identities
from services.customers.queries.merges import merge, unmerge
from services.customers.queries.pairs import Evidence, Together, see, unsee

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HISTORIES = int(os.environ.get("SHUKE_TEST_HISTORIES", "100"))
STEPS = 24


class History:
    """Some identities, what was told of them, and what a person said last about two parties."""

    def __init__(self, number, here):
        self.random = random.Random(number)
        emails = [f"p{name}@h{number}.example" for name in range(4)] + [f"info@h{number}.example"]
        self.identities = [
            *(here.identity(Scheme.EMAIL, email) for email in emails),
            *(here.identity(Scheme.PHONE, f"+4930{number:05}{name}") for name in range(3)),
        ]
        self.ids = [identity.id for identity in self.identities]
        self.facts: dict[UUID, tuple[UUID, UUID]] = {}
        self.decided: dict[tuple[UUID, UUID], str] = {}

    async def step(self, session):
        action = self.random.choice(["see"] * 6 + ["again", "unsee", "merge", "unmerge", "dismiss"])
        if action == "see":
            # Few partners and more seldom all of them: identifiers begin and end to be shared.
            pair = tuple(self.random.sample(self.ids, 2))
            fact = uuid7()
            self.facts[fact] = pair
            await see(session, [told(pair, fact)])
        elif action == "again" and self.facts:
            fact = self.random.choice(list(self.facts))
            await see(session, [told(self.facts[fact][::-1], fact)] * 2)
        elif action == "unsee" and self.facts:
            fact = self.random.choice(list(self.facts))
            del self.facts[fact]
            await unsee(session, [fact])
        elif action == "merge":
            pair = tuple(sorted(self.random.sample(self.ids, 2)))
            await merge(session, *pair, by="ann")
            self.decided[pair] = "one"
        elif action == "unmerge":
            rows = await (await driver(session)).fetch(
                "SELECT id, party_id, other_id FROM merge WHERE party_id = ANY($1) AND unmerged_at IS NULL", self.ids
            )
            if rows:
                row = self.random.choice(sorted(rows, key=lambda row: (row["party_id"], row["other_id"])))
                await unmerge(session, row["party_id"], row["id"], by="ann")
                self.decided[row["party_id"], row["other_id"]] = "two"
        elif action == "dismiss":
            found = await candidates(
                session, status="open", min_score=0, party_id=self.random.choice(self.ids), after=(101, LAST), limit=1
            )
            if found:
                await dismiss(session, found[0].id, "they differ", "ann")
                self.decided[found[0].party_id, found[0].other_id] = "two"

    def partition(self, rules):
        """Who is one with whom, by the definition alone."""
        pairs = {tuple(sorted(pair)) for pair in self.facts.values()}
        kinds = {identity.id: identity.scheme for identity in self.identities}
        partners = defaultdict(Counter)
        for one, two in pairs:
            partners[one][kinds[two]] += 1
            partners[two][kinds[one]] += 1
        roles = {identity.id for identity in self.identities if str(identity.value).startswith("info@")}
        strong = {
            id
            for id in self.ids
            if max(partners[id].values(), default=0) <= rules.most_claims
            and id not in roles
            and kinds[id] in rules.strong
        }
        edges = {pair for pair in pairs if strong.issuperset(pair) and self.decided.get(pair) != "two"}
        edges |= {pair for pair, said in self.decided.items() if said == "one"}
        best = {id: id for id in self.ids}
        for _ in best:
            for one, two in edges:
                best[one] = best[two] = min(best[one], best[two])
        return best


LAST = UUID(int=2**128 - 1)


def told(pair, fact):
    return Together(list(pair), Evidence(fact, "leads", "lead_captured", NOON, "website"))


async def decide_all(database, here):
    while True:
        async with database.transaction() as session:
            if not await decide(session, here.zone):
                return


async def tops(database):
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch("SELECT id, resolves_to FROM party")
    return {row["id"]: row["resolves_to"] for row in rows}


@pytest.mark.parametrize("rules", [None, Rules(most_claims=1), Rules(strong=("phone",))], ids=["same", "k", "weaker"])
async def test_any_history_ends_as_the_pairs_the_rules_and_the_people_say(database, here, rules):
    histories = [History(number, here) for number in range(HISTORIES)]
    async with database.transaction() as session:
        await have_identities(session, [each for history in histories for each in history.identities])
    for number in range(STEPS):
        for start in range(0, len(histories), 20):
            async with database.transaction() as session:
                for history in histories[start : start + 20]:
                    await history.step(session)
        if number % 5 == 0:
            async with database.transaction() as session:
                await decide(session, here.zone)
        if rules and number == STEPS // 2:
            async with database.transaction() as session:
                await activate(session, Rules(most_claims=2), 1, "ann")
                await decide(session, here.zone)
                await activate(session, rules, 2, "ann")
        if number % 8 == 7:
            await decide_all(database, here)
    await decide_all(database, here)
    found = await tops(database)
    for history in histories:
        assert {id: found[id] for id in history.ids} == history.partition(rules or Rules())
    await candidates_are_what_is_left(database)


async def candidates_are_what_is_left(database):
    async with database.transaction() as session:
        connection = await driver(session)
        rows = await connection.fetch("SELECT DISTINCT party_id, other_id FROM tie")
        merged = await connection.fetch("SELECT party_id, other_id FROM merge WHERE unmerged_at IS NULL")
        queued = await connection.fetch("SELECT party_id, other_id, status FROM candidate WHERE kinds <> '{}'")
        automatic = await connection.fetch(
            "SELECT party_id, other_id FROM merge WHERE kind = 'automatic' AND unmerged_at IS NULL"
        )
    left = {tuple(row) for row in rows} - {tuple(row) for row in automatic}
    assert {tuple(row)[:2] for row in queued if row["status"] == CandidateStatus.OPEN} <= left
    assert left <= {tuple(row)[:2] for row in queued}
    assert {tuple(row)[:2] for row in queued if row["status"] == CandidateStatus.DISMISSED}.isdisjoint(
        tuple(row) for row in merged
    )


async def test_the_same_pairs_in_two_orders_give_the_same_parties(database, here):
    people = [here.identity(Scheme.EMAIL, f"p{number}@x.example") for number in range(30)]
    pairs = random.Random(5).sample(list(combinations([person.id for person in people], 2)), 30)
    ends = []
    for seed in range(4):
        async with database.transaction() as session:
            await (await driver(session)).execute(
                "TRUNCATE party, identity, holding, pair_told, pair_to_decide, seen_together, shared_identity CASCADE"
            )
            await have_identities(session, people)
        mine = pairs * 2
        random.Random(seed).shuffle(mine)
        for pair in mine:
            async with database.transaction() as session:
                await see(session, [told(pair, uuid7())])
            if seed % 2:
                await decide_all(database, here)
        await decide_all(database, here)
        ends.append(await tops(database))
    assert ends[0] == ends[1] == ends[2] == ends[3]
    assert 1 < len(set(ends[0].values())) < len(people)
