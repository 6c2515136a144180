"""Views of lists over HTTP: each person sees their own alone."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from chassis.http import Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, made, page
from gateway.domain.views import ViewNotFound
from gateway.models.views import ListName, NewView, View, ViewId
from gateway.queries.views import forget_view, keep_view, views_of
from gateway.routes.door import Asking

router = APIRouter(prefix="/v1/views", tags=["views"], route_class=TransactionalRoute)


@router.get("")
async def list_views(
    session: Session,
    asking: Asking,
    of: Annotated[ListName | None, Query(alias="list")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[View]:
    """What whoever asks keeps: what lists are asked for, each under a name."""
    [after] = decode_cursor(cursor, tuple[UUID]) if cursor else [UUID(int=0)]
    found = page(
        await views_of(session, asking.key_id, of, after, limit=limit + 1), limit=limit, key=lambda row: [row.id]
    )
    return found.shown(View.model_validate)


@router.post(
    "", status_code=status.HTTP_201_CREATED, responses={200: {"model": View, "description": "It was there before"}}
)
async def keep_list_view(wanted: NewView, session: Session, asking: Asking, response: Response) -> View:
    """Keep what a list is asked for under a name. The same name again means this from now on (200)."""
    row, new = await keep_view(session, asking.key_id, wanted)
    made(response, f"/v1/views/view_{row.id.hex}", new=new)
    return View.model_validate(row)


@router.delete("/{view_id}", status_code=status.HTTP_204_NO_CONTENT)
async def forget_list_view(view_id: ViewId, session: Session, asking: Asking) -> None:
    """Keep a view no more. Raises a problem where whoever asks has none with this id."""
    if not await forget_view(session, asking.key_id, view_id):
        raise ViewNotFound("You keep no view with this id.")
