"""Who is registered, and as what, by everything that tells of it: in any order, at once, and taken back."""

import asyncio
from collections import defaultdict
from datetime import UTC, date, datetime
from itertools import count, permutations
from random import Random

import pytest

from chassis.consumer import Delivery
from chassis.db import driver
from chassis.ids import uuid7
from contracts.customers import PartyKind
from contracts.identity import Scheme
from contracts.leads import LeadCaptured
from contracts.topics import LEADS
from services.customers.domain.purchases import NewPurchase
from services.customers.domain.registrations import NewRegistration
from services.customers.handlers.hearing import hear
from services.customers.queries.assignments import parties_to_change
from services.customers.queries.parties import party, register, release
from services.customers.queries.purchases import record_purchases, withdraw_purchases
from services.customers.queries.registrations import record_registrations, withdraw_registrations
from tests.customers.waiting import waits

EARLY, LATE = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
FILE, OTHER_FILE, ORDERS = uuid7(), uuid7(), uuid7()
NUMBERS = count(1)


class Doing:
    """What is told of `a`, a number of the shop, and `b`, an address."""

    def __init__(self, database, here):
        self.database = database
        self.a = here.identity(Scheme.EXTERNAL, "a", system="shop")
        self.b = here.identity(Scheme.EMAIL, "b@example.org")
        self.here = here

    async def post(self, *identities, kind=PartyKind.PERSON):
        async with self.database.transaction() as session:
            return await register(session, kind, identities or [self.a])

    async def list(self, file, *identities, at=EARLY, kind=PartyKind.PERSON):
        row = NewRegistration(identities=identities or (self.a, self.b), kind=kind, occurred_at=at)
        async with self.database.transaction() as session:
            return (await record_registrations(session, [row], import_id=file, source="shop"))[0]

    async def undo(self, file):
        while True:
            async with self.database.transaction() as session:
                if not await withdraw_registrations(session, file, 10):
                    return

    async def buy(self):
        row = NewPurchase(
            party=self.a, source="shop", source_id="o1", occurred_at=EARLY, currency="EUR", amount_minor=5,
            import_id=ORDERS,
        )  # fmt: skip
        async with self.database.transaction() as session:
            await record_purchases(session, [row], self.here)

    async def take_back(self):
        async with self.database.transaction() as session:
            await withdraw_purchases(session, ORDERS, 10)

    async def hear(self):
        said = LeadCaptured(subject=self.a.id, occurred_at=EARLY, lead_id=uuid7(), source="shop")
        async with self.database.transaction() as session:
            await hear(session, [Delivery(said, uuid7(), LEADS.name, 0, 1, next(NUMBERS), EARLY)])

    async def kind(self, identity):
        async with self.database.transaction() as session:
            return (await party(session, await self.holder(identity))).kind

    async def holder(self, identity):
        async with self.database.transaction() as session:
            return await (await driver(session)).fetchval(
                "SELECT party_id FROM holding WHERE identity_id = $1 AND until_day IS NULL", identity.id
            )


@pytest.fixture
def doing(database, here):
    return Doing(database, here)


@pytest.fixture
def registered(published):
    """By identity the facts that stand of all that was published since the last call: (occurred_at, kind)."""

    async def take():
        told, gone = defaultdict(list), set()
        facts = await published()
        for name, _, data in facts:
            if name == "fact_withdrawn":
                gone.add(data["fact_id"])
        for name, subject, data in facts:
            if name == "party_registered" and data["_id"] not in gone:
                told[subject].append((datetime.fromisoformat(data["occurred_at"]), data["kind"]))
        return {subject: sorted(stand) for subject, stand in told.items()}

    return take


async def test_whoever_was_known_by_a_purchase_is_registered_by_a_post(api, published):
    who = {"scheme": "external", "system": "shop", "value": "1"}
    bought = {"identifier": who, "occurred_at": "2026-01-05T10:00:00Z", "currency": "EUR", "amount_minor": 5}
    purchase = (await api.post("/v1/purchases", json=bought)).json()
    await published()

    answers = [await api.post("/v1/parties", json={"identifiers": [who]}) for _ in range(3)]

    assert [(answer.status_code, answer.json()["id"]) for answer in answers] == [(200, purchase["party_id"])] * 3
    assert [kind for kind, _, _ in await published()] == ["party_registered"]


@pytest.mark.parametrize("before", ["buy", "hear"])
async def test_a_post_registers_once_whatever_made_the_party_known_before(doing, registered, before):
    await getattr(doing, before)()
    assert await doing.post() == (doing.a.id, False)
    assert await doing.post() == (doing.a.id, False)
    assert len((await registered())[str(doing.a.id)]) == 1


async def test_posts_at_once_of_somebody_known_register_once(doing, registered):
    for _ in range(5):
        doing.a = doing.here.identity(Scheme.EXTERNAL, uuid7().hex, system="shop")
        await doing.hear()
        await asyncio.gather(*(doing.post() for _ in range(4)))
        assert [len(facts) for facts in (await registered()).values()] == [1]


async def test_a_post_that_names_what_one_did_before_registers_nobody_again(doing, registered):
    await doing.post(doing.a, doing.b)
    assert list(await registered()) == [str(doing.a.id)]
    for named in ([doing.b, doing.a], [doing.b], [doing.a]):
        assert await doing.post(*named) == (doing.a.id, False)
    assert await registered() == {}


async def test_whoever_holds_a_released_number_now_is_registered_by_a_post(doing, registered):
    await doing.post(doing.a, doing.b)
    async with doing.database.transaction() as session:
        connected = await parties_to_change(session, doing.a.id)
        await release(session, connected, doing.a.id, doing.b.id, date(2024, 1, 1))
    await registered()

    party_id, new = await doing.post(doing.b)

    assert (party_id != doing.a.id, new) == (True, False)
    assert list(await registered()) == [str(doing.b.id)]


@pytest.mark.parametrize("first", [PartyKind.PERSON, PartyKind.ORGANISATION])
async def test_whoever_is_said_to_be_an_organisation_once_is_one(doing, registered, first):
    await doing.hear()
    for kind in sorted(PartyKind, key=lambda kind: kind is not first):
        await doing.post(kind=kind)
        await doing.post(kind=kind)
    assert await doing.kind(doing.a) == "organisation"
    assert (await registered())[str(doing.a.id)][-1][1] == "organisation"


async def test_a_list_that_called_a_person_an_organisation_is_undone(doing, registered):
    await doing.post()
    await doing.list(FILE, doing.a, kind=PartyKind.ORGANISATION)
    assert await doing.kind(doing.a) == "organisation"
    await doing.undo(FILE)
    assert await doing.kind(doing.a) == "person"
    assert [kind for _, kind in (await registered())[str(doing.a.id)]] == ["person"]


async def test_a_list_registers_whom_a_purchase_made_known(doing, registered):
    await doing.buy()
    assert (await doing.list(FILE, doing.a)).news
    assert not (await doing.list(FILE, doing.a)).news
    assert await registered() == {str(doing.a.id): [(EARLY, "person")]}
    await doing.undo(FILE)
    assert await registered() == {}


async def test_what_one_of_two_lists_told_the_other_still_tells_when_it_is_undone(doing, registered):
    await doing.list(FILE, at=LATE)
    await doing.list(OTHER_FILE, at=EARLY)
    await doing.undo(FILE)
    assert await registered() == {str(doing.a.id): [(EARLY, "person")]}
    assert await doing.holder(doing.b) == doing.a.id
    await doing.undo(OTHER_FILE)
    assert await doing.holder(doing.b) == doing.b.id


async def test_a_list_that_repeats_a_row_tells_it_once(doing, registered):
    for _ in range(2):
        await doing.list(FILE)
        await doing.list(FILE, doing.b)
    assert await registered() == {str(doing.a.id): [(EARLY, "person")]}
    await doing.undo(FILE)
    assert await doing.holder(doing.b) == doing.b.id


async def test_a_row_told_again_is_about_whom_it_was_about_before(doing, registered):
    office = doing.here.identity(Scheme.EMAIL, "office@example.org")
    await doing.list(FILE, doing.a, office)
    for file in (FILE, OTHER_FILE):
        assert (await doing.list(file, office, doing.b)).party_id == doing.b.id
    await doing.undo(FILE)
    assert list(await registered()) == [str(doing.b.id)]


async def test_a_number_that_an_undone_list_left_alone_stays_with_whom_a_post_registered(doing, registered):
    await doing.list(FILE)
    await doing.undo(FILE)
    await doing.post(doing.b)
    await doing.list(OTHER_FILE)
    assert await doing.holder(doing.b) == doing.b.id
    assert set(await registered()) == {str(doing.a.id), str(doing.b.id)}


async def test_a_list_undone_while_another_one_tells_the_same_takes_nothing_from_it(doing, registered):
    await doing.list(FILE)
    row = NewRegistration(identities=(doing.a, doing.b), occurred_at=LATE)
    async with doing.database.transaction() as session:
        await record_registrations(session, [row], import_id=OTHER_FILE, source="shop")
        undoing = asyncio.create_task(doing.undo(FILE))
        await asyncio.wait_for(waits(doing.database), 60)
    await undoing
    assert await registered() == {str(doing.a.id): [(LATE, "person")]}
    assert await doing.holder(doing.b) == doing.a.id


async def test_no_order_of_telling_and_taking_back_matters(doing, registered):
    steps = {
        "list": lambda: doing.list(FILE, at=LATE, kind=PartyKind.ORGANISATION),
        "undo": lambda: doing.undo(FILE),
        "other list": lambda: doing.list(OTHER_FILE, at=EARLY),
        "post": lambda: doing.post(),
        "buy": lambda: doing.buy(),
        "take back": lambda: doing.take_back(),
    }
    orders = [
        order
        for order in permutations(steps)
        if order.index("list") < order.index("undo") and order.index("buy") < order.index("take back")
    ]
    ends = set()
    for number, order in enumerate(Random(1).sample(orders, 50)):
        doing.a = doing.here.identity(Scheme.EXTERNAL, f"n{number}", system="shop")
        doing.b = doing.here.identity(Scheme.EMAIL, f"n{number}@example.org")
        for step in order:
            await steps[step]()
        facts = await registered()
        own = await doing.holder(doing.b) == doing.a.id
        ends.add((min(facts.pop(str(doing.a.id)))[0], len(facts), await doing.kind(doing.a), own))
    assert ends == {(EARLY, 0, "person", True)}
