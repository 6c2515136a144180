"""Standings and moves as they are shown."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal, Self
from uuid import UUID

from chassis.fields import Body, EventId, IdentityId, PartyId, Shown, TeamId, UserId
from chassis.timelines import Entry
from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.scoring import Band, Cause, MoveKind, Posture, Stage, Tier
from services.scoring.domain.facts import Fact
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import Standing as Decided
from services.scoring.domain.trajectory import Move as Implied
from services.scoring.domain.trajectory import Regrading
from services.scoring.models.reasons import ReasonTold


class Order(StrEnum):
    """How a list of standings is ordered."""

    VALUE = "value"
    """The highest value first."""
    LOWEST_VALUE = "lowest_value"
    """The lowest value first."""
    TIER = "tier"
    """The top tier first and who is unproven last; in each the highest value first."""
    LOWEST_TIER = "lowest_tier"
    """The tiers the other way round; in each the highest value first."""
    STAGE = "stage"
    """From strangers over prospects to customers who are lost; in each stage the highest value first."""
    LAST_STAGE = "last_stage"
    """The stages the other way round; in each the highest value first."""
    NEXT_CHANGE_AT = "next_change_at"
    """Who changes next first; without those that time alone does not change."""
    LAST_SEEN = "last_seen"
    """Who bought or showed interest last first."""
    SILENT = "silent"
    """Whose last purchase or sign of interest lies longest back first."""
    LAST_CONTACT = "last_contact"
    """With whom anything passed last, whoever began, first; without those with whom nothing ever did."""
    UNTOUCHED = "untouched"
    """With whom the last that passed lies longest back first; likewise."""
    PARTY = "party"


UNSTORED = frozenset({"satisfaction_evidence", "loyalty_evidence", "derived"})
"""Parts of what was decided that are computed when one party is read."""


class Standing(Shown):
    """How a party stands at an instant."""

    party_id: PartyId
    stage: Stage
    tier: Tier
    since: date
    """First local day of the stage."""
    value_minor: int
    """What the model expects of as many days as the policy's window has, in minor units of the reporting currency;
    without a model the turnover. As a person set it, where somebody did, as every number and grade below."""
    turnover_minor: int
    """Net turnover of the policy's window, likewise."""
    spend_minor: int
    """Gross purchases of all time, likewise."""
    currency: str | None
    """The reporting currency; none as long as there was no money."""
    x: int | None
    """Distinct purchase days, less one; none without a purchase, as the two below."""
    tx_days: int | None
    """Days from the first purchase day to the last."""
    T_days: int | None
    """Days from the first purchase day to the day of the assessment."""
    last_purchase_day: date | None
    p: float | None
    """Probability of a purchase within the horizon of the policy; none without a model or a purchase, unless set."""
    level: str | None
    """The band of the turnover; none below the last one."""
    satisfaction: float
    """From what the party does: 0 to 100, 50 without evidence."""
    satisfaction_band: Band
    """`unknown` where too little evidence is left, unless the number is set."""
    loyalty: float
    """Likewise."""
    loyalty_band: Band
    posture: Posture
    """Which way the relationship goes."""
    treatment: str
    """How the party is treated, by the table of the policy."""
    flags: list[str]
    """Sorted codes of `high_value`, `profit_making`, `returning`, `satisfied`."""
    vip: bool
    potential: Grade | None
    """How promising a lead of whoever never bought was last said to be, from A (hot) to D (cool); none of who bought,
    and where no lead was graded."""
    last_sign_day: date | None
    """Last day with a sign of interest."""
    last_contact_day: date | None
    """Last day on which anything passed between the party and us, whoever began; see `docs/scoring.md`."""
    loss_reason: LossReason | None
    """Why a lost party is lost: `unknown` where nobody said it yet. None in every other stage."""
    next_change_at: datetime | None
    """When anything that is graded will be another if nothing happens: stage, tier, a band, level, posture, treatment,
    a flag, `vip` or potential; or a number, because something else is set by hand from then on."""
    next_stage_at: datetime | None
    """When the stage will be."""
    next_stage: Stage | None
    """Which stage it will be."""
    assessed_at: datetime
    revision: int
    """Rises with every change that was told to others."""
    policy: str
    """Its name, which several versions may have."""
    policy_hash: str
    """Its content hash; with `horizon_days` that of the policy with this horizon."""
    model: str | None
    """Content hash of the model; none where none is active."""

    @classmethod
    def shown(cls, party_id: UUID, revision: int, decided: Decided, at: datetime, ruling: Ruling, **more: Any) -> Self:
        """What was decided for a party at an instant; it stands somewhere."""
        first, last = decided.first_day, decided.last_day
        return cls(
            party_id=party_id,
            stage=decided.stage,
            tier=decided.tier,
            since=decided.since,
            value_minor=decided.value_minor,
            turnover_minor=decided.turnover_minor,
            spend_minor=decided.spend_minor,
            p=decided.p,
            level=decided.level,
            satisfaction=decided.satisfaction,
            satisfaction_band=decided.satisfaction_band,
            loyalty=decided.loyalty,
            loyalty_band=decided.loyalty_band,
            posture=decided.posture,
            treatment=decided.treatment,
            flags=list(decided.flags),
            vip=decided.vip,
            potential=decided.potential,
            currency=ruling.rates.currency,
            x=decided.purchase_days - 1 if first else None,
            tx_days=(last - first).days if first and last else None,
            last_purchase_day=last,
            T_days=ruling.day(at) - first.toordinal() if first else None,
            last_sign_day=decided.last_sign_day,
            last_contact_day=decided.last_contact_day,
            loss_reason=decided.loss_reason,
            next_change_at=decided.next_change_at,
            next_stage_at=decided.next_stage_at,
            next_stage=decided.next_stage,
            assessed_at=at,
            revision=revision,
            policy=ruling.policy.name,
            policy_hash=ruling.policy.content_hash,
            model=ruling.model.content_hash if ruling.model else None,
            **more,
        )

    @classmethod
    def stored(cls, row: Any, ruling: Ruling) -> Self:
        """A standing as it is stored, under what it was assessed under; `ruling` is the present one."""
        decided = Decided(**{field: row[field] for field in Decided.__struct_fields__ if field not in UNSTORED})
        more = {name: row[name] for name in cls.model_fields.keys() - Standing.model_fields.keys()}
        shown = cls.shown(row["party_id"], row["revision"], decided, row["assessed_at"], ruling, **more)
        under = {name: row[name] for name in ("currency", "policy", "policy_hash", "model")}
        return shown.model_copy(update=under)


class MergeAsked(Body):
    """The party that would be merged with the one in the path."""

    party_id: PartyId


class MergedStanding(Shown):
    """How two parties stand, and would stand as one; null where no fact counts for a party."""

    one: Standing | None
    """The party in the path."""
    other: Standing | None
    together: Standing | None
    """Under the id that would survive."""


class Elsewhere(Shown):
    """A party that stands elsewhere under another policy than under the one that decides."""

    party_id: PartyId
    owner_id: UserId | None
    team_id: TeamId | None
    currency: str | None
    stage_active: Stage | None
    tier_active: Tier | None
    value_active_minor: int
    """In minor units of the reporting currency, as below."""
    stage_draft: Stage | None
    tier_draft: Tier | None
    value_draft_minor: int


class FollowUp(Standing):
    """A standing, and who takes care of the party now, whatever time the standing is of."""

    owner_id: UserId | None
    team_id: TeamId | None


class FactTold(Shown):
    """A fact that counts."""

    fact_id: EventId
    kind: str
    day: date
    amount_minor: int
    currency: str | None
    loss_reason: LossReason | None
    """Of a kind that declares the party lost."""
    grade: Grade | None
    """Of a lead that was graded."""
    aside: Literal["cart", "survey"] | None
    """Of an inquiry that is a cart, and waits for no answer; of a contact that is a survey, and no answer itself."""

    @classmethod
    def shown(cls, fact: Fact, ruling: Ruling) -> Self:
        """A fact on its local day."""
        return cls(
            fact_id=fact.fact_id,
            kind=fact.kind.code,
            day=date.fromordinal(ruling.day(fact.occurred_at)),
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            loss_reason=fact.loss_reason,
            grade=fact.grade,
            aside=fact.aside,
        )


class ReasonedStanding(Standing):
    """A standing with its reason and the facts behind it."""

    satisfaction_evidence: float
    """How much evidence of satisfaction is left: each fact counts one on its day and half after a half-life."""
    loyalty_evidence: float
    derived: dict[str, str]
    """Of each part that a person set to something else, what would hold without; empty for nothing."""
    reasons: ReasonTold
    facts: list[FactTold]
    """The latest ones that count, latest first, at most a hundred. Among them, however many are later, are the latest
    fifty of those that decide the stage, one of the first purchase day, the latest twenty purchases and returns of the
    window of turnover, and ten each of those that add most to or take most from satisfaction and loyalty. A fact that
    decides several of these is counted for the first."""
    facts_total: int


class Cell(Shown):
    """The parties of one stage and tier."""

    stage: Stage
    tier: Tier
    count: int
    value_minor: int


class Summary(Shown):
    """Stage by tier."""

    as_of: date | None
    known_at: datetime | None
    currency: str | None
    calibration: float | None
    """A sum of values times this is a forecast: the purchases of the last closed period of the model, by those that it
    expected. None where values are turnover, and where the model was never judged: then their sum is no forecast."""
    count: int
    value_minor: int
    """The sum of the values, as of each cell."""
    data: list[Cell]


class Move(Shown):
    """A change of stage or tier."""

    day: date
    cause: Cause
    kind: MoveKind | Regrading
    """`regraded` only of what was announced: stage and tier stayed, and a grade or the reason of a loss changed."""
    from_stage: Stage | None
    to_stage: Stage | None
    from_tier: Tier | None
    to_tier: Tier | None
    value_minor: int
    loss_reason: LossReason | None
    """Of a move to a lost stage, or within one."""
    party_id: PartyId
    revision: int | None = None
    """Only of a move that was announced, as are the ones below."""
    occurred_at: datetime | None = None
    assessed_at: datetime | None = None
    fact_id: EventId | None = None
    merged_into: PartyId | None = None


class ValueThen(Shown):
    """What a party was worth at the end of a local day."""

    day: date
    value_minor: int
    stage: Stage | None
    """None before it stood anywhere."""


class ValuesOverTime(Shown):
    """What a party was worth, day by day."""

    party_id: PartyId
    currency: str | None
    data: list[ValueThen]
    """In the order of days, the last one today."""


class Digest(Shown):
    """One hash over all standings."""

    as_of: date
    known_at: datetime | None
    parties: int
    digest: str
    """SHA-256 in hex."""


class Disagreement(Shown):
    """Something stored that the facts do not give."""

    party_id: PartyId | None
    """None where it is about no single party: a sum of the summary."""
    identity_id: IdentityId | None
    """Where it is about one identity."""
    field: str
    stored: str | None
    computed: str | None


class Verdict(Shown):
    """Whether what is stored of a party is what its facts give."""

    party_id: PartyId
    facts: int
    """Those that count."""
    disagreements: int
    found: list[Disagreement]


MOVED = "moved"
"""The kind of a move in a timeline."""


class Moved(Shown):
    """What a move in a timeline says."""

    kind: MoveKind
    cause: Cause
    from_stage: Stage | None
    to_stage: Stage | None
    from_tier: Tier | None
    to_tier: Tier | None
    value_minor: int
    loss_reason: LossReason | None


def entry(id: UUID, at: datetime, move: Implied) -> Entry:
    """A move in the timeline of a party, which the history implies: known from the start of its day on."""
    detail = Moved.model_validate(move).model_dump()
    return Entry(at=at, id=f"move_{id.hex}", kind=MOVED, service="scoring", recorded_at=at, detail=detail)
