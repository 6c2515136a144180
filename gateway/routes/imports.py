"""Files on their way in: each goes to the service of its kind, and all are one list."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from chassis.auth import Caller
from chassis.fields import ImportId
from chassis.http import Cursor, Limit, decode_cursor, encode_cursor
from contracts.problems import Problem
from gateway.domain.imports import IMPORTING, SPENT_IN, TAKEN_BY, FormFields, Kind, kind_of
from gateway.domain.joined import Part, Row, joined
from gateway.domain.parts import Status
from gateway.domain.services import ServiceUnavailable
from gateway.models.composed import ImportKinds, ImportList
from gateway.queries.services import Answered, Services
from gateway.routes.door import Asking
from gateway.routes.proxy import OURS, Body, passed_on, to_pass

router = APIRouter(prefix="/v1/imports", tags=["imports"])

EXAMPLE = "example"
"""The source whose data decides nothing: it is removed before real work begins."""
TOLD = "Shuke-Reporting-Currency"
"""Response header: the currency in which standings are told from now on."""
PASSED = ("Content-Type", "Location", "Retry-After", "Idempotency-Replayed")

KEPT = 10_000
"""Imports whose service is remembered: it stays the same for life."""


@router.post("", status_code=202, response_class=Response)
async def start_import(
    request: Request,
    asking: Asking,
    kind: Annotated[
        Kind | None, Query(description="Needed where the form has its file before the field `kind`.")
    ] = None,
) -> Response:
    """Import a file. The service that knows its `kind` takes it.

    The answer tells how the file is understood; its rows are then recorded one by one, and `GET` tells how far they
    are. The same file again changes nothing. The form has the field `kind` before the file, or the query says it too,
    because the file passes through without being kept. The first real file of purchases or returns that is taken fixes
    the currency in which standings are told, if nothing has fixed it yet.
    """
    form = FormFields(request.headers.get("content-type", ""))
    answer, kind = await _taken(request, asking, form, kind)
    if answer.status_code == 202 and kind in SPENT_IN:
        started = msgspec.json.decode(answer.body)
        if not _decides(started, currency_said=bool(form.values.get("currency"))):
            return answer
        answer.headers[TOLD] = await _fix(request.app.state.services, asking, started["currency"])
    return answer


@router.get("")
async def list_imports(request: Request, asking: Asking, limit: Limit = 50, cursor: Cursor = None) -> ImportList:
    """Imports of all services, the newest first.

    A service that does not answer is named in `unavailable`; its imports come on a later page, once it answers.
    One that is not installed is not asked.
    """
    positions: dict[str, UUID | None] = dict.fromkeys(IMPORTING)
    if cursor:
        positions = decode_cursor(cursor, tuple[dict[str, UUID | None]])[0]
    targets = {
        service: (service, f"/v1/imports?limit={limit}" + (f"&cursor={encode_cursor(last)}" if last else ""))
        for service, last in positions.items()
    }
    parts = await _parts(request, asking, targets)
    page = joined(parts, positions, limit=limit, key=_id)
    return ImportList(
        data=[dict(row) for row in page.rows],
        has_more=bool(page.positions),
        next_cursor=encode_cursor(page.positions) if page.positions else None,
        unavailable=[service for service, part in parts.items() if part is None],
    )


@router.get("/kinds")
async def list_import_kinds(request: Request, asking: Asking) -> ImportKinds:
    """The kinds of files that can be imported, and what their columns can be.

    A service that does not answer is named in `unavailable`; one that is not installed is not asked.
    """
    answers = await _asked(request, asking, {service: (service, "/v1/imports/kinds") for service in IMPORTING})
    return ImportKinds(
        data=[kind for answer in answers.values() if answer.status is Status.OK for kind in answer.data["data"]],
        unavailable=[name for name, answer in answers.items() if answer.status in (Status.UNAVAILABLE, Status.SLOW)],
    )


@router.get("/{import_id}", response_class=Response)
async def read_import(import_id: ImportId, request: Request, asking: Asking) -> Response:
    """How far an import is, and what became of its rows."""
    return await _passed_to_its_service(import_id, request, asking)


@router.post("/{import_id}/undo", status_code=202, response_class=Response)
async def undo_import(import_id: ImportId, request: Request, asking: Asking) -> Response:
    """Withdraw everything that an import brought, as if it had never been; also one that still runs."""
    return await _passed_to_its_service(import_id, request, asking)


@router.post("/{import_id}/again", status_code=202, response_class=Response)
async def import_again(import_id: ImportId, request: Request, asking: Asking) -> Response:
    """Import the rows that a dry run looked at, without sending the file again; also as another dry run.

    The body may say how they are read instead: `mapping`, `constants`, `source`, `currency`, `timezone`, `dates`,
    `date`, `dry_run`. What is left out is as it was. The rows are there for a day.
    """
    answer = await _passed_to_its_service(import_id, request, asking)
    if answer.status_code == 202 and (started := msgspec.json.decode(answer.body))["kind"] in SPENT_IN:
        said = msgspec.json.decode(await request.body() or b"{}").get("currency")
        if _decides(started, currency_said=bool(said)):
            answer.headers[TOLD] = await _fix(request.app.state.services, asking, started["currency"])
    return answer


@router.get("/{import_id}/rejects", response_class=Response)
async def read_import_rejects(import_id: ImportId, request: Request, asking: Asking) -> Response:
    """The rows that were not taken as CSV: row number, reason, detail, then the row as it came."""
    return await _passed_to_its_service(import_id, request, asking)


async def _taken(request: Request, caller: Caller, form: FormFields, kind: Kind | None) -> tuple[Response, Kind]:
    """What the service says to which the file went, and of which kind it is. `form` reads along."""
    services: Services = request.app.state.services
    body = Body(request, form.feed)
    async with aclosing(body.pieces()) as pieces:
        headers = to_pass(request.scope["headers"], OURS)
        if kind is None:
            begun, kind = await _until_known(body, form, pieces)
        else:
            # The service reads the form alone: what the query says is put in front of it.
            begun = [form.field("kind", kind)]
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        asked = services.ask(
            TAKEN_BY[kind],
            "POST",
            "/v1/imports",
            caller=caller,
            headers=headers,
            body=_whole(begun, pieces),
            patient=True,
        )
        try:
            async with asked as response:
                answered = {name: value for name in PASSED if (value := response.header(name)) is not None}
                return Response(await response.read(), response.status, answered), kind
        except Exception:
            if body.failure is not None:
                raise body.failure from None
            raise


async def _until_known(body: Body, form: FormFields, pieces: AsyncGenerator[bytes]) -> tuple[list[bytes], Kind]:
    begun: list[bytes] = []
    try:
        async for piece in pieces:
            begun.append(piece)
            if form.kind is not None or form.file_begun:
                break
        return begun, kind_of(form.kind)
    except Problem:
        await body.discard()
        raise


async def _whole(begun: list[bytes], pieces: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    for piece in begun:
        yield piece
    async for piece in pieces:
        yield piece


def _decides(started: Mapping[str, Any], *, currency_said: bool) -> bool:
    """Whether an import that has amounts says the currency: it was named, or there is one for all rows."""
    real = started["source"] != EXAMPLE and not started["dry_run"] and started["currency"] is not None
    return real and (currency_said or "currency" not in started["mapping"])


async def _fix(services: Services, caller: Caller, currency: str) -> str:
    told: dict[str, Any] = await services.json(
        "scoring", "POST", "/internal/reporting-currency", {"currency": currency}, caller=caller
    )
    now: str = told["currency"]
    return now


def _id(row: Row) -> UUID:
    return UUID(hex=row["id"].removeprefix("import_"))


async def _parts(request: Request, asking: Asking, targets: Mapping[str, tuple[str, str]]) -> dict[str, Part | None]:
    return {name: _part(answer) for name, answer in (await _asked(request, asking, targets)).items()}


async def _asked(request: Request, asking: Asking, targets: Mapping[str, tuple[str, str]]) -> dict[str, Answered]:
    services: Services = request.app.state.services
    return await services.side_by_side(targets, caller=asking, within_s=request.app.state.settings.part_s)


def _part(answer: Answered) -> Part | None:
    if answer.status.has_nothing:
        return Part([], has_more=False)
    return Part(answer.data["data"], answer.data["has_more"]) if answer.status is Status.OK else None


async def _passed_to_its_service(import_id: UUID, request: Request, asking: Asking) -> Response:
    services: Services = request.app.state.services
    known: dict[UUID, str] = request.app.state.importing
    if import_id not in known:
        targets = {service: (service, f"/v1/imports/import_{import_id.hex}") for service in IMPORTING}
        answers = await _asked(request, asking, targets)
        found = [service for service, answer in answers.items() if answer.status is Status.OK]
        away = [service for service, answer in answers.items() if answer.status in (Status.UNAVAILABLE, Status.SLOW)]
        if not found and away:
            raise ServiceUnavailable(
                f"No other service knows this import, and {', '.join(away)} did not answer.", services=away
            )
        if not found:
            return await passed_on(request, services, IMPORTING[0], asking)
        if len(known) >= KEPT:
            known.clear()
        known[import_id] = found[0]
    return await passed_on(request, services, known[import_id], asking)
