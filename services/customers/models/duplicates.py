"""Possible duplicates, the rules that tell them, shared identifiers, and what a merge would do."""

from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field
from sqlalchemy import Integer, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field as Column
from sqlmodel import SQLModel

from chassis.fields import Body, CurrencyCode, Day, IdentityId, NamesParty, PartyId, Shown
from chassis.ids import prefixed
from contracts.customers import PartyKind
from contracts.identity import Scheme
from services.customers.domain.duplicates import CandidateStatus, EvidenceKind, Obstacle, Rules
from services.customers.models.fields import MergeId
from services.customers.models.parties import Party

CandidateId = Annotated[UUID, prefixed("candidate")]
Note = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"^[^\x00]*$")]


class RulesRow(SQLModel, table=True):
    """A version of the rules, and how many of the pairs of its time were decided by it."""

    __tablename__ = "duplicate_rules"

    version: int = Column(primary_key=True)
    content_hash: str = Column(sa_type=Text)
    rules: dict[str, Any] = Column(sa_type=JSONB)
    activated_at: datetime
    activated_by: str = Column(sa_type=Text)
    pairs: int = Column(sa_type=Integer)
    pairs_done: int = Column(default=0, sa_type=Integer)
    after_one: UUID = UUID(int=0)
    after_two: UUID = UUID(int=0)
    after_alike: UUID = UUID(int=0)
    finished_at: datetime | None = None


class RulesNow(Shown):
    """The rules that hold, and how far they are applied to what was there before them."""

    version: int
    """Rises with every change; 0 for the rules that hold before any change."""
    content_hash: str
    rules: Rules
    activated_at: datetime | None = None
    activated_by: str | None = None
    """The key that changed them."""
    pairs: int = 0
    """Pairs that were there when the rules changed."""
    pairs_done: int = 0
    """How many of them are decided by these rules."""
    finished_at: datetime | None = None
    """When all of them were."""
    pairs_waiting: int
    """Pairs that were told, withdrawn or touched and are not decided yet: mostly none."""

    @classmethod
    def shown(cls, rules: Rules, row: RulesRow | None, waiting: int) -> Self:
        """Rules, and the version they are, if anybody ever changed them."""
        if row is None:
            return cls(version=0, content_hash=rules.content_hash, rules=rules, pairs_waiting=waiting)
        done = row.pairs if row.finished_at else min(row.pairs_done, row.pairs)
        return cls.model_validate({**row.model_dump(), "rules": rules, "pairs_done": done, "pairs_waiting": waiting})


class NamedIdentifier(Shown):
    """An identifier; without scheme and value where only its id is known here."""

    identity_id: IdentityId
    scheme: Scheme | None = None
    system: str | None = None
    value: str | None = None


class Candidate(Shown):
    """Two parties, as named, that may be one."""

    id: CandidateId
    status: CandidateStatus
    party_id: PartyId
    other_id: PartyId
    score: int
    """From 0 to 100: how likely they are one."""
    kinds: list[EvidenceKind]
    """What speaks for it."""
    opened_at: datetime
    decided_at: datetime | None = None
    decided_by: str | None = None
    """The key that decided."""
    note: str | None = None
    """Why it was decided so."""


class ListedCandidate(Candidate):
    """A possible duplicate with what both parties are known by."""

    one: list[NamedIdentifier]
    """The first few of `party_id`, e-mail addresses before phones before ids of systems."""
    other: list[NamedIdentifier]
    """The same of `other_id`."""


class Telling(Shown):
    """Who told that two identifiers came together."""

    service: str
    what: str
    source: str | None = None
    """The system that it came from."""
    times: int
    """How often."""
    first_at: datetime
    last_at: datetime


class Evidence(Shown):
    """What speaks for two parties being one: a pair of identifiers."""

    kind: EvidenceKind
    one: NamedIdentifier
    other: NamedIdentifier
    obstacle: Obstacle | None = None
    """Why the pair merges nobody by itself."""
    score: int
    told: list[Telling]
    """Who told that both came together."""


class Money(Shown):
    """A sum in one currency."""

    currency: CurrencyCode
    purchases: int
    amount_minor: int
    """Of all purchases."""
    returned_minor: int
    """Of all returns."""


class Belongings(Shown):
    """What a party has, or would have."""

    purchases: int = 0
    last_purchase_at: datetime | None = None
    returns: int = 0
    interactions: int = 0
    open_problems: int = 0
    spend: list[Money] = Field(default_factory=list)


class Side(Shown):
    """One of two parties beside the other."""

    party: Party
    belongings: Belongings


class CandidateDetail(Candidate):
    """A possible duplicate with all that speaks for it, and both parties as they are now."""

    evidence: list[Evidence]
    sides: list[Side]
    """Both parties; one where they are merged by now."""


class Acceptance(Body):
    """Both are one."""

    note: Note | None = None
    """Why."""


class Dismissal(Body):
    """They are two."""

    note: Note
    """Why."""


class SharedIdentifier(NamedIdentifier):
    """An identifier that more came with than one party has: it merges nobody."""

    party_id: PartyId | None = None
    """Who holds it now."""
    claims: int
    """How many different identifiers of one kind came with it."""
    since: datetime


class MergeAsked(Body):
    """The party that would be merged with the one in the path."""

    party_id: PartyId


class Contradiction(Shown):
    """What both parties have, and one party has once."""

    what: str
    """`kind`, `owner` or `team`."""
    values: list[str]


class MergePreview(Shown):
    """What a merge would do. Nothing was done."""

    merged_already: bool
    resolves_to: PartyId
    """The id that would survive."""
    identifiers: list[NamedIdentifier]
    """Of the whole."""
    merged_ids: list[PartyId]
    """The ids that would lead to the survivor."""
    moves: Belongings
    """What would come to the survivor from the other one."""
    whole: Belongings
    """What the survivor would have."""
    contradictions: list[Contradiction]


class UnmergeAsked(Body):
    """The merge that would be taken back."""

    merge_id: MergeId


class Part(Shown):
    """A party as it would be."""

    id: PartyId
    kind: PartyKind
    identifiers: list[NamedIdentifier]
    merged_ids: list[PartyId]
    belongings: Belongings


class UnmergePreview(Shown):
    """What taking a merge back would do. Nothing was done."""

    still_together: bool
    """Whether other merges keep both one."""
    parts: list[Part]
    """What they would be: two parties, or the one that they are."""


class IdentifierHandOver(Body):
    """An identifier goes from one party to another, with a local day."""

    to: NamesParty
    """Whose it is from then on."""
    from_day: Day
    """The first local day of the new holder; the days before stay with the one before."""


class HoldingShown(Shown):
    """Who holds an identifier, and from which local day on."""

    party_id: PartyId
    from_day: date | None = None
    """None for the first holder."""


class Holders(Shown):
    """All who held an identifier, the first one first."""

    identity_id: IdentityId
    holders: list[HoldingShown]
