"""Webhooks over HTTP: made, changed, tried, replayed, and what became of each message."""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response, status

from chassis.clock import now
from chassis.db import driver
from chassis.http import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    decode_cursor,
    etag,
    made,
    page,
    same_version,
)
from chassis.ids import uuid7
from gateway.domain.feed import known_types
from gateway.domain.webhooks import Allowed, WebhookEnded, check_url
from gateway.models.webhooks import (
    Delivery,
    MadeWebhook,
    NewWebhook,
    Replaying,
    SecretRotation,
    ShownWebhook,
    Webhook,
    WebhookChange,
    WebhookId,
)
from gateway.queries import feed, webhooks
from gateway.queries.webhooks import Sealer, webhook_with
from gateway.routes.door import Asking

LAST = 2**62
FAILING = """Only those whose receiver takes nothing, which were stopped for it or have failed for a day and are still
tried, or only the others."""


class SecretRoute(TransactionalRoute):
    """Its responses show a secret, so none is kept for an Idempotency-Key."""

    keeps_responses = False


router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=TransactionalRoute)
showing = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=SecretRoute)


@showing.post("", status_code=status.HTTP_201_CREATED)
async def create_webhook(
    wanted: NewWebhook, session: Session, request: Request, response: Response, asking: Asking
) -> MadeWebhook:
    """Have a system called with what happens from now on. The secret is shown now and never again."""
    check_url(wanted.url, _allowed(request))
    if wanted.types is not None:
        known_types(wanted.types)
    sealed, secret = _sealer(request).new()
    reach = await feed.reach(await driver(session))
    row = Webhook(
        id=uuid7(),
        **wanted.model_dump(mode="json"),
        secret=sealed,
        position=reach.last_seq,
        created_at=now(),
        created_by=asking.key_id,
    )
    session.add(row)
    made(response, f"/v1/webhooks/webhook_{row.id.hex}", new=True)
    return _with_secret(row, secret, response)


@router.get("")
async def list_webhooks(
    session: Session,
    failing: Annotated[bool | None, Query(description=FAILING)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ShownWebhook]:
    """All webhooks without their secrets, the latest first."""
    [before] = decode_cursor(cursor, tuple[UUID]) if cursor else [None]
    at = now()
    rows = await webhooks.webhooks_before(session, before, at=at, failing=failing, limit=limit + 1)
    return page(rows, limit=limit, key=lambda row: (row.id,)).shown(lambda row: ShownWebhook.of(row, at))


@router.get("/{webhook_id}")
async def read_webhook(webhook_id: WebhookId, session: Session, response: Response) -> ShownWebhook:
    """A webhook without its secret: whether it delivers, and if not, why."""
    return _shown(await webhook_with(session, webhook_id), response)


@router.patch("/{webhook_id}")
async def change_webhook(
    webhook_id: WebhookId,
    change: WebhookChange,
    session: Session,
    request: Request,
    response: Response,
    if_match: IfMatch,
) -> ShownWebhook:
    """Change where a webhook goes or what it is told; what waits already goes to the new address."""
    row = await webhook_with(session, webhook_id, to_change=True)
    same_version(if_match, row.version)
    if change.url is not None:
        check_url(change.url, _allowed(request))
    if change.types is not None:
        known_types(change.types)
    if change.url is not None and change.url != row.url:
        # What the receiver before it did is nothing of this one's.
        row.failures, row.failing_since = 0, None
    for name, value in change.model_dump(mode="json", exclude_unset=True).items():
        setattr(row, name, value)
    row.version += 1
    return _shown(row, response)


@router.delete("/{webhook_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_webhook(webhook_id: WebhookId, session: Session, if_match: IfMatch) -> None:
    """Delete a webhook with all that waits for it."""
    row = await webhook_with(session, webhook_id, to_change=True)
    same_version(if_match, row.version)
    await session.delete(row)


@showing.post("/{webhook_id}/rotate")
async def rotate_webhook_secret(
    webhook_id: WebhookId, session: Session, request: Request, response: Response, how: SecretRotation | None = None
) -> MadeWebhook:
    """Give a webhook a new secret, shown now and never again. For a while messages are signed with both."""
    row = await webhook_with(session, webhook_id, to_change=True)
    sealed, secret = _sealer(request).new()
    row.previous_secret, row.previous_until = row.secret, now() + timedelta(seconds=(how or SecretRotation()).grace_s)
    row.secret = sealed
    row.version += 1
    return _with_secret(row, secret, response)


@router.post("/{webhook_id}/pause")
async def pause_webhook(webhook_id: WebhookId, session: Session, response: Response) -> ShownWebhook:
    """Deliver nothing until it is resumed; what comes waits for as long as the feed keeps it."""
    row = await webhook_with(session, webhook_id, to_change=True)
    if row.state == "active":
        row.state = "paused"
        row.version += 1
    return _shown(row, response)


@router.post("/{webhook_id}/resume")
async def resume_webhook(webhook_id: WebhookId, session: Session, response: Response) -> ShownWebhook:
    """Deliver again, all that waits at once, in its order."""
    row = await webhook_with(session, webhook_id, to_change=True)
    if row.state != "active":
        row.state, row.notice = "active", None
        row.failures, row.failing_since = 0, None
        row.version += 1
        await webhooks.due_now(await driver(session), row.id, now())
    return _shown(row, response)


@router.post("/{webhook_id}/test", status_code=status.HTTP_202_ACCEPTED)
async def test_webhook(webhook_id: WebhookId, session: Session, response: Response) -> ShownWebhook:
    """Send a message of the type `webhook.test`. How it fares stands in the deliveries."""
    row = await webhook_with(session, webhook_id)
    if row.state != "active":
        raise WebhookEnded(f"It is {row.state}; resume it first.")
    id = uuid7()
    body = {"sequence": 0, "id": f"event_{id.hex}", "type": "webhook.test", "recorded_at": now(), "data": {}}
    text = msgspec.json.encode(body).decode()
    await webhooks.add(await driver(session), row.id, 0, f"event_{id.hex}", "webhook.test", id, None, text, now())
    return _shown(row, response)


@router.post("/{webhook_id}/replay")
async def replay_webhook(
    webhook_id: WebhookId, wanted: Replaying, session: Session, response: Response
) -> ShownWebhook:
    """Tell again from a place or a time on, as far as the feed goes back. Messages have the ids that they had."""
    row = await webhook_with(session, webhook_id, to_change=True)
    connection = await driver(session)
    if wanted.since is not None:
        after = await webhooks.sequence_before(connection, wanted.since)
    else:
        assert wanted.after is not None
        after = wanted.after
    reach = await feed.reach(connection)
    row.position = min(max(after, reach.first_seq - 1), reach.last_seq)
    await webhooks.drop_waiting(connection, row.id, row.position)
    return _shown(row, response)


@router.get("/{webhook_id}/deliveries")
async def list_deliveries(
    webhook_id: WebhookId,
    session: Session,
    state: Annotated[Literal["waiting", "delivered"] | None, Query(description="Only those.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """The messages of a webhook, the latest first: answer, duration, attempts, and when it is tried next."""
    await webhook_with(session, webhook_id)
    [before] = decode_cursor(cursor, tuple[int]) if cursor else [LAST]
    connection = await driver(session)
    rows = await webhooks.deliveries_before(connection, webhook_id, min(before, LAST), state=state, limit=limit + 1)
    return page(rows, limit=limit, key=lambda row: (row.id,))


def _allowed(request: Request) -> Allowed:
    return Allowed.parse(request.app.state.settings.webhook_allow)


def _sealer(request: Request) -> Sealer:
    return Sealer(request.app.state.settings.internal_secret.get_secret_value())


def _shown(row: Webhook, response: Response) -> ShownWebhook:
    response.headers["ETag"] = etag(row.version)
    return ShownWebhook.of(row, now())


def _with_secret(row: Webhook, secret: str, response: Response) -> MadeWebhook:
    return MadeWebhook.model_validate({**_shown(row, response).model_dump(), "secret": secret})
