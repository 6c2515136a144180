import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from chassis.imports.fields import AMOUNT, CURRENCY, EMAIL, OCCURRED_AT, PARTY, PHONE, Field, at_most
from chassis.imports.files import table_of
from chassis.imports.headers import weighted
from chassis.imports.kinds import ImportKind, Noted, Origin, Taken
from chassis.imports.mapping import ColumnMissing, mapping_of
from chassis.imports.plans import Cells, Plan, Refusal
from chassis.imports.reasons import Reason, RowReason, Unreadable
from chassis.imports.understanding import Understood, rows_understood, tally
from chassis.imports.uploads import Upload, Wish, unpack
from contracts.identity import Installation, Scheme
from contracts.problems import NotFound
from contracts.telling import Outcome, Status

HERE = Installation(b"k" * 32, ZoneInfo("Asia/Taipei"))
LATEST = datetime(2026, 1, 1, tzinfo=UTC)
STATUS = Field("status", weighted({3: "status"}), at_most(64))

Signed = tuple[object, ...]


class Odd(RowReason):
    ODD = "odd"


def signed(plan: Plan, cells: Cells) -> Signed | None:
    party, email, phone, when, amount, currency, status = cells.texts
    if status == "open":
        return None
    identities = plan.identities(party=party, email=email, phone=phone)
    if not identities:
        raise Unreadable(Reason.NO_PARTY)
    return identities[0].scheme, plan.instant(when), plan.money(amount, currency), dict(cells.attributes)


async def recorded(session: Any, origin: Origin, rows: Sequence[Signed]) -> list[Outcome]:
    return [Outcome(Status.ACCEPTED) for _ in rows]


async def withdrawn(session: Any, import_id: UUID, limit: int) -> int:
    return 0


SIGNATURES = ImportKind(
    name="signatures",
    prefix="signature",
    fields=(PARTY, EMAIL, PHONE, OCCURRED_AT.must_be(), AMOUNT, CURRENCY, STATUS),
    any_of=("party", "email"),
    read=signed,
    shown=lambda told: {"scheme": told[0], "money": told[2]},
    record=recorded,
    withdraw=withdrawn,
    keeps_attributes=True,
)


def uploaded(content: str, day: date | None = None, **mapping: str) -> tuple[Upload, Plan]:
    upload = Upload(table_of(io.BytesIO(content.encode())), Wish(SIGNATURES, mapping, day=day))
    list(upload.chunks())
    plan = upload.plan(HERE, source="shop", currency="EUR", times=UTC, latest=LATEST)
    return upload, plan


def understood(content: str, day: date | None = None, **mapping: str) -> Understood[Signed]:
    upload = Upload(table_of(io.BytesIO(content.encode())), Wish(SIGNATURES, mapping, day=day))
    rows = [row for chunk in upload.chunks() for row in unpack(chunk)]
    plan = upload.plan(HERE, source="shop", currency="EUR", times=UTC, latest=LATEST)
    return rows_understood(SIGNATURES, plan, rows)


def test_columns_that_are_no_field_are_kept_as_attributes_where_the_kind_keeps_them() -> None:
    found = understood("customer,date,Lead Origin,City\n1,2024-03-01, Form ,\n2,2024-03-01,API,Bonn\n")

    assert [taken.told[3] for taken in found.taken] == [{"Lead Origin": "Form"}, {"Lead Origin": "API", "City": "Bonn"}]


def test_a_file_without_dates_is_refused_with_both_ways_out() -> None:
    with pytest.raises(ColumnMissing, match=r"occurred_at=COLUMN, or the day of all rows with date=YYYY-MM-DD"):
        understood("customer,city\n1,Bonn\n")


def test_every_row_is_of_the_day_that_was_said_in_the_zone_of_the_installation() -> None:
    upload, plan = uploaded("customer,date\n1,2020-01-01\n", date(2024, 3, 1))
    found = understood("customer,date\n1,2020-01-01\n", date(2024, 3, 1))

    assert found.taken[0].told[1] == datetime(2024, 2, 29, 16, tzinfo=UTC)
    assert "date" not in upload.mapping.values()
    assert upload.notes(plan, currency_said=False) == ["No column is the date: every row is of 2024-03-01."]


def test_a_day_stands_in_for_dates_that_are_missing_in_the_column_that_was_said() -> None:
    found = understood("customer,date\n1,2020-01-01 00:30\n2,\n", date(2024, 3, 1), occurred_at="date")
    instants = [taken.told[1] for taken in found.taken]
    assert instants == [datetime(2020, 1, 1, 0, 30, tzinfo=UTC), datetime(2024, 2, 29, 16, tzinfo=UTC)]

    without = understood("customer,date\n1,2020-01-01\n2,\n")
    assert [(refusal.row, refusal.reason) for refusal in without.refusals] == [(3, Reason.NO_DATE)]


def test_one_of_several_fields_is_enough() -> None:
    columns, sample = ["E-Mail", "date"], [["a@example.org", "2024-03-01"]]
    assert mapping_of(SIGNATURES, columns, sample, {}) == {"email": "E-Mail", "occurred_at": "date"}
    with pytest.raises(ColumnMissing) as caught:
        mapping_of(SIGNATURES, ["phone", "date"], [["+49 30 123456", "2024-03-01"]], {})
    assert caught.value.extensions["field"] == "party"


def test_identifiers_are_read_by_their_scheme_and_refused_without_being_repeated() -> None:
    content = "customer,email,phone,date\n,A@Example.org,,2024-03-01\n,,+49 30 123456,2024-03-01\n,x,,2024-03-01\n"
    found = understood(content, email="email")

    assert [taken.told[0] for taken in found.taken] == [Scheme.EMAIL, Scheme.PHONE]
    [refusal] = found.refusals
    assert (refusal.reason, "x" in refusal.detail.split()) == (Reason.BAD_IDENTIFIER, False)


def test_there_is_a_currency_only_where_there_are_amounts() -> None:
    upload, plan = uploaded("customer,date\n1,2024-03-01\n")
    assert (plan.currency, upload.notes(plan, currency_said=False)) == ("", [])

    upload, plan = uploaded("customer,date,amount,currency\n1,2024-03-01,12.50,usd\n2,2024-03-01,,\n3,2024-03-01,3,\n")
    found = understood("customer,date,amount,currency\n1,2024-03-01,12.50,usd\n2,2024-03-01,,\n3,2024-03-01,3,\n")
    assert plan.currency == "EUR"
    assert [taken.told[2] for taken in found.taken] == [(1250, "USD"), None, (300, "EUR")]


def test_a_row_that_says_nothing_is_a_duplicate_and_not_shown() -> None:
    upload, plan = uploaded("customer,date,status\n1,2024-03-01,open\n2,2024-03-01,\n")
    assert upload.preview(plan) == [{"row": 2}, {"row": 3, "scheme": Scheme.EXTERNAL}]

    found = understood("customer,date,status\n1,2024-03-01,open\n2,2024-03-01,\n")
    counted = tally("signature", found, {})
    assert (counted.accepted, counted.duplicate, counted.refusals) == (1, 1, [])


class Missing(NotFound):
    """A problem of a test."""


def test_every_row_of_what_was_recorded_is_counted_once() -> None:
    taken = [Taken(told, rows, repeated) for told, rows, repeated in (
        (("a",), (2, 3), (4,)), (("b",), (5,), ()), (("c",), (6, 7), ()), (("d",), (8,), ()), (("e",), (9,), ()),
    )]  # fmt: skip
    there = uuid4()
    outcomes = dict(
        enumerate(
            [
                Outcome(Status.ACCEPTED),
                Outcome(Status.DUPLICATE, there),
                Outcome(Status.CONFLICT, there),
                Outcome(Status.REJECTED, problem=Missing("There is none.")),
                Noted(status=Status.ACCEPTED, note=Odd.ODD, said="Look."),
            ]
        )
    )

    counted = tally("signature", Understood(taken, [Refusal(10, Reason.NO_DATE)], silent=1), outcomes)

    assert (counted.accepted, counted.duplicate, counted.conflict, counted.rejected) == (3, 3, 2, 2)
    assert counted.noted == 1
    assert [(each.row, each.reason, each.detail) for each in counted.refusals] == [
        (10, "no_date", ""),
        (6, "conflict", f"It differs from signature_{there.hex}."),
        (7, "conflict", f"It differs from signature_{there.hex}."),
        (8, "missing", "There is none."),
        (9, "odd", "Look."),
    ]


def test_what_a_row_does_not_say_is_what_was_said_of_all() -> None:
    content = "E-Mail,date,status\na@example.org,2024-03-01,open\nb@example.org,2024-03-01,\n"
    said = {"status": " closed ", "phone": " "}
    upload = Upload(table_of(io.BytesIO(content.encode())), Wish(SIGNATURES, {"status": "status"}, constants=said))
    rows = [row for chunk in upload.chunks() for row in unpack(chunk)]
    plan = upload.plan(HERE, source="shop", currency="EUR", times=UTC, latest=LATEST)

    assert upload.constants == {"status": "closed"}
    assert [plan.cells(row, cells).texts[-1] for row, cells in rows] == ["open", "closed"]
    assert "Where a row does not say it: status closed." in upload.notes(plan, currency_said=True)


def test_no_column_is_guessed_for_what_was_said_of_all_rows() -> None:
    columns, sample = ["E-Mail", "date", "status"], [["a@example.org", "2024-03-01", "open"]]

    assert "status" in mapping_of(SIGNATURES, columns, sample, {})
    assert "status" not in mapping_of(SIGNATURES, columns, sample, {}, constants={"status": "closed"})


def test_an_amount_said_of_all_rows_has_a_currency() -> None:
    content = "E-Mail,date\na@example.org,2024-03-01\n"
    upload = Upload(table_of(io.BytesIO(content.encode())), Wish(SIGNATURES, constants={"amount": "12.50"}))
    [(row, cells)] = [row for chunk in upload.chunks() for row in unpack(chunk)]
    plan = upload.plan(HERE, source="shop", currency="EUR", times=UTC, latest=LATEST)

    told = signed(plan, plan.cells(row, cells))
    assert told is not None
    assert told[2] == (1250, "EUR")
