"""A file on its way in: it goes to customers, and the first real one says which currency standings are told in."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile

from gateway.domain.rights import scopes
from gateway.queries.services import Services
from gateway.routes.door import Asking

router = APIRouter(include_in_schema=False)

EXAMPLE = "example"
"""The source whose data decides nothing: it is removed before real work begins."""
TOLD = "Shuke-Reporting-Currency"
"""Response header: the currency in which standings are told from now on."""


@router.post("/v1/imports")
async def start_import(request: Request, asking: Asking) -> Response:
    """Pass an import on. A real one that was taken fixes the reporting currency, if nothing has fixed it yet."""
    services: Services = request.app.state.services
    caller = asking.key_id, scopes(asking.scopes)
    async with request.form(max_files=1, max_fields=50) as form:
        kept = [(name, request.headers[name]) for name in ("idempotency-key", "accept") if name in request.headers]
        async with services.ask(
            "customers", "POST", "/v1/imports", caller=caller, headers=kept, body=_again(form), patient=True
        ) as response:
            content = await response.read()
            headers = {name: response.headers[name] for name in PASSED if name in response.headers}
            if response.status == 202 and _decides(started := msgspec.json.decode(content), form):
                headers[TOLD] = await _fix(services, caller, started["currency"])
            return Response(content, response.status, headers)


PASSED = ("Content-Type", "Location", "Retry-After", "Idempotency-Replayed")


def _decides(started: Mapping[str, Any], form: FormData) -> bool:
    """Whether an import says the currency: it was named, or there is one for all rows."""
    real = started["source"] != EXAMPLE and not started["dry_run"]
    return real and (bool(form.get("currency")) or "currency" not in started["mapping"])


async def _fix(services: Services, caller: tuple[str, frozenset[str]], currency: str) -> str:
    told: dict[str, Any] = await services.json(
        "scoring", "POST", "/internal/reporting-currency", {"currency": currency}, caller=caller
    )
    now: str = told["currency"]
    return now


def _again(form: FormData) -> aiohttp.FormData:
    """The same form, its file read from where it was spooled."""
    again = aiohttp.FormData(default_to_multipart=True)
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            kind = value.content_type or "application/octet-stream"
            again.add_field(name, value.file, filename=value.filename or "file", content_type=kind)
        else:
            again.add_field(name, value)
    return again
