"""Tokens of an outside issuer: what must be in them, and what their claims say (RFC 7519, RFC 7517, OpenID Connect)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.ids import prefixed
from contracts.problems import Conflict, NotFound, Problem, Unavailable
from gateway.domain.rights import Role

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""What an issuer may sign with. Neither `none`, nor anything with a shared secret."""
LEEWAY_S = 60
"""So far clocks may be apart."""
FRESH_S = 3_600.0
"""Seconds after which keys are fetched again."""
KEPT_S = 86_400.0
"""Seconds for which the last good keys are believed while the issuer is away."""
ASKED_EVERY_S = 30.0
"""Seconds between two fetches at least, whatever unknown keys tokens name and however often the issuer fails."""
LOOKED_EVERY_S = 1.0
"""Seconds between two looks at what another process has fetched."""
LARGEST = 16_384
"""Bytes of a token."""

_SPELLING = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class OidcNotConfigured(NotFound):
    """Nobody signs in elsewhere here."""


class OidcRefused(Problem):
    """The provider did not say who it is, or what it said does not hold."""

    status = 401


class OidcUnknownPerson(Problem):
    """The provider knows the person, and Shuke does not let them in."""

    status = 403


class OidcAddressTaken(Conflict):
    """Somebody here has the address, and the provider does not vouch for it."""


class IssuerAway(Unavailable):
    """The outside issuer does not answer, and its keys are not known."""


def looks_like_token(text: str) -> bool:
    """Whether a text has the form of a signed token (RFC 7515 §3.1)."""
    return len(text) <= LARGEST and _SPELLING.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Claims:
    """Where an issuer says what somebody may do, and in which team they are."""

    roles: str | None
    """A claim, or a path to it with dots: `realm_access.roles`. None: it does not say."""
    mapping: Mapping[str, Role]
    """Its words for roles; a role's own name needs none."""
    team: str | None
    """The same for the team: a `team_…`, or the name of one."""

    def roles_in(self, claims: Mapping[str, Any]) -> frozenset[Role] | None:
        """The roles of whoever the claims are about; None where the issuer does not say any."""
        if self.roles is None:
            return None
        own = {str(role): role for role in Role}
        return frozenset(
            role for word in _words(_at(claims, self.roles)) if (role := self.mapping.get(word, own.get(word)))
        )

    def team_in(self, claims: Mapping[str, Any]) -> UUID | str | None:
        """The id or the name of the team."""
        if self.team is None:
            return None
        word = next(iter(_words(_at(claims, self.team))), None)
        return prefixed("team").parse(word) if word and re.fullmatch(r"team_[0-9a-f]{32}", word) else word


def _at(claims: Mapping[str, Any], path: str) -> Any:
    # A claim may have a dot in its own name, as those that are URLs do.
    if path in claims:
        return claims[path]
    found: Any = claims
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _words(found: Any) -> Sequence[str]:
    if isinstance(found, str):
        return found.split()
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
