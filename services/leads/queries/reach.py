"""How far whoever asks reaches: to the leads that are assigned to it or its team."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.auth import OutOfReach, limited
from chassis.conditions import Conditions
from services.leads.domain.leads import LeadNotFound


def check_reach(session: AsyncSession, owner_id: UUID | None, team_id: UUID | None) -> None:
    """Raise where the caller does not reach a lead with this owner and team: `LeadNotFound`, or `OutOfReach` for a
    change."""
    asking = limited(session)
    if asking is None:
        return
    owner, team = asking.caller.care
    if (owner is not None and owner == owner_id) or (team is not None and team == team_id):
        return
    if asking.reads:
        raise LeadNotFound("There is no such lead.")
    raise OutOfReach(asking.caller.reach)


def narrow_to_reach(session: AsyncSession, conditions: Conditions) -> None:
    """Ask only for leads that the caller reaches, in SQL over `lead`."""
    if asking := limited(session):
        owner, team = asking.caller.care
        conditions.either(**{"lead.owner_id": owner, "lead.team_id": team})


def check_team(session: AsyncSession, team_id: UUID | None) -> None:
    """Raise `OutOfReach` where whoever reaches only a team would give a lead away from it."""
    asking = limited(session)
    if asking is not None and team_id != asking.caller.team_id:
        raise OutOfReach(asking.caller.reach)


def assigned(session: AsyncSession, owner_id: UUID | None, team_id: UUID | None) -> tuple[UUID | None, UUID | None]:
    """Whose a lead will be that a caller tells of: its own, where nobody is named and it reaches no other.

    Raises `OutOfReach` where it would give the lead to another team than its own.
    """
    asking = limited(session)
    if asking is None:
        return owner_id, team_id
    caller = asking.caller
    if team_id not in (None, caller.team_id) or (owner_id not in (None, caller.user_id) and caller.team_id is None):
        raise OutOfReach(caller.reach)
    return owner_id or caller.user_id, caller.team_id
