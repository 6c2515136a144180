"""A file on its way in: it goes to customers, and the first real one says which currency standings are told in."""

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
    """Pass an import on. A real one fixes the reporting currency first, if nothing has fixed it yet."""
    services: Services = request.app.state.services
    caller = asking.key_id, scopes(asking.scopes)
    async with request.form(max_files=1, max_fields=50) as form:
        real = form.get("source") != EXAMPLE and str(form.get("dry_run", "")).lower() not in ("true", "1", "on", "yes")
        named = form.get("currency") if real else None
        fixed = await _fix(services, caller, named) if isinstance(named, str) and named else None
        kept = [(name, request.headers[name]) for name in ("idempotency-key", "accept") if name in request.headers]
        async with services.ask(
            "customers", "POST", "/v1/imports", caller=caller, headers=kept, body=_again(form), patient=True
        ) as response:
            content = await response.read()
            headers = {name: response.headers[name] for name in PASSED if name in response.headers}
            if real and fixed is None and response.status == 202:
                # No currency was named; where no column has one, customers took its default and says so.
                started = msgspec.json.decode(content)
                fixed = None if "currency" in started["mapping"] else await _fix(services, caller, started["currency"])
            return Response(content, response.status, headers | ({TOLD: fixed} if fixed else {}))


PASSED = ("Content-Type", "Location", "Retry-After", "Idempotency-Replayed")


async def _fix(services: Services, caller: tuple[str, frozenset[str]], currency: str) -> str | None:
    told: dict[str, Any] = await services.json(
        "scoring", "POST", "/internal/reporting-currency", {"currency": currency}, caller=caller
    )
    return told.get("currency")


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
