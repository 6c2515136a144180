"""Teams: their names for everybody, changes by who administers people."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from chassis.acts import administrative
from chassis.clock import now
from chassis.fields import TeamId
from chassis.http import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Session,
    TransactionalRoute,
    check_seen,
    decode_cursor,
    etag,
    made,
    page,
)
from chassis.ids import uuid7
from gateway.models.users import NewTeam, Team, TeamChange, TeamShown, team_text
from gateway.queries import users
from gateway.routes.door import Asking

router = APIRouter(prefix="/v1/teams", tags=["users"], route_class=TransactionalRoute)

Ids = Annotated[list[TeamId] | None, Query(max_length=200)]
PartOfName = Annotated[str | None, Query(min_length=1, max_length=100)]


@router.get("")
async def list_teams(
    session: Session, ids: Ids = None, q: PartOfName = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[TeamShown]:
    """Teams by name: those with some ids, with a part of a name (`q`), or all."""
    after = decode_cursor(cursor, tuple[str, UUID]) if cursor else None
    rows = await users.teams_by_name(session, after, ids=ids, text=q, limit=limit + 1)
    found = page(rows, limit=limit, key=lambda row: (row.name, row.id))
    people = await users.members(session, [row.id for row in found.data])
    return found.shown(lambda row: TeamShown(**row.model_dump(), members=people.get(row.id, 0)))


@router.get("/{team_id}")
async def read_team(team_id: TeamId, session: Session, response: Response) -> TeamShown:
    """A team."""
    return await _shown(session, await users.team_with(session, team_id), response)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_team(wanted: NewTeam, session: Session, response: Response, asking: Asking) -> TeamShown:
    """Make a team. No two have the same name."""
    row = Team(id=uuid7(), name=wanted.name, created_at=now())
    await users.named_once(session, row)
    administrative("team made", asking.key_id, team=team_text(row.id))
    made(response, f"/v1/teams/{team_text(row.id)}", new=True)
    return await _shown(session, row, response)


@router.patch("/{team_id}")
async def rename_team(
    team_id: TeamId, change: TeamChange, session: Session, response: Response, asking: Asking, seen: IfMatch
) -> TeamShown:
    """Give a team another name. The same again changes nothing."""
    row = await users.team_with(session, team_id, to_change=True)
    check_seen(row.version, seen, change.version)
    if row.name != change.name:
        row.name = change.name
        row.version += 1
        await users.named_once(session, row)
        administrative("team renamed", asking.key_id, team=team_text(row.id))
    return await _shown(session, row, response)


@router.delete("/{team_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_team(team_id: TeamId, session: Session, asking: Asking, seen: IfMatch) -> Response:
    """Remove a team in which nobody is. Parties that it owns keep its id until another one owns them."""
    row = await users.team_with(session, team_id, to_change=True)
    check_seen(row.version, seen, None)
    await users.remove_team(session, row)
    administrative("team removed", asking.key_id, team=team_text(team_id))
    return Response(status_code=status.HTTP_204_NO_CONTENT)


async def _shown(session: Session, row: Team, response: Response) -> TeamShown:
    people = await users.members(session, [row.id])
    response.headers["ETag"] = etag(row.version)
    return TeamShown(**row.model_dump(), members=people.get(row.id, 0))
