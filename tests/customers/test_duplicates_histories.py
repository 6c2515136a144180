"""Whatever the order: who is one party follows from the pairs seen, the rules, and what people decided."""

import os
import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, groupby
from uuid import UUID

import pytest

from chassis.db import driver
from chassis.ids import uuid7
from contracts.identity import Scheme
from contracts.problems import Problem
from services.customers.domain.duplicates import CandidateStatus, Rules
from services.customers.queries.deciding import decide
from services.customers.queries.duplicates import activate, candidates, dismiss
from services.customers.queries.handovers import hand_over_identifier, holders_to_change
from services.customers.queries.identities import have_identities
from services.customers.queries.merges import merge, tell_apart, unmerge
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
        action = self.random.choice(["see"] * 6 + ["again", "unsee", "early", "merge", "unmerge", "dismiss"])
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
        elif action == "early":
            fact = uuid7()
            await unsee(session, [fact])
            await see(session, [told(tuple(self.random.sample(self.ids, 2)), fact)])
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
        merged = {pair for pair, said in self.decided.items() if said == "one"}
        people = self.least(merged)
        apart = {frozenset({people[one], people[two]}) for (one, two), said in self.decided.items() if said == "two"}
        seen = {pair for pair in pairs if strong.issuperset(pair) and frozenset(people[id] for id in pair) not in apart}
        return self.least(merged | seen)

    def least(self, edges):
        """Of each the least that edges connect it with."""
        best = {id: id for id in self.ids}
        for _ in best:
            for one, two in edges:
                best[one] = best[two] = min(best[one], best[two])
        return best


LAST = UUID(int=2**128 - 1)


def told(pair, fact, at=NOON):
    return Together(list(pair), Evidence(fact, "leads", "lead_captured", at, "website"))


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


class World:
    """Things that are told in any order: pairs and their withdrawals; and in their own order, what people say."""

    def __init__(self, number, here):
        mine = random.Random(number)
        self.identities = [
            *(here.identity(Scheme.EMAIL, f"p{name}@w{number}.example") for name in range(4)),
            *(here.identity(Scheme.PHONE, f"+4930{number:05}{name}") for name in range(3)),
            *(here.identity(Scheme.EMAIL, f"q+{name}@w{number}.example") for name in range(mine.randint(0, 6))),
        ]
        self.ids = {identity.id for identity in self.identities}
        ids = [identity.id for identity in self.identities[:7]]
        self.heard = []
        for _ in range(mine.randint(2, 9)):
            fact = uuid7()
            self.heard.append(("see", told(mine.sample(ids, 2), fact, NOON + timedelta(days=mine.randrange(60)))))
            if mine.random() < 0.25:
                self.heard.append(("unsee", fact))
        self.said = [("over", *mine.sample(ids, 2), mine.randrange(60)) for _ in range(mine.randrange(4))]
        self.said += [("apart", *mine.sample(ids, 2)) for _ in range(mine.randrange(3))]

    def shuffled(self, order):
        """All of it in an order; withdrawals come before what they withdraw as well."""
        lines = [[step] for step in [*self.heard, *(("known", each) for each in self.identities[7:])]] + [self.said]
        tickets = [place for place, line in enumerate(lines) for _ in line]
        order.shuffle(tickets)
        queues = [iter(line) for line in lines]
        return [next(queues[place]) for place in tickets]


async def tell(session, action, *what):
    if action == "see":
        await see(session, what)
    elif action == "unsee":
        await unsee(session, what)
    elif action == "known":
        await have_identities(session, what)
    elif action == "apart":
        one, other = what
        await tell_apart(session, one, other, "ann")
    else:
        identity, to, days = what
        day = date(2026, 3, 1) + timedelta(days=days)
        held = await (await driver(session)).fetch(
            "SELECT party_id FROM holding WHERE identity_id = $1 AND coalesce(from_day, $2) <= $2 ORDER BY nth",
            *(identity, day),
        )
        try:
            connected, named = await holders_to_change(session, held[-1]["party_id"], identity, to)
            await hand_over_identifier(session, connected, held[-1]["party_id"], identity, to=named, from_day=day)
        except Problem:
            return


async def test_hand_overs_withdrawals_and_decisions_in_any_order_end_alike(database, here):
    worlds = [World(number, here) for number in range(HISTORIES // 2)]
    ends = []
    for seed in range(4):
        order = random.Random(seed)
        async with database.transaction() as session:
            await (await driver(session)).execute(
                "TRUNCATE party, identity, holding, pair_told, fact_taken_back, pair_to_decide, seen_together,"
                " shared_identity, likeness CASCADE"
            )
            await have_identities(session, [each for world in worlds for each in world.identities[:7]])
        steps = [(number, step) for world in worlds for number, step in enumerate(world.shuffled(order))]
        for _, at_once in groupby(sorted(steps, key=lambda each: each[0]), key=lambda each: each[0]):
            for _, step in at_once:
                async with database.transaction() as session:
                    await tell(session, *step)
            if order.random() < seed / 3:
                await decide_all(database, here)
        await decide_all(database, here)
        ends.append([await end(database, world) for world in worlds])
    for number, same in enumerate(zip(*ends, strict=True)):
        assert all(each == same[0] for each in same), number


async def end(database, world):
    async with database.transaction() as session:
        connection = await driver(session)
        return [
            {tuple(row) for row in await connection.fetch(statement, list(world.ids))}
            for statement in (
                "SELECT id, resolves_to FROM party WHERE id = ANY($1)",
                "SELECT party_id, other_id, kind FROM merge WHERE party_id = ANY($1) AND unmerged_at IS NULL",
                "SELECT party_id, other_id, kinds::text, score FROM candidate"
                " WHERE party_id = ANY($1) AND status = 'open'",
                "SELECT identity_id, party_id, from_day FROM holding WHERE identity_id = ANY($1)",
            )
        ]


@pytest.mark.parametrize("many", [3, 6])
@pytest.mark.parametrize("before", [1, 4, 8])
async def test_what_looks_alike_is_told_by_the_rules_that_hold_whenever_it_came(database, here, many, before):
    people = [here.identity(Scheme.EMAIL, f"anna+{number}@x.example") for number in range(many)]
    async with database.transaction() as session:
        await activate(session, Rules(most_claims=before), 1, "ann")
    for person in people:
        async with database.transaction() as session:
            await have_identities(session, [person])
        await decide_all(database, here)
    assert await alike(database) == (many * (many - 1) // 2 if many <= before + 1 else 0)
    async with database.transaction() as session:
        await activate(session, Rules(most_claims=4), 2, "ann")
    await decide_all(database, here)
    assert await alike(database) == {3: 3, 6: 0}[many]


async def alike(database):
    async with database.transaction() as session:
        return await (await driver(session)).fetchval("SELECT count(*) FROM candidate WHERE status = 'open'")
