"""The roles of people and keys, and what each amounts to."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from chassis.auth import Reach


class Role(StrEnum):
    """What a person or a key may do."""

    OWNER = "owner"
    """Everything; alone makes and unmakes owners. People only."""
    ADMIN = "admin"
    """Everything but owners: keys, users and teams, and what policy may decide."""
    OPERATOR = "operator"
    """Runs the product: all but keys and users; who is who, who looks after whom, and by which rules."""
    MANAGER = "manager"
    """Leads a team: reads, records, assigns and overrides for the parties of the team."""
    AGENT = "agent"
    """Looks after parties: reads those of the team, changes the own ones. People only."""
    ANALYST = "analyst"
    """Reads every figure, reports, tries and fits; sees no contact data."""
    INGEST = "ingest"
    """Tell what happened, correct and withdraw it, in any service and by imports; read how its imports fare."""
    READER = "reader"
    """Read what is known, preview and verify; change nothing."""


IMPLIES: Mapping[Role, frozenset[Role]] = {
    Role.OWNER: frozenset(Role),
    Role.ADMIN: frozenset(Role) - {Role.OWNER},
    Role.OPERATOR: frozenset(Role) - {Role.OWNER, Role.ADMIN},
    Role.MANAGER: frozenset({Role.MANAGER, Role.AGENT}),
    Role.AGENT: frozenset({Role.AGENT}),
    Role.ANALYST: frozenset({Role.ANALYST}),
    Role.INGEST: frozenset({Role.INGEST}),
    Role.READER: frozenset({Role.READER}),
}
"""The scopes that services see for a role."""

REACH: Mapping[Role, Reach] = {Role.MANAGER: Reach.TEAM, Role.AGENT: Reach.TEAM}
"""How far a role reads, where it is not everything."""

NO_CONTACT = frozenset({Role.ANALYST})
"""Roles from which contact data is hidden."""


@dataclass(frozen=True, slots=True)
class Powers:
    """What roles amount to: the scopes that services see, how far they read, and whether contact data is shown."""

    scopes: frozenset[str]
    reach: Reach
    contact: bool


@lru_cache(1_024)
def powers(roles: frozenset[str]) -> Powers:
    """What all of these roles amount to together: as far as the widest of them, and no role nothing.

    Contact data is shown where a role that reaches as far shows it: nobody sees more of a party by one role more than
    the roles say that reach it.
    """
    reach, contact = widest({Role(role): REACH.get(Role(role), Reach.ALL) for role in roles})
    return Powers(frozenset(str(scope) for role in roles for scope in IMPLIES[Role(role)]), reach, contact)


def widest(granted: Mapping[Role, Reach]) -> tuple[Reach, bool]:
    """How far roles reach together, and whether one that reaches as far shows contact data."""
    reach = max(granted.values(), default=Reach.OWN)
    return reach, any(role not in NO_CONTACT for role, far in granted.items() if far is reach)
