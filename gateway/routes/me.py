"""Whoever is asking, over HTTP."""

from fastapi import APIRouter, Request

from gateway.models.me import Me
from gateway.routes.door import Asking, known

router = APIRouter(prefix="/v1/me", tags=["me"])


@router.get("")
async def read_me(request: Request, asking: Asking) -> Me:
    """Whose credential this is, and what may be done with it."""
    holder = await known(request)
    return Me(id=asking.key_id, name=holder.row.name, scopes=sorted(asking.scopes))
