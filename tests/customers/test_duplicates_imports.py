"""What rows of contacts say about who is one, until the import is undone."""

from chassis.db import driver
from contracts.customers import PartyKind
from contracts.identity import Scheme
from services.customers.queries.deciding import decide
from services.customers.queries.duplicates import candidates
from services.customers.queries.parties import register
from tests.customers.importing import INSTALLATION, imported, undone

HEADER = "Customer No.,E-Mail,Phone\n"
LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


async def decided(database):
    while True:
        async with database.transaction() as session:
            if not await decide(session, INSTALLATION.zone):
                return


async def holders(database, *identifiers):
    identities = [INSTALLATION.identity(*each) for each in identifiers]
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch(
            "SELECT identity_id, resolves_to FROM holding JOIN party ON party.id = party_id WHERE until_day IS NULL"
        )
    found = {row["identity_id"]: row["resolves_to"] for row in rows}
    return [found[identity.id] for identity in identities]


async def test_a_row_makes_those_one_who_had_its_identifiers_until_it_is_undone(database):
    ann, call = (Scheme.EMAIL, "ann@x.example"), (Scheme.PHONE, "+4930111222")
    for each in (ann, call):
        async with database.transaction() as session:
            await register(session, PartyKind.PERSON, [INSTALLATION.identity(*each)])
    job = await imported(database, HEADER + "7,ann@x.example,+4930111222\n", kind="parties", source="shop")
    await decided(database)
    assert len(set(await holders(database, ann, call))) == 1
    await undone(database, job)
    await decided(database)
    assert len(set(await holders(database, ann, call))) == 2


async def test_the_office_address_in_every_row_makes_nobody_one(database):
    rows = "".join(f"{number},office@x.example,+49301112{number:02}\n" for number in range(1, 8))
    await imported(database, HEADER + rows, kind="parties", source="shop")
    await decided(database)
    phones = [(Scheme.PHONE, f"+49301112{number:02}") for number in range(1, 8)]
    assert len(set(await holders(database, *phones))) == 7


async def test_numbers_that_several_rows_have_are_shared_from_the_fourth_customer_on(database):
    rows = [f"{number},p{number}@x.example,+4930111222\n" for number in range(1, 5)]
    people = [(Scheme.EMAIL, f"p{number}@x.example") for number in range(1, 5)]
    await imported(database, HEADER + "".join(rows[:3]), kind="parties", source="shop")
    await decided(database)
    assert len(set(await holders(database, *people[:3]))) == 1
    await imported(database, HEADER + rows[3], kind="parties", source="shop")
    await decided(database)
    assert len(set(await holders(database, *people))) == 4
    async with database.transaction() as session:
        found = await candidates(session, status="open", min_score=0, party_id=None, after=(101, LAST), limit=50)
    assert {each.score for each in found} <= {10, 19}
