import gzip
import io
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from chassis.imports.amounts import DecimalMark, decimal_mark, minor_units
from chassis.imports.dates import DateOrder, date_habits, instant
from chassis.imports.files import UnreadableFile, table_of
from chassis.imports.plans import AmbiguousDates, date_order, slug
from chassis.imports.reasons import Reason, RowReason, Unreadable
from contracts.money import MINOR_DIGITS

TAIPEI = ZoneInfo("Asia/Taipei")


def refused(text: str, currency: str = "EUR", mark: DecimalMark | None = None) -> RowReason:
    with pytest.raises(Unreadable) as caught:
        minor_units(text, currency, mark)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("12.5", 1250),
        ("0", 0),
        ("1,234.50", 123450),
        ("1.234,50", 123450),
        ("1.234.567,8", 123456780),
        ("1 234,50", 123450),
        ("1'234.50", 123450),
        ("€ 12,50", 1250),
        ("12,50 €", 1250),
        ("EUR 12.50", 1250),
        ("12.50eur", 1250),
        ("NT$1,200", 120000),
        ("(3.00)", -300),
        ("-3", -300),
        ("3.00-", -300),
        ("−3,00", -300),
        ("$-3.00", -300),
        ("12.500", 1250),
        ("1.2e3", 120000),
        (".5", 50),
        ("1,234", 123400),
        ("90071992547409.91", 2**53 - 1),
    ],
)
def test_amounts_are_read_as_they_are_written(text: str, minor: int) -> None:
    assert minor_units(text, "EUR") == minor


def test_an_amount_has_at_most_the_decimals_of_its_currency() -> None:
    assert minor_units("1200", "JPY") == 1200
    assert minor_units("1.234", "KWD") == 1234
    assert refused("1.5", "JPY") is Reason.TOO_MANY_DECIMALS
    assert refused("12.345") is Reason.TOO_MANY_DECIMALS
    assert refused("12.690000000000001") is Reason.TOO_MANY_DECIMALS


@pytest.mark.parametrize("text", ["abc", "1,2,3", "1.2.3,4", "12..5", "--3", "1-2", ".", "x12", "9" * 30, "1,23,456"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    assert refused(text) is Reason.BAD_AMOUNT


def test_an_amount_in_another_currency_is_refused() -> None:
    assert refused("USD 5") is Reason.OTHER_CURRENCY
    assert refused("€5", "USD") is Reason.OTHER_CURRENCY


def test_the_whole_file_decides_what_a_lone_mark_means() -> None:
    assert decimal_mark(["1.234", "7"]) is None
    assert decimal_mark(["1.234", "1.234,5"]) is DecimalMark.COMMA
    assert decimal_mark(["1,234.5", "9.99"]) is DecimalMark.POINT
    assert decimal_mark(["1,5", "1.5"]) is DecimalMark.EITHER
    assert minor_units("1.234", "EUR", DecimalMark.COMMA) == 123400
    assert minor_units("12,5", "EUR", DecimalMark.COMMA) == 1250
    assert refused("1.234", "EUR", DecimalMark.EITHER) is Reason.AMBIGUOUS_AMOUNT
    assert refused("12,50", "EUR", DecimalMark.POINT) is Reason.BAD_AMOUNT
    assert refused("1,234", "KWD") is Reason.AMBIGUOUS_AMOUNT


@given(
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.sampled_from(sorted(MINOR_DIGITS)),
    st.sampled_from([(".", ","), (",", ".")]),
)
def test_every_amount_is_read_exactly_in_both_spellings(minor: int, currency: str, marks: tuple[str, str]) -> None:
    digits, (mark, grouping) = MINOR_DIGITS[currency], marks
    whole, decimals = divmod(abs(minor), 10**digits)
    text = f"{whole:,}".replace(",", grouping) + (f"{mark}{decimals:0{digits}}" if digits else "")
    signed = f"({text})" if minor < 0 else text
    assert minor_units(signed, currency, DecimalMark(mark)) == minor


def at(text: str, order: DateOrder | None = None, *, days_only: bool = False) -> datetime:
    return instant(text, order=order, times=UTC, days=TAIPEI, days_only=days_only)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2011-12-01 08:26:00", "2011-12-01T08:26:00"),
        ("2011-12-01T08:26:00Z", "2011-12-01T08:26:00"),
        ("2011-12-01T08:26:00.123456789+08:00", "2011-12-01T00:26:00.123456"),
        ("2011-12-01 08:26 +0200", "2011-12-01T06:26:00"),
        ("2019-10-01 00:00:01 UTC", "2019-10-01T00:00:01"),
        ("01.12.2011 8:26", "2011-12-01T08:26:00"),
        ("12/25/2011 8:26 PM", "2011-12-25T20:26:00"),
        ("25/12/11 12:05 am", "2011-12-25T00:05:00"),
        ("5 Dec 2011 09:00", "2011-12-05T09:00:00"),
        ("40878.5", "2011-12-01T12:00:00"),
        ("2011年12月1日 08:26", "2011-12-01T08:26:00"),
    ],
)
def test_times_are_read_as_they_are_written(text: str, expected: str) -> None:
    assert at(text) == datetime.fromisoformat(f"{expected}Z")


@pytest.mark.parametrize(
    "text",
    [
        "2011-12-01",
        "2011/12/1",
        "20111201",
        "01.12.2011",
        "1.12.11",
        "40878",
        "Dec 1, 2011",
        "01-Dec-11",
        "2011年12月1日",
    ],
)
def test_a_date_without_a_time_is_the_start_of_that_day_of_the_installation(text: str) -> None:
    assert at(text) == datetime(2011, 12, 1, tzinfo=TAIPEI)


@given(
    st.dates(date(1970, 1, 1), date(2100, 1, 1)),
    st.sampled_from(["America/Sao_Paulo", "Africa/Cairo", "Asia/Taipei", "Pacific/Apia", "Asia/Beirut"]),
)
def test_a_date_falls_on_its_day_in_the_zone_of_the_installation(day: date, name: str) -> None:
    days = ZoneInfo(name)
    if (name, day) == ("Pacific/Apia", date(2011, 12, 30)):
        return  # Samoa skipped it.
    assert instant(day.isoformat(), order=None, times=UTC, days=days).astimezone(days).date() == day


@pytest.mark.parametrize("text", ["", "soon", "2011-13-01", "30/02/2011", "2011-12-01 25:00", "1850-01-01", "123456"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        at(text)
    assert caught.value.reason is Reason.BAD_DATE


def test_the_whole_file_decides_whether_days_or_months_come_first() -> None:
    assert date_order(date_habits(["01/12/2011", "25/12/2011"]), None) is DateOrder.DAY_FIRST
    assert date_order(date_habits(["01/12/2011", "12/25/2011"]), None) is DateOrder.MONTH_FIRST
    assert date_order(date_habits(["05/05/2011", "2011-01-02"]), None) is None
    with pytest.raises(AmbiguousDates, match="dates=dmy"):
        date_order(date_habits(["01/12/2011", "02/12/2011"]), None)
    with pytest.raises(AmbiguousDates):
        date_order(date_habits(["13/12/2011", "12/13/2011"]), None)
    assert date_order(date_habits(["01/12/2011"]), DateOrder.DAY_FIRST) is DateOrder.DAY_FIRST
    assert at("01/12/2011", DateOrder.DAY_FIRST) == datetime(2011, 12, 1, tzinfo=TAIPEI)


def test_times_that_are_all_midnight_are_days() -> None:
    assert date_habits(["2011-12-01 00:00:00", "2011-12-02 00:00"]).midnights_only
    assert not date_habits(["2011-12-01 00:00:00", "2011-12-02 00:01"]).midnights_only
    assert at("2011-12-01 00:00:00", days_only=True) == datetime(2011, 12, 1, tzinfo=TAIPEI)


def cells(content: bytes) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    table = table_of(io.BytesIO(content))
    return table.columns, list(table.rows)


PLAIN = 'customer,date,note\nGrüße,2024-01-01,x\n\n客,2024-01-02,"a\nb"\n'


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        b"\xef\xbb\xbfsep=,\r\n" + PLAIN.encode(),
        b'"sep=;"\n' + PLAIN.replace(",", ";").encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.replace("Grüße", "Gr\0üße").encode("utf-16"),
        gzip.compress(PLAIN.encode(), mtime=0),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").replace("\n", "\r\n").replace("a\r\nb", "a\nb").encode(),
    ],
)
def test_every_spelling_of_a_table_is_the_same_table(content: bytes) -> None:
    assert cells(content) == (
        ("customer", "date", "note"),
        [(2, ["Grüße", "2024-01-01", "x"]), (4, ["客", "2024-01-02", "a\nb"])],
    )


def test_a_file_that_is_not_utf_8_is_read_as_windows_1252_and_that_is_told() -> None:
    table = table_of(
        io.BytesIO(b"customer,date\n" + b"a,2024-01-01\n" * 20_000 + "Grüße €,2024-01-01\n".encode("cp1252"))
    )
    assert list(table.rows)[-1] == (20_002, ["Grüße €", "2024-01-01"])
    assert table.notes == ("The file is read as cp1252: it is not UTF-8.",)


def test_a_sheet_gives_what_was_entered() -> None:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"default_date_format": "yyyy-mm-dd hh:mm"}) as book:
        sheet = book.add_worksheet("orders")
        book.add_worksheet("other")
        sheet.write_row(0, 0, ["Customer", "Date", "Amount", "Order"])
        sheet.write_row(1, 0, [17850, datetime(2011, 12, 1, 8, 26), 0.1 + 0.2, "A1"])  # noqa: DTZ001
        sheet.write_row(2, 0, [17851, datetime(2011, 12, 2), 19.99, 536365])  # noqa: DTZ001
        sheet.write_row(3, 0, [17851, 40878, -5, 1234567890123457])
    table = table_of(io.BytesIO(file.getvalue()))
    assert table.columns == ("Customer", "Date", "Amount", "Order")
    assert list(table.rows) == [
        (2, ["17850", "2011-12-01 08:26:00", "0.3", "A1"]),
        (3, ["17851", "2011-12-02", "19.99", "536365"]),
        (4, ["17851", "40878", "-5", "1234567890123457"]),
    ]
    assert table.notes == ("The sheet 'orders' is read, the first of 2.",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n\n",
        b"only,a,header\n",
        b"\x89PNG\r\n\x1a\n\0\0\0",
        b"PK\x03\x04nothing",
        gzip.compress(PLAIN.encode() * 1000, mtime=0)[:-200],
        gzip.compress(PLAIN.encode() * 1000, mtime=0)[:60] + b"broken" * 20,
        PLAIN.encode() * 2_000 + b"\0",
        b'a,b\n1,"' + b"x," * 100_000,
        b"a,b\n1," + b"x" * 200_000,
        b"a,b\n" + b"," * 5_000_000,
        b"a,b\n" + b'"\n",' * 2_000_000,
        b"," * 20_000 + b"\n1\n",
        b"a\x01,b\n1,2\n",
    ],
)
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableFile):
        cells(content)


def test_a_channel_is_a_machine_name() -> None:
    assert slug("Web Shop", "channel") == "web-shop"
    assert slug("Café №1", "channel") == "cafe-no1"
    assert slug("門市", "channel") == slug("門市", "channel") != slug("網路", "channel")
