"""What anybody may read: the OpenAPI document of everything, and pages to look at it without the internet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Never

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import FileResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from chassis.openapi import Document, committed, operations, refuse
from chassis.rest import rest
from gateway.domain.audit import Operations, operations_of
from gateway.domain.openapi import merged
from gateway.domain.retiring import Retirements
from gateway.domain.services import ServiceUnavailable
from gateway.queries.services import Services
from gateway.routes.door import MAY_END_IN, stranger

router = APIRouter(include_in_schema=False, dependencies=[Depends(stranger)])

OWN = Path(__file__).parent / "static"
LOADS = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""What the page of the document may load: files of ours, and the pictures that stand in its styles."""
RENEW_S = 60.0
"""Seconds after which a service is asked for its document again: it may have come up in another version."""


@router.get("/openapi.json")
async def read_openapi(request: Request) -> dict[str, Any]:
    """The document of the gateway and all services; of a service that is away, as it last was."""
    services: Services = request.app.state.services
    known: dict[str, dict[str, Any]] = request.app.state.documents
    if known.keys() < services.addresses.keys():
        known |= {name: found for name, found in (await services.each("GET", "/openapi.json")).items() if found}
    if missing := sorted(services.addresses.keys() - known.keys()):
        raise ServiceUnavailable(f"{', '.join(missing)} did not answer yet.", services=missing)
    return public(committed(request.app), known, request.app.state.retirements)


def public(own: Document, services: Mapping[str, Document], retirements: Retirements | None = None) -> Document:
    """The document of the gateway and of services, each operation with what it may end in at the door already.

    What goes away is marked so.
    """
    told = merged(own, services)
    for method, path in Retirements() if retirements is None else retirements:
        # A service of another version may not have it, or not any more.
        if operation := told["paths"].get(path, {}).get(method.lower()):
            operation["deprecated"] = True
    for operation in operations(told):
        refuse(told, operation, MAY_END_IN)
    return told


async def document_of(request: Request, service: str) -> dict[str, Any]:
    """The document of one service. Raises `ServiceUnavailable` and what else asking may raise."""
    known: dict[str, dict[str, Any]] = request.app.state.documents
    if service not in known:
        services: Services = request.app.state.services
        known[service] = await services.json(service, "GET", "/openapi.json")
    return known[service]


async def follow(app: FastAPI, *, rest_s: float = RENEW_S) -> Never:
    """Keep the documents of the services as they are, until cancelled."""
    while True:
        await rest(rest_s)
        await renew(app)


async def renew(app: FastAPI) -> None:
    """Take what each service says of itself now; of one that is away, what it last said stays."""
    services: Services = app.state.services
    known: dict[str, Document] = app.state.documents
    for name, found in (await services.each("GET", "/openapi.json")).items():
        if found and found != known.get(name):
            known[name] = found
            indexed(app, name, found)


def indexed(app: FastAPI, name: str, document: Document) -> Operations:
    """The operations of a document, by path; made once for each document."""
    known: dict[str, tuple[Document, Operations]] = app.state.operations
    found = known.get(name)
    if found is None or found[0] is not document:
        found = known[name] = document, operations_of(document)
    return found[1]


def known_operations(app: FastAPI, service: str) -> Operations | None:
    """Those of a service, where it was looked for before; None otherwise."""
    known: dict[str, tuple[Document, Operations]] = app.state.operations
    found = known.get(service)
    return None if found is None else found[1]


@router.get("/docs")
async def read_docs() -> FileResponse:
    """The document as a page."""
    return FileResponse(OWN / "docs.html", headers={"Content-Security-Policy": LOADS})


assets = Mount("/docs/assets", StaticFiles(directory=OWN, packages=[("fastapi_offline", "static")]))
