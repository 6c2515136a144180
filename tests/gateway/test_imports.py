import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from fastapi import FastAPI, Request, Response

from chassis.http import decode_cursor, encode_cursor
from gateway.domain.imports import TAKEN_BY, FormFields, Kind, UnreadableForm
from gateway.domain.joined import Part, joined

from .conftest import NOWHERE, Door, serving

SENT = ("authorization", "Content-Type")


def import_id(number: int) -> str:
    return f"import_{number:032x}"


class Importing:
    """A service with imports of its own, newest first."""

    def __init__(self, name: str, numbers: Iterable[int]) -> None:
        self.name = name
        self.numbers = sorted(numbers, reverse=True)
        self.taken = 0
        self.begun = b""
        self.undone: list[str] = []
        self.app = FastAPI()
        self.app.get("/v1/imports")(self.listed)
        self.app.post("/v1/imports", status_code=202)(self.take)
        self.app.get("/v1/imports/kinds")(self.kinds)
        self.app.get("/v1/imports/{id}")(self.read)
        self.app.post("/v1/imports/{id}/again", status_code=202)(self.again)
        self.app.post("/v1/imports/{id}/undo", status_code=202)(self.undo)

    async def listed(self, limit: int, cursor: str | None = None) -> dict[str, Any]:
        below = decode_cursor(cursor, tuple[UUID])[0].int if cursor else 2**128
        left = [number for number in self.numbers if number < below]
        rows = [{"id": import_id(number), "service": self.name} for number in left[:limit]]
        more = len(left) > limit
        return {
            "data": rows,
            "has_more": more,
            "next_cursor": encode_cursor(UUID(int=left[limit - 1])) if more else None,
        }

    async def read(self, id: str, response: Response) -> dict[str, Any]:
        if id not in map(import_id, self.numbers):
            response.status_code = 404
            return {"code": "import_not_found", "service": self.name}
        return {"id": id, "service": self.name}

    async def undo(self, id: str) -> dict[str, Any]:
        self.undone.append(id)
        return {"id": id, "state": "undoing"}

    async def kinds(self) -> dict[str, Any]:
        return {"data": [{"kind": self.name}]}

    async def again(self, id: str) -> dict[str, Any]:
        return {"id": id, "service": self.name, "kind": "leads"}

    async def take(self, request: Request) -> dict[str, Any]:
        self.taken, self.begun = 0, b""
        async for piece in request.stream():
            self.taken += len(piece)
            self.begun = self.begun if self.taken > 10_000 else self.begun + piece
        return {"service": self.name, "source": "example", "dry_run": False, "mapping": {}, "currency": "EUR"}


@pytest.fixture
async def importing(door: Door) -> AsyncIterator[dict[str, Importing]]:
    made = {
        "customers": Importing("customers", [1, 4, 5, 10]),
        "leads": Importing("leads", [2, 6, 7, 8]),
        "community": Importing("community", [3, 9]),
    }
    async with AsyncExitStack() as stack:
        for name, service in made.items():
            door.app.state.services.addresses[name] = await stack.enter_async_context(serving(service.app))
        yield made


async def pages(door: Door, limit: int) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        query = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        found.append((await door.client.get("/v1/imports", params=query)).json())
        cursor = found[-1]["next_cursor"]
        if not found[-1]["has_more"]:
            return found
        assert len(found) <= 100


@pytest.mark.parametrize("limit", [1, 3, 4, 10, 100])
async def test_imports_of_all_services_are_one_list(door: Door, importing: dict[str, Importing], limit: int) -> None:
    read = await pages(door, limit)
    ids = [row["id"] for page in read for row in page["data"]]
    assert ids == [import_id(number) for number in range(10, 0, -1)]
    assert all(len(page["data"]) <= limit and page["unavailable"] == [] for page in read)


async def test_imports_of_a_service_that_is_away_come_when_it_is_back(
    door: Door, importing: dict[str, Importing]
) -> None:
    addresses = door.app.state.services.addresses
    back, addresses["leads"] = addresses["leads"], NOWHERE
    first = (await door.client.get("/v1/imports", params={"limit": 4})).json()
    assert [row["id"] for row in first["data"]] == [import_id(number) for number in (10, 9, 5, 4)]
    assert (first["unavailable"], first["has_more"]) == (["leads"], True)
    addresses["leads"] = back
    rest = (await door.client.get("/v1/imports", params={"cursor": first["next_cursor"]})).json()
    assert [row["id"] for row in rest["data"]] == [import_id(number) for number in (8, 7, 6, 3, 2, 1)]
    assert (rest["unavailable"], rest["has_more"]) == ([], False)


async def test_the_list_ends_where_a_service_is_not_installed(door: Door, importing: dict[str, Importing]) -> None:
    del door.app.state.services.addresses["leads"]
    read = await pages(door, 3)
    ids = [row["id"] for page in read for row in page["data"]]
    assert ids == [import_id(number) for number in (10, 9, 5, 4, 3, 1)]
    assert all(page["unavailable"] == [] for page in read)
    missing = await door.client.get(f"/v1/imports/{import_id(2)}")
    assert (missing.status_code, missing.json()["code"]) == (404, "import_not_found")


async def test_a_foreign_cursor_is_refused(door: Door, importing: dict[str, Importing]) -> None:
    answer = await door.client.get("/v1/imports", params={"cursor": encode_cursor(7)})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_an_import_is_found_wherever_it_is(door: Door, importing: dict[str, Importing]) -> None:
    for number, service in ((10, "customers"), (2, "leads"), (9, "community")):
        assert (await door.client.get(f"/v1/imports/{import_id(number)}")).json()["service"] == service
        undone = await door.client.post(f"/v1/imports/{import_id(number)}/undo", headers=door.key("ingest"))
        assert undone.status_code == 202
        assert importing[service].undone == [import_id(number)]
    missing = await door.client.get(f"/v1/imports/{import_id(77)}")
    assert (missing.status_code, missing.json()["code"]) == (404, "import_not_found")
    assert (await door.client.get("/v1/imports/import_1")).status_code == 422


async def test_what_was_looked_at_is_imported_by_the_service_that_has_it(
    door: Door, importing: dict[str, Importing]
) -> None:
    again = await door.client.post(f"/v1/imports/{import_id(2)}/again", headers=door.key("ingest"))
    assert (again.status_code, again.json()["service"]) == (202, "leads")
    refused = await door.client.post(f"/v1/imports/{import_id(2)}/again", headers=door.key("reader"))
    assert refused.status_code == 403


async def test_the_kinds_of_all_services_are_told_as_far_as_they_answer(
    door: Door, importing: dict[str, Importing]
) -> None:
    door.app.state.services.addresses["leads"] = NOWHERE
    answer = (await door.client.get("/v1/imports/kinds")).json()
    assert answer == {"data": [{"kind": "customers"}, {"kind": "community"}], "unavailable": ["leads"]}


async def test_an_import_that_may_be_in_a_service_that_is_away_is_a_503(
    door: Door, importing: dict[str, Importing]
) -> None:
    door.app.state.services.addresses["leads"] = NOWHERE
    assert (await door.client.get(f"/v1/imports/{import_id(10)}")).status_code == 200
    away = await door.client.get(f"/v1/imports/{import_id(2)}")
    assert (away.status_code, away.json()["code"], away.json()["services"]) == (503, "service_unavailable", ["leads"])


@pytest.mark.parametrize("kind", Kind)
async def test_a_file_goes_to_the_service_of_its_kind(door: Door, importing: dict[str, Importing], kind: Kind) -> None:
    answer = await door.client.post("/v1/imports", data={"kind": kind}, files={"file": ("a.csv", b"a\n1\n")})
    assert (answer.status_code, answer.json()["service"]) == (202, TAKEN_BY[kind])


FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\n1,2\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def field(name: str, value: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


async def test_a_file_before_its_kind_needs_the_kind_in_the_query(door: Door, importing: dict[str, Importing]) -> None:
    form = FILE + field("kind", "leads") + b"--b--\r\n"
    answer = await door.client.post("/v1/imports", content=form, headers=FORM)
    assert (answer.status_code, answer.json()["code"]) == (422, "unclear_kind")
    assert answer.json()["kinds"] == list(Kind)
    for whole in (form, FILE + b"--b--\r\n"):
        named = await door.client.post("/v1/imports?kind=leads", content=whole, headers=FORM)
        assert (named.status_code, named.json()["service"]) == (202, "leads")
        assert importing["leads"].begun == field("kind", "leads") + whole
    assert (await door.client.post("/v1/imports?kind=hats", content=form, headers=FORM)).status_code == 422


async def test_a_kind_that_there_is_not_is_told_the_others(door: Door, importing: dict[str, Importing]) -> None:
    answer = await door.client.post("/v1/imports", content=field("kind", "hats") + FILE + b"--b--\r\n", headers=FORM)
    assert (answer.status_code, answer.json()["code"], answer.json()["kinds"]) == (422, "unclear_kind", list(Kind))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/json"),
        (b"kind=leads", "application/x-www-form-urlencoded"),
        (b"", "multipart/form-data"),
        (b"no boundary here", "multipart/form-data; boundary=b"),
        (FILE, "multipart/form-data; boundary=" + "b" * 300),
        (field("kind", "leads") + b"--b\r\nwrong header\r\n\r\n", "multipart/form-data; boundary=b"),
        (field("note", "n" * 1_100_000), "multipart/form-data; boundary=b"),
    ],
)
async def test_a_body_that_is_no_form_is_told_what_to_send(
    door: Door, importing: dict[str, Importing], body: bytes, content_type: str
) -> None:
    answer = await door.client.post("/v1/imports", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable_form")


async def test_a_file_is_never_held(door: Door, importing: dict[str, Importing]) -> None:
    megabytes = 200

    async def form() -> AsyncIterator[bytes]:
        yield field("kind", "leads")
        yield FILE[: FILE.index(b"a,b")]
        for _ in range(megabytes):
            yield b"1,2,3\n" * 174_762
        yield b"\r\n--b--\r\n"

    before = memory_kb("VmRSS")
    forget_the_peak()
    answer = await door.client.post("/v1/imports", content=form(), headers=FORM)
    assert answer.status_code == 202
    assert importing["leads"].taken > megabytes * 1_000_000
    assert memory_kb("VmHWM") - before < 50_000


async def test_an_answer_before_the_end_of_the_file_is_passed_on(door: Door) -> None:
    service = FastAPI()

    @service.post("/v1/imports", status_code=422)
    async def refuse() -> dict[str, str]:
        return {"code": "bad_mapping"}

    async with serving(service) as url:
        door.app.state.services.addresses["leads"] = url
        head = (
            "POST /v1/imports?kind=leads HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
        )
        fields = "".join(
            f"{name}: {value}\r\n" for name, value in {**door.client.headers, **FORM}.items() if name in SENT
        )
        host = urlsplit(door.url)
        for _ in range(20):
            reader, writer = await asyncio.open_connection(host.hostname, host.port)
            begun = FILE[:20]
            writer.write(f"{head}{fields}\r\n{len(begun):x}\r\n".encode() + begun + b"\r\n")
            assert (await asyncio.wait_for(reader.readline(), 60)).split()[1] == b"422"
            writer.close()


def forget_the_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def memory_kb(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def test_fields_are_read_however_the_form_is_cut() -> None:
    form = field("kind", "leads") + FILE + field("currency", "CHF") + field("kind", "posts") + b"--b--\r\n"
    for step in (1, 2, 7, len(form)):
        fields = FormFields(FORM["Content-Type"])
        for start in range(0, len(form), step):
            fields.feed(form[start : start + step])
        assert fields.values == {"kind": "leads", "currency": "CHF"}
        assert (fields.kind, fields.file_begun) == ("leads", True)
    late = FormFields(FORM["Content-Type"])
    late.feed(FILE + field("kind", "leads"))
    assert late.kind is None
    with pytest.raises(UnreadableForm):
        FormFields("text/csv")


def rows(*keys: int) -> list[dict[str, Any]]:
    return [{"key": key} for key in keys]


def key(row: Any) -> int:
    number: int = row["key"]
    return number


def test_nothing_overtakes_what_a_service_has_not_sent_yet() -> None:
    parts = {"a": Part(rows(9, 8), has_more=True), "b": Part(rows(3, 1), has_more=False)}
    page = joined(parts, {"a": None, "b": None}, limit=10, key=key)
    assert page.rows == rows(9, 8)
    assert page.positions == {"a": 8, "b": None}


def test_a_service_at_its_end_is_not_asked_again_and_one_that_is_away_is() -> None:
    parts = {"a": Part(rows(9), has_more=False), "b": None, "c": Part([], has_more=False)}
    page = joined(parts, {"a": None, "b": 4, "c": 2}, limit=10, key=key)
    assert page.rows == rows(9)
    assert page.positions == {"b": 4}
