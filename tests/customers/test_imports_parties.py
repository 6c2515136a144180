import asyncio
from datetime import UTC, datetime

import pytest

from chassis.ids import uuid7
from chassis.imports.importer import move_on
from chassis.imports.lookup import import_job
from chassis.imports.mapping import ColumnMissing, mapping_of
from contracts.customers import PartyKind
from contracts.identity import Scheme
from contracts.telling import Status
from services.customers.domain.purchases import NewPurchase
from services.customers.domain.registrations import Before, Holder, NewRegistration, Registered, registered
from services.customers.handlers.imports.kinds import KINDS
from services.customers.handlers.imports.parties import PARTIES
from services.customers.queries.purchases import record_purchases
from tests.customers.importing import INSTALLATION, counts, imported, rejected, start, undone, value


@pytest.fixture
async def database(make_database):
    return await make_database("services.customers")


HEADER = "Customer No.,E-Mail,Phone,Type,Created at\n"


def identity(scheme, text):
    return INSTALLATION.identity(scheme, text, system="import" if scheme is Scheme.EXTERNAL else None)


def party(id):
    return identity(Scheme.EXTERNAL, id).id


def email(address):
    return identity(Scheme.EMAIL, address).id


async def holder(database, identity_id):
    return await value(
        database,
        "SELECT resolves_to FROM holding JOIN party ON party.id = party_id"
        " WHERE identity_id = $1 AND until_day IS NULL",
        identity_id,
    )


async def events(database, name):
    told = await value(
        database,
        "SELECT json_agg(convert_from(payload, 'UTF8')::json ORDER BY id) FROM outbox WHERE type = $1",
        f"customers.{name}.v1",
    )
    return told or []


async def parties(database, content, **wanted):
    return await imported(database, HEADER + content, kind="parties", **wanted)


def row(*identities):
    return NewRegistration(identities=identities)


def test_a_row_goes_to_who_holds_its_number_and_brings_what_nobody_holds():
    one, two, new = (identity(Scheme.EXTERNAL, id) for id in ("1", "2", "new"))
    holders = {one.id: Holder(one.id, one.id), two.id: Holder(two.id, two.id)}

    found = registered([row(two, new, one), row(new), row(one)], holders)

    assert found == [
        Registered(two.id, two.id, first=True, given=(new.id,), told=(two.id, new.id), others=(one.id,)),
        Registered(two.id, new.id, told=(new.id,)),
        Registered(one.id, one.id, first=True, told=(one.id,)),
    ]


def test_a_new_number_is_a_party_of_its_own_whoever_holds_what_stands_beside_it():
    office, mine = (identity(Scheme.EMAIL, address) for address in ("office@example.org", "mine@example.org"))
    one, two = (identity(Scheme.EXTERNAL, id) for id in ("1", "2"))

    found = registered([row(one, office), row(two, office), row(office, mine)], {})

    assert found == [
        made(one, office),
        made(two, others=(one.id,)),
        made(mine, others=(one.id,)),
    ]


def made(*identities, others=()):
    ids = tuple(each.id for each in identities)
    return Registered(ids[0], ids[0], made=True, first=True, given=ids, told=ids, others=others)


def test_what_one_row_made_the_next_one_knows():
    one, two, three = (identity(Scheme.EXTERNAL, id) for id in ("1", "2", "3"))

    found = registered([row(one, two), row(two, three), row(one, one)], {})

    assert found == [
        made(one, two),
        Registered(one.id, two.id, given=(three.id,), told=(two.id, three.id)),
        Registered(one.id, one.id, told=(one.id,)),
    ]


def test_whom_nothing_told_of_that_stands_becomes_known_once():
    one = identity(Scheme.EXTERNAL, "1")
    held = {one.id: Holder(one.id, one.id)}

    found = registered([row(one), row(one)], held, Before(lapsed={one.id}))

    assert [each.first for each in found] == [True, False]
    assert [each.first for each in registered([row(one)], held, Before(parties={one.id}))] == [False]


@pytest.mark.parametrize("before", ["subjects", "lapsed"])
def test_a_row_told_again_is_about_whom_it_was_about_before(before):
    office, mine = (identity(Scheme.EMAIL, address) for address in ("office@example.org", "mine@example.org"))
    holders = {each.id: Holder(each.id, each.id) for each in (office, mine)}

    [fresh] = registered([row(office, mine)], holders)
    [again] = registered([row(office, mine)], holders, Before(**{before: {mine.id}}))

    assert [(each.subject, each.others) for each in (fresh, again)] == [
        (office.id, (mine.id,)),
        (mine.id, (office.id,)),
    ]


@pytest.mark.parametrize(
    ("columns", "row", "expected"),
    [
        (
            HEADER.strip(),
            "7,a@example.org,+49 30 123456,company,2024-03-01",
            "party=Customer No. email=E-Mail phone=Phone kind=Type occurred_at=Created at",
        ),
        (
            "Prospect ID,Lead Number,Do Not Email,Last purchase date,Customer name,Email address",
            "ab,1,No,2024-01-01,Ann,a@example.org",
            "email=Email address name=Customer name",
        ),
        ("客戶編號,電子郵件,電話", "7,a@example.org,+886 2 1234 5678", "party=客戶編號 email=電子郵件 phone=電話"),
    ],
)
def test_the_columns_of_contacts_are_guessed(columns, row, expected):
    mapping = mapping_of(PARTIES, columns.split(","), [row.split(",")], {})
    assert " ".join(f"{field}={column}" for field, column in mapping.items()) == expected


def test_a_file_without_any_identifier_is_refused():
    with pytest.raises(ColumnMissing, match="party or the email or the phone"):
        mapping_of(PARTIES, ["name", "city"], [["Ann", "Bonn"]], {})


async def test_identifiers_of_one_row_make_one_party(database):
    job = await parties(database, "1,Ann@example.org,+49 30 123456,,2024-03-01\n2,b@example.org,,company,\n3,,,,\n")

    assert counts(job) == ("done", 3, 0, 0, 0)
    assert await holder(database, email("ann@example.org")) == party("1")
    assert await value(database, "SELECT count(*) FROM party") == 3
    told = await events(database, "party_registered")
    by_subject = {each["subject"]: each["data"] for each in told}
    kinds = [by_subject[str(party(number))]["kind"] for number in "123"]
    assert (len(told), kinds) == (3, [PartyKind.PERSON, PartyKind.ORGANISATION, PartyKind.PERSON])
    assert datetime.fromisoformat(by_subject[str(party("1"))]["occurred_at"]) == datetime(2024, 2, 29, 16, tzinfo=UTC)
    assigned = await events(database, "identities_assigned")
    assert [len(each["data"]["assignments"]) for each in assigned] == [2, 1]
    assert assigned[0]["subject"] == str(party("1"))


async def test_a_name_is_given_to_whom_has_none(database):
    before = await imported(database, "customer,name,email\n1,Ann Lee,\n2,,b@example.org\n", kind="parties")
    again = await imported(database, "id,full name,email\n,Ann L.,a@example.org\n2,Bo Ek,b@example.org\n1,Anna,\n",
                           kind="parties", mapping='{"party": "id"}')  # fmt: skip
    assert [counts(job)[0] for job in (before, again)] == ["done", "done"]
    assert await value(database, "SELECT array_agg(name ORDER BY name) FROM party") == ["Ann L.", "Ann Lee", "Bo Ek"]


async def test_the_same_contacts_again_change_nothing(database):
    content = "1,a@example.org,,,\n1,a@example.org,,,\n,a@example.org,,,\n"
    assert counts(await parties(database, content)) == ("done", 1, 2, 0, 0)
    published = await value(database, "SELECT count(*) FROM outbox")

    assert counts(await parties(database, content)) == ("done", 0, 3, 0, 0)
    assert await value(database, "SELECT count(*) FROM outbox") == published


async def test_what_a_row_adds_goes_to_the_party_that_is_there_with_a_new_version(database):
    await imported(database, "customer,order_id,date,amount\n1,o1,2024-01-01,5\n")
    job = await parties(database, "1,a@example.org,,,\n")

    assert counts(job) == ("done", 1, 0, 0, 0)
    assert await holder(database, email("a@example.org")) == party("1")
    assert [each["subject"] for each in await events(database, "party_registered")] == [str(party("1"))]
    [assigned] = await events(database, "identities_assigned")
    assert assigned["data"]["assignments"][0]["holdings"] == [{"party_id": str(party("1"))}]
    version = await value(database, "SELECT version FROM party WHERE id = $1", party("1"))
    assert version == assigned["data"]["assignments"][0]["version"] > 0


async def test_identifiers_of_several_parties_are_noted_and_stay_where_they_are(database):
    job = await parties(database, "1,a@example.org,,,\n2,b@example.org,,,\n1,b@example.org,+49 30 123456,,\n")

    assert (counts(job), job.noted) == (("done", 3, 0, 0, 0), 1)
    assert await rejected(database, job) == [("4", "identifiers_of_several_parties")]
    assert await holder(database, email("b@example.org")) == party("2")
    assert await holder(database, identity(Scheme.PHONE, "+4930123456").id) == party("1")


async def test_rows_that_name_nobody_or_cannot_be_read_are_rejected(database):
    content = ",,,company,\n1,nonsense,,,\n2,,12,,\n3,,,alien,\n4,,,,soon\n5,,,,2199-01-01\n"
    job = await parties(database, content, mapping='{"email": "E-Mail", "phone": "Phone"}')

    assert counts(job) == ("done", 0, 0, 0, 6)
    assert [reason for _, reason in await rejected(database, job)] == [
        "no_party",
        "bad_identifier",
        "bad_identifier",
        "bad_value",
        "bad_date",
        "future_date",
    ]
    assert await value(database, "SELECT count(*) FROM identity") == 0


async def test_undo_takes_back_who_became_known_and_what_was_joined(database):
    await imported(database, "customer,order_id,date,amount\n9,o1,2024-01-01,5\n")
    job = await parties(database, "".join(f"{n},p{n}@example.org,,,\n" for n in range(2_500)))
    assert counts(job) == ("done", 2_500, 0, 0, 0)

    gone = await undone(database, job)

    assert (gone.state, gone.withdrawn) == ("undone", 2_500)
    assert await holder(database, email("p9@example.org")) == email("p9@example.org")
    registered_facts = {each["id"] for each in await events(database, "party_registered")}
    withdrawn = {each["data"]["fact_id"] for each in await events(database, "fact_withdrawn")}
    assert withdrawn == registered_facts
    assert len(withdrawn) == 2_500
    last = (await events(database, "identities_assigned"))[-1]["data"]["assignments"][-1]
    assert last["holdings"][0]["party_id"] == last["identity_id"]


async def test_an_undone_list_comes_again_as_if_it_had_never_been_also_with_other_columns(database):
    content = "1,a@example.org,+49 30 123456,,\n2,b@example.org,,,\n3,,,,\n"
    await undone(database, await parties(database, content))
    await imported(database, f"customer,order_id,date,amount\n{7},o1,2024-01-01,5\n")

    again = await parties(database, content)
    assert (counts(again), again.noted) == (("done", 3, 0, 0, 0), 0)
    assert await holder(database, email("a@example.org")) == party("1")
    facts = {each["id"] for each in await events(database, "party_registered")}
    assert len(facts) == 6
    versions = "SELECT count(*) FROM identity JOIN holding ON identity_id = id WHERE party_id <> id AND version = 0"
    assert await value(database, versions) == 0

    await undone(database, again)
    swapped = await parties(database, "2,a@example.org,,company,\n,b@example.org,,,\n", mapping='{"phone": ""}')
    assert (counts(swapped), swapped.noted) == (("done", 2, 0, 0, 0), 0)
    assert await holder(database, email("a@example.org")) == party("2")
    assert await holder(database, email("b@example.org")) == email("b@example.org")
    assert await value(database, "SELECT kind FROM party WHERE id = $1", party("2")) == "organisation"


async def test_whom_an_undone_list_registered_another_list_still_registers(database):
    content = "1,a@example.org,,,\n"
    first = await parties(database, content + "2,,,,\n")
    second = await parties(database, content)
    await undone(database, first)

    withdrawn = {each["data"]["fact_id"] for each in await events(database, "fact_withdrawn")}
    standing = [each for each in await events(database, "party_registered") if each["id"] not in withdrawn]
    assert [each["subject"] for each in standing] == [str(party("1"))]
    assert await holder(database, email("a@example.org")) == party("1")

    assert (await undone(database, second)).withdrawn == 1
    assert await holder(database, email("a@example.org")) == email("a@example.org")


async def test_what_became_known_otherwise_since_an_undo_is_somebody_of_its_own(database):
    await undone(database, await parties(database, "1,a@example.org,,,\n"))
    async with database.transaction() as session:
        [outcome] = await record_purchases(session, [bought(identity(Scheme.EMAIL, "a@example.org"))], INSTALLATION)

    again = await parties(database, "1,a@example.org,,,\n")

    assert outcome.status is Status.ACCEPTED
    assert (counts(again), again.noted) == (("done", 1, 0, 0, 0), 1)
    assert await holder(database, email("a@example.org")) == email("a@example.org")


def bought(who):
    at = datetime(2024, 3, 1, tzinfo=UTC)
    return NewPurchase(party=who, source="shop", source_id="o1", occurred_at=at, currency="EUR", amount_minor=5)


async def test_a_file_is_of_one_day_where_that_is_said(database):
    job = await parties(database, "1,,,,2020-01-01\n", date="2024-03-01")

    assert "occurred_at" not in job.mapping
    assert "No column is the date: every row is of 2024-03-01." in job.notes
    [told] = await events(database, "party_registered")
    happened = datetime.fromisoformat(told["data"]["occurred_at"])
    assert happened == datetime(2024, 2, 29, 16, tzinfo=UTC)
    await undone(database, job)
    [gone] = await events(database, "fact_withdrawn")
    late = datetime.now(UTC) - happened
    assert late.total_seconds() - 60 < gone["data"]["late_s"] <= late.total_seconds(), "as late as it was told"


async def test_two_lists_at_once_that_join_the_same_people_in_other_ways_agree(database):
    await parties(database, "".join(f"{n},,,,\n" for n in range(0, 300, 3)))
    told = [f"{n},p{n % 150}@example.org,,,\n" for n in range(300)]
    jobs = [await start(database, HEADER + "".join(rows), kind="parties") for rows in (told, told[::-1])]

    done = await asyncio.gather(*(alone(database, job) for job in jobs))

    assert sorted(job.accepted for job in done) == [0, 250]
    assert {(job.state, job.rows_read, job.rejected) for job in done} == {("done", 300, 0)}
    assert await value(database, "SELECT count(*) FROM identity") == 450
    assert await value(database, "SELECT count(*) FROM holding") == 450
    versions = "SELECT count(*) FROM identity JOIN holding ON identity_id = id WHERE (party_id <> id) <> (version > 0)"
    assert await value(database, versions) == 0


async def alone(database, job):
    """Carry out an import beside others."""
    importer = uuid7()
    async with database.transaction() as session:
        there = await import_job(session, job.id, to_change=True)
        there.leased_by = importer
    while await move_on(database, KINDS, INSTALLATION, job.id, importer):
        pass
    async with database.transaction() as session:
        return await import_job(session, job.id)
