"""The audit trail: what is written down of a request on its way, and the trail over HTTP."""

import contextlib
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.auth import Caller
from chassis.clock import now
from chassis.fields import PartyId
from chassis.http import Cursor, Page, Session, TransactionalRoute, decode_cursor, page
from chassis.openapi import committed
from chassis.telemetry import request_id
from contracts.problems import Problem
from gateway.domain.audit import (
    UNTRACED,
    Entry,
    Kind,
    Operations,
    ids_in,
    kind_of,
    operation_of,
    operations_of,
    redacted,
)
from gateway.domain.rights import area_of
from gateway.models.audit import AuditRow, Order
from gateway.queries.keyring import Holder
from gateway.queries.trail import Trail, page_of_trail
from gateway.routes.documents import document_of, indexed

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=TransactionalRoute)


@router.get("")
async def list_audit_rows(
    session: Session,
    who: Annotated[str | None, Query(max_length=60, description="`key_…` or `user_…`.")] = None,
    what: Annotated[str | None, Query(max_length=100, description="`act`, `read`, or the id of an operation.")] = None,
    party: PartyId | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    order: Order = Order.LATEST,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    cursor: Cursor = None,
) -> Page[AuditRow]:
    """Who did what, and who read what may hold contact data: when, from where, and how it ended.

    Each row holds the hash of the one before it; `shuke audit verify` computes them anew. `since` counts, `until` does
    not.
    """
    [after] = decode_cursor(cursor, tuple[int]) if cursor else [None]
    rows = await page_of_trail(
        session,
        who=who,
        what=what,
        party=None if party is None else f"party_{party.hex}",
        since=since,
        until=until,
        after=after,
        oldest_first=order is Order.OLDEST,
        limit=limit + 1,
    )
    return page(rows, limit=limit, key=lambda row: (row.seq,)).shown(AuditRow.of)


class Audited:
    """Writes down administrative acts before they are answered, and readings of contact data a moment later."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and tell of it when the answer begins."""
        kind = kind_of(scope["method"], scope["path"]) if _may_be_told(scope) else None
        if kind is None:
            return await self.app(scope, receive, send)
        trail: Trail = scope["app"].state.trail
        await trail.have_room(scope["app"].state.database)
        told = False

        async def send_told(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start" and not told and message["status"] not in UNTRACED:
                told = True
                await trail.tell(scope["app"].state.database, await _entry(scope, kind, message))
            await send(message)

        await self.app(scope, receive, send_told)


def _may_be_told(scope: Scope) -> bool:
    return scope["type"] == "http" and area_of(scope["path"]) is not None


async def _entry(scope: Scope, kind: Kind, answer: Message) -> Entry:
    operations = await _operations(Request(scope))
    return entry_of(scope, kind, operations, answer["status"], answer["headers"], request_id() or "")


def entry_of(
    scope: Scope, kind: Kind, operations: Operations, status: int, headers: Iterable[tuple[bytes, bytes]], id: str
) -> Entry:
    """What is told of a request and its answer; `id` is that of the request."""
    state, client = scope["state"], scope.get("client")
    caller: Caller | None = state.get("caller")
    holder: Holder | None = state.get("holder")
    who = caller or (holder.caller if holder is not None else None)
    method, path, query = scope["method"], scope["path"], scope["query_string"].decode("latin-1")
    operation, template = operation_of(operations, method, path)
    location = next((value.decode() for name, value in headers if name.lower() == b"location"), None)
    return Entry(
        now(),
        kind,
        "nobody" if who is None else who.key_id,
        None if who is None else who.team_id,
        operation,
        method,
        template,
        ids_in(path, query, location),
        redacted(query),
        status,
        client[0] if client else "",
        id,
    )


async def _operations(request: Request) -> Operations:
    """Those of the document that has the operation: the gateway's own, else the service's, if it ever answered."""
    own = indexed(request.app, "gateway", committed(request.app))
    there = area_of(request.scope["path"])
    if there is None or there.service is None or operation_of(own, request.method, request.scope["path"])[0]:
        return own
    with contextlib.suppress(Problem):
        return indexed(request.app, there.service, await document_of(request, there.service))
    return operations_of({})
