"""Which service answers under a path, and which role may ask it for what. All of it is tables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from chassis.auth import Reach
from chassis.paths import fits
from contracts.problems import NotFound, Problem


class PathNotFound(NotFound):
    """Nothing answers under this path."""


class UnreadableAddress(Problem):
    """Path or query are not text: they hold a NUL, or bytes that are not UTF-8."""


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

ADMIN = frozenset({Role.OWNER, Role.ADMIN})
OPERATOR = ADMIN | {Role.OPERATOR}
INGEST = OPERATOR | {Role.INGEST}
READER = OPERATOR | {Role.READER}
ANYBODY = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Powers:
    """What roles amount to: the scopes that services see, how far they read, and whether contact data is shown."""

    scopes: frozenset[str]
    reach: Reach
    contact: bool


@lru_cache(1_024)
def powers(roles: frozenset[str]) -> Powers:
    """What all of these roles amount to together: each right as wide as the widest of them. None: nothing."""
    known = [Role(role) for role in roles]
    return Powers(
        frozenset(str(scope) for role in known for scope in IMPLIES[role]),
        max((REACH.get(role, Reach.ALL) for role in known), default=Reach.OWN),
        any(role not in NO_CONTACT for role in known),
    )


@dataclass(frozen=True, slots=True)
class Area:
    """The paths under `/v1/{area}`: who answers there, and who may read, post, and change (PUT, PATCH, DELETE)."""

    service: str | None
    """None: the gateway itself."""
    read: frozenset[Role]
    post: frozenset[Role]
    change: frozenset[Role] = OPERATOR


AREAS: Mapping[str, Area] = {
    "parties": Area("customers", READER, INGEST),
    "purchases": Area("customers", READER, INGEST),
    "returns": Area("customers", READER, INGEST),
    "imports": Area("customers", READER | INGEST, INGEST),
    "merges": Area("customers", READER, OPERATOR),
    "interactions": Area("customers", READER, INGEST),
    "problems": Area("customers", READER, INGEST),
    "observations": Area("customers", READER, INGEST),
    "duplicates": Area("customers", READER, OPERATOR),
    "identifiers": Area("customers", READER, OPERATOR),
    "owners": Area("customers", READER, OPERATOR),
    "leads": Area("leads", READER, INGEST),
    "members": Area("community", READER, INGEST),
    "posts": Area("community", READER, INGEST),
    "groups": Area("community", READER, INGEST),
    "referrals": Area("community", READER, INGEST),
    "standings": Area("scoring", READER, OPERATOR),
    "overrides": Area("scoring", READER, OPERATOR),
    "at-risk": Area("scoring", READER, OPERATOR),
    "losses": Area("scoring", READER, OPERATOR),
    "digest": Area("scoring", READER, OPERATOR),
    "reports": Area("scoring", READER, READER),
    "tiers": Area("scoring", READER, OPERATOR),
    "rates": Area("scoring", READER, OPERATOR),
    "policies": Area("scoring", READER, OPERATOR),
    "activations": Area("scoring", READER, OPERATOR),
    "models": Area("scoring", READER, OPERATOR),
    "fits": Area("scoring", READER, OPERATOR),
    "trials": Area("scoring", READER, OPERATOR),
    "verify": Area("scoring", OPERATOR, OPERATOR),
    "rebuild": Area("scoring", OPERATOR, OPERATOR),
    "lag": Area(None, OPERATOR, OPERATOR),
    "topics": Area(None, OPERATOR, OPERATOR),
    "gaps": Area(None, OPERATOR, OPERATOR),
    "dead-letters": Area(None, OPERATOR, OPERATOR),
    "consumers": Area(None, OPERATOR, OPERATOR),
    "replays": Area(None, OPERATOR, OPERATOR),
    "drain": Area(None, OPERATOR, OPERATOR),
    "status": Area(None, OPERATOR, OPERATOR),
    "keys": Area(None, ADMIN, ADMIN, ADMIN),
    "views": Area(None, READER, READER, READER),
    "me": Area(None, ANYBODY, ANYBODY, ANYBODY),
    "sessions": Area(None, ANYBODY, ANYBODY, ANYBODY),
    "users": Area(None, ANYBODY, ADMIN, ADMIN),
    "teams": Area(None, ANYBODY, ADMIN, ADMIN),
    "invitations": Area(None, ADMIN, ADMIN, ADMIN),
}

OPERATIONS: Mapping[tuple[str, str], frozenset[Role]] = {
    ("PUT", "/v1/parties/{party_id}/name"): INGEST,
    ("POST", "/v1/parties/{party_id}/merge"): OPERATOR,
    ("POST", "/v1/parties/{party_id}/unmerge"): OPERATOR,
    ("POST", "/v1/parties/{party_id}/merge-preview"): READER,
    ("POST", "/v1/parties/{party_id}/unmerge-preview"): READER,
    ("POST", "/v1/parties/{party_id}/identifiers/{identity_id}/correct"): OPERATOR,
    ("POST", "/v1/parties/{party_id}/identifiers/{identity_id}/hand-over"): OPERATOR,
    ("POST", "/v1/parties/{party_id}/identifiers/{identity_id}/release"): OPERATOR,
    ("POST", "/v1/leads/{lead_id}/assign"): OPERATOR,
    ("PATCH", "/v1/leads/{lead_id}"): INGEST,
    ("PATCH", "/v1/members/{member_id}"): INGEST,
    ("PATCH", "/v1/groups/{group_id}"): INGEST,
    ("PATCH", "/v1/posts/{post_id}"): INGEST,
    ("POST", "/v1/standings/{party_id}/verify"): READER,
    ("POST", "/v1/policies/{policy_hash}/approve"): ADMIN,
}
"""Operations whose right is not that of their area, by method and path.

Who tells something may correct and withdraw it, whatever the method. Who is who, and who looks after whom, is for an
operator to decide, whatever the service. What changes nothing is a reading.
"""

OPEN = frozenset(
    {
        ("POST", "/v1/sessions"),
        ("POST", "/v1/invitations/read"),
        ("POST", "/v1/invitations/accept"),
    }
)
"""Operations for which nobody has to be anybody: they are how one becomes somebody."""

PATIENT = re.compile(
    r"/v1/(?:imports(?:/|$)|reports/|digest|verify|rebuild|tiers|standings/(?:export|summary)$)|.*/(?:verify|rejects|bulk)$"
)
"""Paths whose work grows with the data: they get the long timeout."""


def area_of(path: str) -> Area | None:
    """The area of a path, or None where nothing public is: also for a path that could mean another one."""
    version, _, rest = path.removeprefix("/").partition("/")
    parts = rest.split("/")
    # A service takes a path for the same one with a line feed behind it.
    if version != "v1" or not path.isprintable() or any(part in ("", ".", "..") or "\\" in part for part in parts):
        return None
    return AREAS.get(parts[0])


def rights(method: str, path: str, area: Area) -> frozenset[Role]:
    """The roles that may use a method of a path, which lies in the area."""
    if is_open(method, path):
        return ANYBODY
    for (known, pattern), roles in OPERATIONS.items():
        if known == method and fits(pattern, path):
            return roles
    match method:
        case "GET" | "HEAD" | "OPTIONS":
            return area.read
        case "POST":
            return area.post
        case _:
            return area.change


def is_open(method: str, path: str) -> bool:
    """Whether anybody may use a method of a path, who they are or not."""
    return (method, path) in OPEN


def changes(method: str, path: str, area: Area) -> bool:
    """Whether a request may change something: it is not for whoever may only read."""
    return method not in ("GET", "HEAD", "OPTIONS") and Role.READER not in rights(method, path, area)
