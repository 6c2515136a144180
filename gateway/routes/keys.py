"""API keys over HTTP, for admins."""

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request, Response, status

from chassis.clock import now
from chassis.http import Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, made, page
from gateway.domain.keys import check_expiry, check_roles
from gateway.domain.rates import Rate, Rates
from gateway.models.keys import ApiKey, Key, KeyChange, KeyId, KeyLimit, MadeKey, NewKey, Rotation, key_text
from gateway.queries.keys import key_to_change, key_to_end, key_with, keys_before, make_key, rotate
from gateway.routes.door import Asking


class SecretRoute(TransactionalRoute):
    """Its responses show a secret, so none is kept for an Idempotency-Key."""

    keeps_responses = False


router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=SecretRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_key(wanted: NewKey, session: Session, request: Request, response: Response, asking: Asking) -> MadeKey:
    """Make an API key. Its secret is shown now and never again.

    Asked twice, two keys are made, whatever the `Idempotency-Key`: no secret is kept to be shown again. Revoke the one
    whose answer was lost.
    """
    check_expiry(wanted.expires_at, now())
    check_roles(wanted.scopes)
    row, secret = make_key(
        session, wanted.name, wanted.scopes, expires_at=wanted.expires_at, rate=_columns(wanted.limit)
    )
    made(response, f"/v1/keys/{key_text(row.id)}", new=True)
    return _with_secret(request, row, asking.key_id, secret)


@router.get("")
async def list_keys(
    session: Session, request: Request, asking: Asking, limit: Limit = 50, cursor: Cursor = None
) -> Page[Key]:
    """All keys, also those that have ended, without their secrets, the latest first."""
    [before] = decode_cursor(cursor, tuple[UUID]) if cursor else [None]
    found = page(await keys_before(session, before, limit=limit + 1), limit=limit, key=lambda row: (row.id,))
    return found.shown(lambda row: Key.shown(row, _rate(request, row), asking=asking.key_id))


@router.get("/{key_id}")
async def read_key(key_id: KeyId, session: Session, request: Request, asking: Asking) -> Key:
    """A key without its secret."""
    row = await key_with(session, key_id)
    return Key.shown(row, _rate(request, row), asking=asking.key_id)


@router.patch("/{key_id}")
async def change_key(key_id: KeyId, change: KeyChange, session: Session, request: Request, asking: Asking) -> Key:
    """Give a key another name, expiry or limit; what is left out stays. The same again changes nothing."""
    check_expiry(change.expires_at, now())
    if change.expires_at is not None:
        await key_to_end(session, key_id)
    row = await key_to_change(session, key_id)
    if change.name is not None:
        row.name = change.name
    if "expires_at" in change.model_fields_set:
        row.expires_at = change.expires_at
    if "limit" in change.model_fields_set:
        row.rate_per_s, row.rate_burst = _columns(change.limit) or (None, None)
    return Key.shown(row, _rate(request, row), asking=asking.key_id)


@router.post("/{key_id}/rotate")
async def rotate_key(
    key_id: KeyId, session: Session, request: Request, asking: Asking, how: Rotation | None = None
) -> MadeKey:
    """Give a key a new secret, shown now and never again. The old one ends at once, or after `grace_s`.

    Asked twice, it is rotated twice, and only the secret before the last one has its grace.
    """
    row = await key_to_change(session, key_id)
    secret = rotate(row, timedelta(seconds=(how or Rotation()).grace_s))
    return _with_secret(request, row, asking.key_id, secret)


@router.post("/{key_id}/revoke")
async def revoke_key(key_id: KeyId, session: Session, request: Request, asking: Asking) -> Key:
    """Have a key work no more, at once and everywhere. Twice is once."""
    row = await key_to_end(session, key_id)
    row.revoked_at = row.revoked_at or now()
    return Key.shown(row, _rate(request, row), asking=asking.key_id)


def _columns(limit: KeyLimit | None) -> tuple[int, int] | None:
    return None if limit is None else (limit.per_s, limit.burst)


def _rate(request: Request, row: ApiKey) -> Rate:
    rates: Rates = request.app.state.rates
    return rates.of(row.rate(), frozenset(row.scopes))


def _with_secret(request: Request, row: ApiKey, asking: str, secret: str) -> MadeKey:
    shown = Key.shown(row, _rate(request, row), asking=asking)
    return MadeKey.model_validate({**shown.model_dump(), "secret": secret})
