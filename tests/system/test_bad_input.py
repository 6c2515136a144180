import gzip
import io
import json
import os
import random
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import xlsxwriter

from deploy import supervisor
from tests.system.conftest import Start
from tests.system.product import Product, party_of

LARGE_MB = int(os.environ.get("SHUKE_TEST_UPLOAD_MB", "300"))
"""How large the large upload is."""
STALL_S = 2
SERVICES = ("customers", "leads", "community", "scoring")
CANARY = "canary-3f1d"
"""Stands in whatever is refused, and in no answer."""

HEADER = "order,customer,date,amount,currency\n"
GOOD = HEADER + "o-1,Zoë Müller,2026-01-05,12.50,EUR\no-2,José,2026-01-06,7.00,EUR\n"


@pytest.fixture(scope="module")
def product(start: Start) -> Iterator[Product]:
    """A product that knows something good, which must be there after everything bad."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GATEWAY_STALL_S", str(STALL_S))
        with start("up") as running:
            running.bring(GOOD.encode())
            running.buy("ann", "2026-03-01T10:00:00Z", 5_000, id="good-1")
            running.post("/v1/parties", json={"identifiers": [{"scheme": "email", "value": "ann@example.com"}]})
            running.settle()
            yield running


def untouched(product: Product) -> dict[str, int]:
    """How many events and imports there are: what is refused adds none."""
    counts = {
        service: product.sql(service, "SELECT (SELECT count(*) FROM event_log) + (SELECT count(*) FROM outbox)")[0][0]
        for service in SERVICES
    }
    jobs = "SELECT count(*) FROM import_job"
    return counts | {f"{service} imports": product.sql(service, jobs)[0][0] for service in SERVICES[:3]}


def problem(answer: httpx.Response, status: int | None = None, code: str | None = None) -> dict[str, Any]:
    """What is told is a problem with a way out, and never repeats what was sent."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == answer.status_code
    assert told.get("detail"), told
    assert CANARY not in answer.text
    if status is not None:
        assert (answer.status_code, told["code"]) == (status, code), answer.text
    return told


def sent(product: Product, content: Any, **form: str) -> httpx.Response:
    """A file of purchases, as the gateway takes it."""
    form = {"kind": "purchases", "source": "shop", **form}
    return product.client.post("/v1/imports", data=form, files={"file": ("rows.csv", content)}, timeout=600)


def xlsx(*rows: Iterable[Any]) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                sheet.write(number, column, cell)
    return file.getvalue()


def bomb(piece: bytes, megabytes: int) -> bytes:
    """A small file that unpacks to a large one."""
    packing = zlib.compressobj(9, wbits=31)
    packed = packing.compress(HEADER.encode())
    packed += b"".join(packing.compress(piece * (1 << 20)) for _ in range(megabytes))
    return packed + packing.flush()


def rubbish(*, zeros: bool) -> bytes:
    content = random.Random(4).randbytes(50_000)
    return content if zeros else content.replace(b"\0", b"\1")


REFUSED: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "empty": (lambda: b"", 422, "unreadable_file"),
    "blank": (lambda: b" \r\n\r\n ", 422, "unreadable_file"),
    "a byte order mark alone": (lambda: b"\xef\xbb\xbf", 422, "unreadable_file"),
    "a header alone": (HEADER.encode, 422, "unreadable_file"),
    "zero bytes": (lambda: f"{HEADER}o-3,{CANARY}\0,2026-01-05,1.00,EUR\n".encode(), 422, "unreadable_file"),
    "rubbish": (lambda: rubbish(zeros=True), 422, "unreadable_file"),
    "rubbish without zero bytes": (lambda: rubbish(zeros=False), 422, "unreadable_file"),
    "wrong columns": (lambda: f"colour,shape\n{CANARY},2\n".encode(), 422, "column_missing"),
    "a page of the web": (lambda: b"<html>\n<body>Not found</body></html>\n", 422, "column_missing"),
    "100,000 columns": (lambda: b"x," * 100_000 + b"\n1\n", 422, "unreadable_file"),
    "a cell of 10 MB": (lambda: f"{HEADER}o-3,".encode() + b"x" * 10_000_000, 422, "unreadable_file"),
    "a row of 10 MB": (lambda: HEADER.encode() + b"," * 10_000_000 + b"\n", 422, "unreadable_file"),
    "gzip cut short": (lambda: gzip.compress(GOOD.encode() * 3_000)[:-300], 422, "unreadable_file"),
    "gzip cut in its head": (lambda: gzip.compress(GOOD.encode())[:9], 422, "unreadable_file"),
    "gzip of something else": (lambda: b"\x1f\x8b" + rubbish(zeros=True), 422, "unreadable_file"),
    "gzip of one endless line": (lambda: bomb(b"x", 300), 422, "unreadable_file"),
    "gzip of one endless row": (lambda: bomb(b'"\n",', 50), 422, "unreadable_file"),
    "gzip of zeros": (lambda: bomb(b"\0", 300), 422, "unreadable_file"),
    "a spreadsheet cut short": (lambda: xlsx(["order", "customer"], [1, 2])[:-500], 422, "unreadable_file"),
    "an archive that is no spreadsheet": (lambda: b"PK\x03\x04" + rubbish(zeros=True), 422, "unreadable_file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_table_is_refused_and_leaves_nothing(product: Product, name: str) -> None:
    content, status, code = REFUSED[name]
    before = untouched(product)
    problem(sent(product, content()), status, code)
    assert untouched(product) == before


def test_a_file_with_wrong_columns_is_told_those_that_it_has_and_the_one_that_is_needed(product: Product) -> None:
    told = problem(sent(product, b"colour,shape\nred,round\n"), 422, "column_missing")
    assert (told["columns"], told["field"]) == (["colour", "shape"], "party")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_a_file_says_the_same_in_every_encoding(product: Product, encoding: str) -> None:
    done = product.bring(GOOD.encode(encoding))
    assert (done["rows"], done["duplicate"], done["rejected"]) == (2, 2, 0)


def test_a_spreadsheet_gives_what_its_formulas_came_to(product: Product) -> None:
    header, row = HEADER.strip().split(","), ["x-1", "calc", "2026-01-05", "=6*7", "EUR"]
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, header)
        sheet.write_row(1, 0, row)
        sheet.write_formula(1, 3, "=6*7", value=42)
    product.bring(file.getvalue())
    [purchase] = product.get("/v1/purchases", party_id=f"party_{party_of('calc').hex}")["data"]
    assert purchase["amount_minor"] == 4_200


def test_a_row_may_break_its_lines_in_quotes_and_a_file_may_be_wide(product: Product) -> None:
    wide = ",".join(f"c{number}" for number in range(10_000))
    rows = f'{HEADER.strip()},note,{wide}\nw-1,wide,2026-01-05,1.00,EUR,"two\nlines"{",x" * 10_000}\n'
    assert product.bring(rows.encode())["accepted"] == 1


ROWS: dict[str, tuple[str, str]] = {
    "a day that is none": ("{id},bad,2026-02-30,1.00,EUR", "bad_date"),
    "no day at all": ("{id},bad,0000-00-00,1.00,EUR", "bad_date"),
    "a year that is none": ("{id},bad,99999-01-01,1.00,EUR", "bad_date"),
    "a day to come": ("{id},bad,2199-01-01,1.00,EUR", "future_date"),
    "no date": ("{id},bad,,1.00,EUR", "no_date"),
    "an unknown currency": ("{id},bad,2026-01-05,1.00,XXY", "bad_currency"),
    "a negative amount": ("{id},bad,2026-01-05,-1.00,EUR", "negative_amount"),
    "mixed marks": ("{id},bad,2026-01-05,1.2.3,EUR", "bad_amount"),
    "an amount that is no number": ("{id},bad,2026-01-05,NaN,EUR", "bad_amount"),
    "an amount beyond all": ("{id},bad,2026-01-05,99999999999999999999,EUR", "bad_amount"),
    "too many decimals": ("{id},bad,2026-01-05,1.001,JPY", "too_many_decimals"),
    "nobody": ("{id},,2026-01-05,1.00,EUR", "no_party"),
    "a party with control characters": ("{id},a\tb\x07,2026-01-05,1.00,EUR", "bad_party"),
    "too many cells": ("{id},bad,2026-01-05,1.00,EUR,and,more", "too_many_cells"),
}


def test_bad_rows_are_told_apart_and_good_ones_are_taken(product: Product) -> None:
    rows = [row.format(id=f"bad-{place}") for place, (row, _) in enumerate(ROWS.values())]
    done = product.bring((HEADER + "\n".join([*rows, "fine,fine,2026-01-05,1.00,EUR"]) + "\n").encode())
    assert (done["accepted"], done["rejected"]) == (1, len(ROWS))
    rejects = product.client.get(f"/v1/imports/{done['id']}/rejects").text
    reasons = [line.split(",")[1] for line in rejects.splitlines()[1:]]
    assert dict(zip(ROWS, reasons, strict=True)) == {name: reason for name, (_, reason) in ROWS.items()}


PARTY = {"scheme": "external", "system": "shop", "value": "ann"}
WHEN = "2026-03-01T10:00:00Z"
BODIES: dict[str, dict[str, Any]] = {
    "/v1/parties": {"identifiers": [PARTY], "kind": "person"},
    "/v1/purchases": {
        "identifier": PARTY,
        "source": "test",
        "source_id": "p",
        "occurred_at": WHEN,
        "currency": "EUR",
        "amount_minor": 1,
        "channel": "web",
    },
    "/v1/returns": {"identifier": PARTY, "source": "test", "occurred_at": WHEN, "currency": "EUR", "amount_minor": 1},
    "/v1/interactions": {
        "identifier": PARTY,
        "occurred_at": WHEN,
        "department": "sales",
        "channel": "email",
        "kind": "inquiry",
        "direction": "inbound",
        "text": "a",
    },
    "/v1/problems": {"identifier": PARTY, "occurred_at": WHEN, "category": "late", "title": "a", "description": "a"},
    "/v1/leads": {"identifier": PARTY, "source": "web", "occurred_at": WHEN, "attributes": {"a": "b"}, "note": "a"},
    "/v1/members": {"community": "club", "source_id": "m", "display_name": "a", "bio": "a", "joined_at": WHEN},
    "/v1/groups": {"community": "club", "name": "g"},
    "/v1/keys": {"name": "a", "scopes": ["reader"], "expires_at": "2199-01-01T00:00:00Z"},
    "/v1/rates": {"rates": [{"currency": "GBP", "rate": "1.1", "day": "2026-01-01"}]},
}
POISONS: tuple[Any, ...] = (
    '"\\u0000canary-3f1d"',
    '"\\ud800canary-3f1d"',
    '"canary-3f1d\\u202e\\u200b\\u0007' + "x" * 30_000 + '"',
    '"-99999-01-01T00:00:00Z canary-3f1d"',
    '"2026-02-30T00:00:00Z"',
    '"9999-12-31T23:59:59-14:00"',
    "NaN",
    "-Infinity",
    "1e400",
    "-1",
    "9" * 40,
    "9" * 5_000,
    "[" * 100_000,
    "[" * 500 + "]" * 500,
    '{"other": {}}',
    "true",
)


def poisoned(body: Any, poison: str) -> Iterator[str]:
    """The body with the poison in the place of each of its values."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield from (
                "{" + ", ".join([f"{json.dumps(name)}: {bad}", *_others(body, name)]) + "}"
                for bad in (poison, *poisoned(value, poison))
            )
    elif isinstance(body, list):
        yield from (f"[{bad}]" for each in body for bad in (poison, *poisoned(each, poison)))


def _others(body: dict[str, Any], name: str) -> list[str]:
    return [f"{json.dumps(other)}: {json.dumps(value)}" for other, value in body.items() if other != name]


@pytest.mark.parametrize("path", BODIES)
def test_a_value_that_is_none_is_refused_wherever_it_stands(product: Product, path: str) -> None:
    kind = {"Content-Type": "application/json"}
    good = product.client.post(path, json=BODIES[path])
    assert good.is_success, good.text
    for poison in POISONS:
        for body in poisoned(BODIES[path], poison):
            answer = product.client.post(path, content=body, headers=kind)
            assert answer.status_code < 500, (body[:300], answer.text)
            if answer.status_code >= 400:
                problem(answer)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"x" * 10_000_001, "application/json", 413, "content_too_large"),
        (b"[" * 100_000, "application/json", 400, "bad_request"),
        (b'{"a": "\xff"}', "application/json", 400, "bad_request"),
        (b'{"canary-3f1d"', "application/json", 422, "invalid_request"),
        (b"", "application/json", 422, "invalid_request"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"a=canary-3f1d", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"<canary-3f1d/>", "application/xml", 415, "unsupported_media_type"),
    ],
    ids=["10 MB", "deep", "no UTF-8", "cut short", "empty", "text", "form", "XML"],
)
def test_a_body_that_is_none_is_refused_and_leaves_nothing(
    product: Product, path: str, content: bytes, kind: str, status: int, code: str
) -> None:
    problem(product.client.post(path, content=content, headers={"Content-Type": kind}), status, code)


def test_of_a_member_that_comes_twice_the_last_one_counts_in_one_request_as_in_many(product: Product) -> None:
    kind = {"Content-Type": "application/json"}
    one, many = (
        json.dumps(BODIES["/v1/purchases"] | {"source_id": id})[:-1] + ', "amount_minor": 77}' for id in ("t-1", "t-2")
    )
    assert product.client.post("/v1/purchases", content=one, headers=kind).json()["amount_minor"] == 77
    [row] = product.client.post("/v1/purchases/bulk", content=many).json()["data"]
    assert product.get(f"/v1/purchases/{row['purchase_id']}")["amount_minor"] == 77


@pytest.mark.parametrize(
    "address",
    [
        "аnn@example.com",
        "ａnn@example.com",
        "ann@ｅxample.com",
        "ann@ⓔxample.com",
        "ann@example。com",
        "ann@exa\u00admple.com",
        "ann@example.сom",
        "an\u200bn@example.com",
        "ann\u200d@example.com",
        "\u202eann@example.com",
        "ann@example.com\u200f",
        "\ufeffann@example.com",
        "a\u0000nn@example.com",
        '"ann"@example.com',
        "ann(a)@example.com",
        "Ann <ann@example.com>",
        "ann@example.com,ann@example.com",
        "áńń@example.com",
    ],
)
def test_an_address_that_only_looks_like_another_one_is_never_taken_for_it(product: Product, address: str) -> None:
    ann = product.client.get("/v1/parties", params={"scheme": "email", "value": "ann@example.com"})
    assert ann.is_success, ann.text
    answer = product.client.post("/v1/parties", json={"identifiers": [{"scheme": "email", "value": address}]})
    if answer.status_code >= 400:
        assert "ann" not in problem(answer)["detail"]
    else:
        known = product.client.post(
            "/v1/parties", json={"identifiers": [{"scheme": "email", "value": "ann@example.com"}]}
        ).json()
        assert answer.json()["id"] != known["id"]


def raw(product: Product, sent: bytes, seconds: float = STALL_S + 10) -> tuple[int, dict[str, Any]]:
    """What is answered to bytes that no client library would send; 0 where the connection just ends."""
    host = urlsplit(product.running.url)
    with socket.create_connection((str(host.hostname), int(host.port or 80)), timeout=seconds) as connection:
        connection.sendall(sent)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    if not answer:
        return 0, {}
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer[:500]
    return int(head.split()[1]), json.loads(body)


def head(product: Product, line: str, *lines: str) -> bytes:
    key = product.client.headers["Authorization"]
    return "\r\n".join((line, "Host: x", f"Authorization: {key}", "Connection: close", *lines, "", "")).encode()


FORM = "Content-Type: multipart/form-data; boundary=b"
BEGUN = (
    b'--b\r\nContent-Disposition: form-data; name="kind"\r\n\r\npurchases\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + GOOD.encode()
)
STALLED: dict[str, tuple[str, tuple[str, ...], bytes]] = {
    "in its file": ("POST /v1/imports HTTP/1.1", (FORM, "Content-Length: 90000"), BEGUN),
    "between two chunks": (
        "POST /v1/imports HTTP/1.1",
        (FORM, "Transfer-Encoding: chunked"),
        f"{len(BEGUN):x}\r\n".encode() + BEGUN + b"\r\n",
    ),
    "in its body": (
        "POST /v1/purchases HTTP/1.1",
        ("Content-Type: application/json", "Content-Length: 500"),
        json.dumps(BODIES["/v1/purchases"])[:-1].encode(),
    ),
}


@pytest.mark.parametrize("name", STALLED)
def test_a_client_that_stalls_is_cut_off_and_leaves_nothing(product: Product, name: str) -> None:
    line, lines, begun = STALLED[name]
    before = untouched(product)
    status, told = raw(product, head(product, line, *lines) + begun)
    assert (status, told["code"]) == (408, "request_timeout")
    assert untouched(product) == before


def test_a_client_that_stalls_in_its_head_is_cut_off(product: Product) -> None:
    status, told = raw(product, head(product, "GET /v1/parties HTTP/1.1")[:-2])
    assert (status, told["code"]) == (408, "request_timeout")


LINES: dict[str, tuple[str, tuple[str, ...], int]] = {
    "a header of 100 kB": ("GET /v1/parties HTTP/1.1", ("X-A: " + "a" * 100_000,), 431),
    "an unknown method": ("BREW /v1/parties HTTP/1.1", (), 400),
    "a method of other protocols": ("PROPFIND /v1/parties HTTP/1.1", (), 405),
    "a method that this path does not know": ("DELETE /v1/purchases HTTP/1.1", (), 405),
    "dots": ("GET /v1/parties/../keys HTTP/1.1", (), 404),
    "encoded dots": ("GET /v1/parties/%2e%2e/keys HTTP/1.1", (), 404),
    "encoded slashes": ("GET /v1/parties/..%2f..%2finternal%2fstatus HTTP/1.1", (), 404),
    "slashes encoded twice": ("GET /v1/parties/..%252f..%252finternal HTTP/1.1", (), 422),
    "what is inside": ("GET /internal/status HTTP/1.1", (), 404),
    "a zero in the path": ("GET /v1/parties/%00 HTTP/1.1", (), 400),
    "another protocol": ("\x16\x03\x01\x02 hello", (), 400),
}


@pytest.mark.parametrize("name", LINES)
def test_a_request_that_means_nothing_is_told_so(product: Product, name: str) -> None:
    line, lines, expected = LINES[name]
    status, told = raw(product, head(product, line, *lines))
    assert (status, told["status"]) == (expected, expected)


def test_a_body_without_a_length_is_taken(product: Product) -> None:
    body = json.dumps(BODIES["/v1/purchases"] | {"source_id": "chunked"}).encode()
    pieces = (body[at : at + 7] for at in range(0, len(body), 7))
    answer = product.client.post("/v1/purchases", content=pieces, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


def test_a_key_that_ended_opens_nothing(product: Product) -> None:
    admin = {"name": "short", "scopes": ["reader"]}
    made, rotated = (product.client.post("/v1/keys", json=admin).json() for _ in range(2))
    keys = {"revoked": made["secret"], "rotated": rotated["secret"]}
    for secret in keys.values():
        assert asked(product, ("Authorization", f"Bearer {secret}")).status_code == 200
    product.client.post(f"/v1/keys/{made['id']}/revoke")
    product.client.post(f"/v1/keys/{rotated['id']}/rotate")
    for secret in keys.values():
        problem(asked(product, ("Authorization", f"Bearer {secret}")), 401, "unauthorized")


def asked(product: Product, *headers: tuple[str, str]) -> httpx.Response:
    return httpx.get(f"{product.running.url}/v1/parties?limit=1", headers=list(headers), trust_env=False)


def test_a_header_that_is_no_key_opens_nothing(product: Product) -> None:
    own = product.client.headers["Authorization"]
    for headers in (
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", own.replace("Bearer", "Basic"))],
        [("Authorization", own + "x")],
        [("Authorization", f"{own}, {own}")],
        [("Authorization", f"Bearer shuke_{CANARY}"), ("Authorization", own)],
    ):
        problem(asked(product, *headers), 401, "unauthorized")


def resident_mb(product: Product) -> dict[str, float]:
    """The most memory that each process ever had."""
    found = {}
    for name, pid in supervisor.pids(product.folder).items():
        [peak] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
        found[name] = int(peak.split()[1]) / 1024
    return found


class Rows(io.RawIOBase):
    """A file that is made while it is read: rows wide enough that there are not too many of them."""

    def __init__(self, megabytes: int) -> None:
        self.rows = iter(range(megabytes * 10))
        self.rest = (HEADER.strip() + ",note\n").encode()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while len(self.rest) < max(size, 65_536):
            number = next(self.rows, None)
            if number is None:
                break
            self.rest += f"l-{number},c-{number % 50},2026-01-05,1.00,EUR,".encode() + b"x" * 100_000 + b"\n"
        size = len(self.rest) if size < 0 else size
        piece, self.rest = self.rest[:size], self.rest[size:]
        return piece


def test_a_large_file_is_taken_whole_in_bounded_memory(product: Product) -> None:
    before = resident_mb(product)
    boundary, form = b"b", {"kind": "purchases", "source": "large"}
    fields = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in form.items()
    )
    start = fields + '--b\r\nContent-Disposition: form-data; name="file"; filename="large.csv"\r\n\r\n'

    def pieces() -> Iterator[bytes]:
        yield start.encode()
        file = Rows(LARGE_MB)
        while piece := file.read(1 << 18):
            yield piece
        yield b"\r\n--" + boundary + b"--\r\n"

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = product.client.post("/v1/imports", content=pieces(), headers=kind, timeout=1_800)
    assert answer.status_code == 202, answer.text
    done = product.finished(answer.json()["id"], seconds=1_800)
    assert done["accepted"] == LARGE_MB * 10
    grown = {name: round(peak - before.get(name, 0)) for name, peak in resident_mb(product).items()}
    grown.pop("postgres")
    assert max(grown.values()) < 200, grown


def test_after_all_of_it_what_was_good_is_there(product: Product) -> None:
    product.settle()
    assert product.agrees()
    [purchase] = [
        each
        for each in product.get("/v1/purchases", party_id=f"party_{party_of('ann').hex}", limit=1_000)["data"]
        if each["source_id"] == "good-1"
    ]
    assert (purchase["amount_minor"], purchase["version"]) == (5_000, 1)
    [zoe] = product.get("/v1/purchases", party_id=f"party_{party_of('Zoë Müller').hex}")["data"]
    assert zoe["amount_minor"] == 1_250
    logs = {path.name: path.read_text() for path in (product.folder / "logs").glob("*.log")}
    assert [name for name, text in logs.items() if "request failed" in text or "task died" in text] == []
