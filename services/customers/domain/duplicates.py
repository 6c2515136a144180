"""Who may be one and the same: what pairs of identifiers seen together amount to, and what merely looks alike."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from contracts.customers import Holding
from contracts.identity import ROLE_ADDRESSES, Given, Scheme
from contracts.problems import Conflict, NotFound
from contracts.versions import Version
from services.customers.domain.assignments import edge, holder

Edge = tuple[UUID, UUID]
"""Two parties as named, the smaller id first."""

Pair = tuple[UUID, UUID]
"""Two identities, the smaller id first."""


class CandidateNotFound(NotFound):
    """No possible duplicate has this id; it may be gone with its evidence."""


class AlreadyDecided(Conflict):
    """A possible duplicate was accepted or dismissed before, and is not decided the other way here."""


def _local_parts(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({part.strip().lower() for part in given} - {""}))


def _schemes(given: tuple[Scheme, ...]) -> tuple[Scheme, ...]:
    return tuple(sorted(set(given)))


class Rules(Version):
    """What makes two parties one without a person, and what does not."""

    strong: Annotated[tuple[Scheme, ...], Field(max_length=3), AfterValidator(_schemes)] = (
        Scheme.EMAIL,
        Scheme.EXTERNAL,
        Scheme.PHONE,
    )
    """Schemes whose identifiers are one party's alone; an external id is so only in what its own system tells."""
    most_claims: Annotated[int, Field(ge=1, le=100)] = 3
    """An identifier seen together with more different identifiers of one kind than this is shared by several people.

    What looks like more others than this looks like none of them.
    """
    role_addresses: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^@\x00-\x1f\x7f]+$")], ...],
        Field(max_length=500),
        AfterValidator(_local_parts),
    ] = tuple(sorted(ROLE_ADDRESSES))
    """What stands before the @ of addresses that belong to a role and not to a person."""


class EvidenceKind(StrEnum):
    """Why two parties may be one."""

    SEEN_TOGETHER = "seen_together"
    """Identifiers of both came together: in a party, a lead or a row of a file."""
    EMAIL_SPELLING = "email_spelling"
    """E-mail addresses that differ in dots or in what follows a plus sign."""
    EMAIL_CONFUSABLE = "email_confusable"
    """E-mail addresses that a person can hardly tell apart."""
    EXTERNAL_VALUE = "external_value"
    """The same id in two systems."""


class Obstacle(StrEnum):
    """Why a pair seen together merges nobody by itself."""

    UNKNOWN = "unknown"
    """What kind of identifier it is was not told yet."""
    WEAK = "weak"
    """The rules do not call its scheme strong."""
    OTHER_SYSTEM = "other_system"
    """An external id that another system than its own told."""
    ROLE_ADDRESS = "role_address"
    """The e-mail address of a role."""
    SHARED = "shared"
    """More identifiers came with it than one party has."""


class CandidateStatus(StrEnum):
    """What was decided about a possible duplicate."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an identity: its identifier, or only what it was given as."""

    id: UUID
    scheme: Scheme | None = None
    system: str | None = None
    value: str | None = None
    given: Given | None = None

    @property
    def kind(self) -> str:
        """Identifiers of one kind are told apart by their values: `email`, `phone`, `external:{system}`."""
        if self.scheme is None:
            return str(self.given.scheme) if self.given else "unknown"
        return f"{self.scheme}:{self.system}" if self.system else str(self.scheme)


@dataclass(frozen=True, slots=True)
class Told:
    """That two identities came together: on which day, and by which source (none: told here, about our own)."""

    source: str | None
    day: date


@dataclass(frozen=True, slots=True)
class Tie:
    """What a pair of identities says about two parties."""

    edge: Edge
    kind: EvidenceKind
    obstacle: Obstacle | None = None
    """Why it merges nobody by itself; none where it does, or where it is no pair seen together."""
    score: int = 0
    """How likely it makes both parties one, from 0 to 100."""

    @property
    def automatic(self) -> bool:
        """Whether it makes both parties one without a person."""
        return self.kind is EvidenceKind.SEEN_TOGETHER and self.obstacle is None


SCORES: Mapping[EvidenceKind | Obstacle, int] = {
    EvidenceKind.SEEN_TOGETHER: 90,
    Obstacle.OTHER_SYSTEM: 60,
    Obstacle.WEAK: 50,
    Obstacle.UNKNOWN: 40,
    Obstacle.ROLE_ADDRESS: 20,
    Obstacle.SHARED: 10,
    EvidenceKind.EMAIL_SPELLING: 70,
    EvidenceKind.EMAIL_CONFUSABLE: 60,
    EvidenceKind.EXTERNAL_VALUE: 50,
}
"""How likely each makes two parties one, alone; of several obstacles the lowest counts."""

FROM_LENGTH = 8
"""Ids of fewer characters are equal in two systems by chance."""
DIGITS_ARE_WORTH = 20
"""Where an equal id is a number: many systems count from the same beginning."""


def obstacle(known: Known, claims: int, source: str | None, rules: Rules) -> Obstacle | None:
    """Why an identifier, in what a source told, is not one party's alone; none where it is."""
    scheme = known.scheme or (known.given.scheme if known.given else None)
    if claims > rules.most_claims:
        return Obstacle.SHARED
    if scheme is None:
        return Obstacle.UNKNOWN
    if scheme is Scheme.EMAIL and _of_a_role(known, rules):
        return Obstacle.ROLE_ADDRESS
    if scheme not in rules.strong:
        return Obstacle.WEAK
    if scheme is Scheme.EXTERNAL and source is not None and source != known.system:
        return Obstacle.OTHER_SYSTEM
    return None


def _of_a_role(known: Known, rules: Rules) -> bool:
    if known.value is None:
        return known.given is Given.ROLE_EMAIL
    return known.value.partition("@")[0].partition("+")[0] in rules.role_addresses


def ties(
    one: Known,
    other: Known,
    told: Iterable[Told],
    claims: Mapping[UUID, int],
    resembling: Mapping[UUID, int],
    holdings: Mapping[UUID, Sequence[Holding]],
    rules: Rules,
) -> frozenset[Tie]:
    """What a pair of identities says, by what was told of it and by how both look.

    `claims` says how many identifiers of one kind came with an identity, `resembling` how many look like it: what many
    have alike says nothing about any two of them.

    Each telling is about the parties, as named, that held both on its day: their first holders, mostly. Neither the
    order nor the number of tellings matters.
    """
    seen: dict[Edge, Obstacle | None] = {}
    for each in sorted(told, key=lambda each: (each.day, each.source or "")):
        parties = {holder(holdings[known.id], each.day) for known in (one, other)}
        if len(parties) == 1:
            continue
        found = _worst(obstacle(known, claims.get(known.id, 0), each.source, rules) for known in (one, other))
        between = edge(*parties)
        seen[between] = _best(seen[between], found) if between in seen else found
    made = [
        Tie(between, EvidenceKind.SEEN_TOGETHER, why, SCORES[why or EvidenceKind.SEEN_TOGETHER])
        for between, why in seen.items()
    ]
    crowd = max(resembling.get(known.id, 0) for known in (one, other))
    kind = alike(one, other) if crowd <= rules.most_claims else None
    if kind and len(now := {holdings[known.id][-1].party_id for known in (one, other)}) == 2:
        digits = kind is EvidenceKind.EXTERNAL_VALUE and (one.value or "").isdecimal()
        made.append(Tie(edge(*now), kind, score=DIGITS_ARE_WORTH if digits else SCORES[kind]))
    return frozenset(made)


def _worst(obstacles: Iterable[Obstacle | None]) -> Obstacle | None:
    return min((why for why in obstacles if why), key=lambda why: (SCORES[why], why), default=None)


def _best(one: Obstacle | None, other: Obstacle | None) -> Obstacle | None:
    if one is None or other is None:
        return None
    return max(one, other, key=lambda why: (SCORES[why], why))


def score(ties: Iterable[int]) -> int:
    """How likely two parties are one, by all that speaks for it: each leaves its part of the doubt."""
    doubt = 10_000
    for part in sorted(ties):
        doubt = doubt * (100 - part) // 100
    return (10_000 - doubt) // 100


def alike(one: Known, other: Known) -> EvidenceKind | None:
    """Whether two identifiers look like one."""
    if one.value is None or other.value is None or one.id == other.id or likeness(one) != likeness(other):
        return None
    if one.scheme is Scheme.EXTERNAL:
        return EvidenceKind.EXTERNAL_VALUE if one.system != other.system and likeness(one) else None
    if one.scheme is Scheme.EMAIL:
        same = _spelling(one.value) == _spelling(other.value)
        return EvidenceKind.EMAIL_SPELLING if same else EvidenceKind.EMAIL_CONFUSABLE
    return None


def likeness(known: Known) -> str | None:
    """What all identifiers that look like this one have alike; none where looks say nothing."""
    if known.value is None or known.scheme is None:
        return None
    match known.scheme:
        case Scheme.EMAIL:
            return f"email:{_skeleton(_spelling(known.value))}"
        case Scheme.EXTERNAL:
            return f"external:{known.value}" if len(known.value) >= FROM_LENGTH else None
        case Scheme.PHONE:
            return None


def _spelling(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"


LOOKS_LIKE = str.maketrans(
    "аеорсухіјѕһԁԛԝкмтпανορτυικχγωεı01",
    "aeopcyxijshdqwkmtnavoptuikxyweiol",
)
"""Letters of other alphabets, and two digits, as a reader takes them for Latin letters (after Unicode TS #39)."""


def _skeleton(address: str) -> str:
    plain = unicodedata.normalize("NFKD", address.translate(LOOKS_LIKE).casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).translate(LOOKS_LIKE)
