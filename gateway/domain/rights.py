"""Which service answers under a path, which role may ask it for what, and how far. All of it is tables.

A new operation needs a row only where its right is not that of its area; a new area needs one in `AREAS`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from chassis.auth import Reach
from chassis.paths import PathIndex
from contracts.problems import NotFound, Problem
from gateway.domain.roles import Powers, Role, powers

__all__ = [
    "AREAS",
    "OPERATIONS",
    "Area",
    "Grants",
    "Powers",
    "Role",
    "area_of",
    "changes",
    "is_open",
    "powers",
    "rights",
]


class PathNotFound(NotFound):
    """Nothing answers under this path."""


class UnreadableAddress(Problem):
    """Path or query are not text: they hold a NUL, or bytes that are not UTF-8."""


Grants = dict[Role, Reach]
"""Who may, and how far."""

ADMIN: Grants = {Role.OWNER: Reach.ALL, Role.ADMIN: Reach.ALL}
OPERATOR: Grants = ADMIN | {Role.OPERATOR: Reach.ALL}
INGEST: Grants = OPERATOR | {Role.INGEST: Reach.ALL}
"""Tells by itself: a till, a shop, a form."""
READER: Grants = OPERATOR | {Role.ANALYST: Reach.ALL, Role.READER: Reach.ALL}
"""Reads what is about everybody, or about nobody's party."""
STUDY: Grants = OPERATOR | {Role.ANALYST: Reach.ALL}
"""Tries and fits: what decides nothing yet."""
TRY: Grants = STUDY | {Role.MANAGER: Reach.ALL}
RULES: Grants = READER | {Role.MANAGER: Reach.ALL, Role.AGENT: Reach.ALL}
"""Reads rules, which are about no party."""
SEE: Grants = READER | {Role.MANAGER: Reach.TEAM, Role.AGENT: Reach.TEAM}
"""Reads parties and what is told of them."""
OVERSEE: Grants = READER | {Role.MANAGER: Reach.TEAM}
"""Likewise, but not who only looks after them: lists to take away, comparisons."""
RECORD: Grants = INGEST | {Role.MANAGER: Reach.TEAM, Role.AGENT: Reach.TEAM}
"""Says what happened with a party."""
AMEND: Grants = INGEST | {Role.MANAGER: Reach.TEAM, Role.AGENT: Reach.OWN}
"""Puts right, withdraws, moves on what was told."""
MANAGE: Grants = OPERATOR | {Role.MANAGER: Reach.TEAM}
"""Decides who looks after a party, and how it stands."""
ANYBODY: Grants = dict.fromkeys(Role, Reach.ALL)


@dataclass(frozen=True, slots=True)
class Area:
    """The paths under `/v1/{area}`: who answers there, and who may read, post, and change (PUT, PATCH, DELETE)."""

    service: str | None
    """None: the gateway itself."""
    read: Grants
    post: Grants
    change: Grants = field(default_factory=lambda: OPERATOR)


AREAS: Mapping[str, Area] = {
    "parties": Area("customers", SEE, RECORD),
    "purchases": Area("customers", SEE, RECORD),
    "returns": Area("customers", SEE, RECORD),
    "imports": Area("customers", READER | INGEST, INGEST),
    "merges": Area("customers", SEE, OPERATOR),
    "interactions": Area("customers", SEE, RECORD),
    "problems": Area("customers", SEE, RECORD),
    "observations": Area("customers", SEE, AMEND),
    "duplicates": Area("customers", OVERSEE, OPERATOR),
    "identifiers": Area("customers", READER, OPERATOR),
    "owners": Area("customers", READER, OPERATOR),
    "leads": Area("leads", SEE, AMEND, AMEND),
    "members": Area("community", READER, INGEST),
    "posts": Area("community", READER, INGEST),
    "groups": Area("community", READER, INGEST),
    "referrals": Area("community", READER, INGEST),
    "standings": Area("scoring", SEE, MANAGE),
    "overrides": Area("scoring", SEE, MANAGE),
    "at-risk": Area("scoring", SEE, OPERATOR),
    "losses": Area("scoring", SEE, OPERATOR),
    "win-back": Area("scoring", READER, STUDY),
    "digest": Area("scoring", READER, OPERATOR),
    "reports": Area("scoring", READER, READER),
    "tiers": Area("scoring", RULES, OPERATOR),
    "rates": Area("scoring", RULES, OPERATOR),
    "policies": Area("scoring", RULES, OPERATOR),
    "activations": Area("scoring", RULES, OPERATOR),
    "models": Area("scoring", RULES, OPERATOR),
    "fits": Area("scoring", READER, STUDY, STUDY),
    "trials": Area("scoring", READER | TRY, STUDY, STUDY),
    "verify": Area("scoring", OPERATOR, OPERATOR),
    "rebuild": Area("scoring", OPERATOR, OPERATOR),
    "stream": Area(None, SEE, OPERATOR),
    "webhooks": Area(None, OPERATOR, OPERATOR),
    "lag": Area(None, OPERATOR, OPERATOR),
    "topics": Area(None, OPERATOR, OPERATOR),
    "gaps": Area(None, OPERATOR, OPERATOR),
    "dead-letters": Area(None, OPERATOR, OPERATOR),
    "consumers": Area(None, OPERATOR, OPERATOR),
    "replays": Area(None, OPERATOR, OPERATOR),
    "drain": Area(None, OPERATOR, OPERATOR),
    "status": Area(None, OPERATOR, OPERATOR),
    "keys": Area(None, ADMIN, ADMIN, ADMIN),
    "audit": Area(None, ADMIN, ADMIN, ADMIN),
    "views": Area(None, RULES, RULES, RULES),
    "me": Area(None, ANYBODY, ANYBODY, ANYBODY),
    "sessions": Area(None, ANYBODY, ANYBODY, ANYBODY),
    "users": Area(None, ANYBODY, ADMIN, ADMIN),
    "teams": Area(None, ANYBODY, ADMIN, ADMIN),
    "invitations": Area(None, ADMIN, ADMIN, ADMIN),
}

OPERATIONS: Mapping[tuple[str, str], Grants] = {
    ("POST", "/v1/parties/{party_id}/identifiers"): AMEND,
    ("PUT", "/v1/parties/{party_id}/name"): AMEND,
    ("POST", "/v1/parties/{party_id}/identifiers/{identity_id}/correct"): OPERATOR,
    ("POST", "/v1/parties/{party_id}/identifiers/{identity_id}/hand-over"): OPERATOR,
    ("POST", "/v1/parties/{party_id}/identifiers/{identity_id}/release"): OPERATOR,
    ("POST", "/v1/parties/{party_id}/merge"): OPERATOR,
    ("POST", "/v1/parties/{party_id}/merge-preview"): OVERSEE,
    ("POST", "/v1/parties/{party_id}/unmerge"): OPERATOR,
    ("POST", "/v1/parties/{party_id}/unmerge-preview"): OVERSEE,
    ("PUT", "/v1/parties/{party_id}/owner"): MANAGE,
    ("POST", "/v1/purchases/bulk"): INGEST,
    ("POST", "/v1/purchases/{purchase_id}/correct"): AMEND,
    ("POST", "/v1/purchases/{purchase_id}/withdraw"): AMEND,
    ("POST", "/v1/returns/bulk"): INGEST,
    ("POST", "/v1/returns/{return_id}/correct"): AMEND,
    ("POST", "/v1/returns/{return_id}/withdraw"): AMEND,
    ("POST", "/v1/interactions/bulk"): INGEST,
    ("POST", "/v1/interactions/{interaction_id}/correct"): AMEND,
    ("POST", "/v1/interactions/{interaction_id}/withdraw"): AMEND,
    ("POST", "/v1/problems/{problem_id}/reopen"): AMEND,
    ("POST", "/v1/problems/{problem_id}/solve"): AMEND,
    ("POST", "/v1/problems/{problem_id}/withdraw"): AMEND,
    ("GET", "/v1/imports/{import_id}/rejects"): INGEST | {Role.READER: Reach.ALL},
    ("GET", "/v1/duplicates/rules"): RULES,
    ("POST", "/v1/leads"): RECORD,
    ("POST", "/v1/leads/bulk"): INGEST,
    ("POST", "/v1/leads/{lead_id}/assign"): MANAGE,
    ("GET", "/v1/leads/moves"): RULES,
    ("GET", "/v1/leads/rubric"): RULES,
    ("PUT", "/v1/leads/rubric"): OPERATOR,
    ("GET", "/v1/leads/rubrics"): RULES,
    ("GET", "/v1/leads/rubrics/{content_hash}"): RULES,
    ("PATCH", "/v1/members/{member_id}"): INGEST,
    ("PATCH", "/v1/groups/{group_id}"): INGEST,
    ("PATCH", "/v1/posts/{post_id}"): INGEST,
    ("GET", "/v1/standings/export"): OVERSEE,
    ("POST", "/v1/standings/{party_id}/merge-preview"): OVERSEE,
    ("POST", "/v1/standings/{party_id}/verify"): OVERSEE,
    ("GET", "/v1/reports/flows"): SEE,
    ("GET", "/v1/reports/flows/moves"): SEE,
    ("GET", "/v1/reports/patterns/{party_id}"): SEE,
    ("POST", "/v1/reports/surprises"): OVERSEE,
    ("GET", "/v1/reports/zoom"): SEE,
    ("POST", "/v1/policies"): TRY,
    ("GET", "/v1/policies/{policy_hash}/elsewhere"): OVERSEE,
    ("POST", "/v1/policies/{policy_hash}/approve"): ADMIN,
    ("POST", "/v1/policies/{policy_hash}/trials"): TRY,
    ("POST", "/v1/models"): STUDY,
    ("DELETE", "/v1/trials/{trial_id}"): STUDY | {Role.MANAGER: Reach.OWN},
    ("GET", "/v1/trials/{trial_id}/moves"): OVERSEE,
}
"""Operations whose right is not that of their area, by method and path.

Who tells something may correct and withdraw it, whatever the method. Who is who, and who looks after whom, is for an
operator to decide, whatever the service, and within a team for its manager. What changes nothing is a reading.
"""

OPEN = frozenset(
    {
        ("POST", "/v1/sessions"),
        ("POST", "/v1/sessions/second-step"),
        ("GET", "/v1/sessions/oidc"),
        ("POST", "/v1/sessions/oidc"),
        ("POST", "/v1/invitations/read"),
        ("POST", "/v1/invitations/accept"),
    }
)
"""Operations for which nobody has to be anybody: they are how one becomes somebody."""

PATIENT = re.compile(
    r"/v1/(?:imports(?:/|$)|win-back(?:/|$)|reports/|digest|verify|rebuild|tiers|standings/(?:export|summary)$)"
    r"|.*/(?:verify|rejects|bulk)$"
)
"""Paths whose work grows with the data: they get the long timeout."""


_READS = {"HEAD": "GET", "OPTIONS": "GET"}
"""Methods that are as another one."""


_NOWHERE = frozenset({"", ".", ".."})


def area_of(path: str) -> Area | None:
    """The area of a path, or None where nothing public is: also for a path that could mean another one."""
    version, _, rest = path.removeprefix("/").partition("/")
    # A service takes a path for the same one with a line feed behind it.
    if version != "v1" or not path.isprintable() or "\\" in rest or not _NOWHERE.isdisjoint(parts := rest.split("/")):
        return None
    return AREAS.get(parts[0])


@lru_cache(16)
def _named(method: str) -> PathIndex[Grants]:
    return PathIndex((path, grants) for (known, path), grants in OPERATIONS.items() if known == method)


def rights(method: str, path: str, area: Area) -> Grants:
    """The roles that may use a method of a path, which lies in the area, and how far."""
    if is_open(method, path):
        return ANYBODY
    if named := _named(_READS.get(method, method)).fitting(path):
        return named[0]
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
