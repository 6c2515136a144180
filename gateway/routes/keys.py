"""API keys over HTTP, for admins."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request, status

from chassis.clock import now
from chassis.http import Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from gateway.models import Key, KeyId, MadeKey, NewKey
from gateway.queries.keys import key_to_revoke, keys_after, make_key


class SecretRoute(TransactionalRoute):
    """Its responses show a secret, so none is kept for an Idempotency-Key."""

    keeps_responses = False


router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=SecretRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_key(wanted: NewKey, session: Session) -> MadeKey:
    """Make an API key. Its secret is shown now and never again."""
    row, secret = make_key(session, wanted.name, wanted.scopes)
    return MadeKey.model_validate({**row.model_dump(), "secret": secret})


@router.get("")
async def list_keys(session: Session, limit: Limit = 100, cursor: Cursor = None) -> Page[Key]:
    """All keys, also revoked ones, without their secrets."""
    after = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
    rows = await keys_after(session, after, limit)
    return page([Key.model_validate(row) for row in rows], limit=limit, key=lambda key: (key.id,))


@router.post("/{key_id}/revoke")
async def revoke_key(key_id: KeyId, session: Session, request: Request) -> Key:
    """Have a key work no more. Twice is once."""
    row = await key_to_revoke(session, key_id)
    row.revoked_at = _first(row.revoked_at, now())
    request.app.state.keyring.forget()
    return Key.model_validate(row)


def _first(before: datetime | None, present: datetime) -> datetime:
    return before or present
