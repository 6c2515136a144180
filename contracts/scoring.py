"""Events of the scoring service: how a party stands, and what changed."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.event import Currency, Digest, Event, Slug
from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.topics import STANDING_CHANGES, STANDINGS


class Stage(StrEnum):
    """The lifecycle stage of a party."""

    STRANGER = "stranger"
    PROSPECT = "prospect"
    DORMANT_PROSPECT = "dormant_prospect"
    LOST_PROSPECT = "lost_prospect"
    CUSTOMER = "customer"
    DORMANT_CUSTOMER = "dormant_customer"
    LOST_CUSTOMER = "lost_customer"


class Tier(StrEnum):
    """The value tier of a party."""

    TOP = "top"
    HIGH = "high"
    MID = "mid"
    LOW = "low"
    UNPROVEN = "unproven"
    """No purchase counts yet."""


class Band(StrEnum):
    """Where an index from 0 to 100 lies."""

    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"
    UNKNOWN = "unknown"
    """Too little evidence to say."""


class Posture(StrEnum):
    """Which way a relationship goes."""

    DEVELOPING = "developing"
    STEADY = "steady"
    CONSERVATIVE = "conservative"


class Cause(StrEnum):
    """What made a standing change."""

    FACT = "fact"
    """A fact made the move on its own day."""
    LATE_FACT = "late_fact"
    """A fact about a day that was assessed before, or that is past since; or one corrected or withdrawn."""
    CLOCK = "clock"
    ASSIGNMENT = "assignment"
    POLICY = "policy"
    MODEL = "model"
    OVERRIDE = "override"


class MoveKind(StrEnum):
    """What a change of stage or tier means."""

    APPEARED = "appeared"
    """The first standing of a party."""
    ADVANCED = "advanced"
    """A stranger showed interest, or whoever had not bought did."""
    FADED = "faded"
    """To a dormant stage."""
    LOST = "lost"
    """To a lost stage."""
    RETURNED = "returned"
    """From a dormant stage back to the active one."""
    WON_BACK = "won_back"
    """A lost customer bought."""
    REVIVED = "revived"
    """A lost prospect showed interest."""
    RETIERED = "retiered"
    """The same stage in another tier."""
    REVISED = "revised"
    """Corrected by a late fact, an assignment or another policy, not by behaviour."""
    VANISHED = "vanished"
    """No fact counts any more, or the party was merged into another."""


class StandingChanged(Event, type="scoring.standing_changed.v1", topic=STANDING_CHANGES):
    """A discrete part of a party's standing changed. The subject is the party; `occurred_at` the computed instant."""

    revision: Annotated[int, Field(ge=1)]
    """Rises with every change of a party; of two, the higher one holds."""
    cause: Cause
    """What brought it about."""
    kind: MoveKind
    """What it means."""
    from_stage: Stage | None = None
    """None where the party had no standing before."""
    to_stage: Stage | None = None
    """None where the party no longer has a standing."""
    from_tier: Tier | None = None
    """None where `from_stage` is."""
    to_tier: Tier | None = None
    """None where `to_stage` is."""
    value_minor: int | None = None
    """Value in minor units of `currency` (the reporting currency)."""
    currency: Currency | None = None
    """The reporting currency; none until one is known."""
    fact_id: UUID | None = None
    """The fact that brought the change about, where it was one."""
    late_s: Annotated[int, Field(ge=0)] | None = None
    """Of a `late_fact`, or one that was put right, seconds after it happened at which it was recorded; of several, the
    fewest."""
    next_change_at: AwareDatetime | None = None
    """When anything graded or set by hand changes next if nothing happens; none where nothing ever would."""
    loss_reason: LossReason | None = None
    """Why the party is lost, where `to_stage` is a lost one; `unknown` is to be followed up."""
    merged_into: UUID | None = None
    """The party that this one was merged into just now."""
    policy: Digest
    """Content hash of the policy that decided."""
    model: Digest | None = None
    """Content hash of the model that decided with it; none where none is active."""
    treatment: Slug | None = None
    """How the party is treated. This and what follows is as it is now, and left out of steps on the way to it."""
    level: Slug | None = None
    """The band of the turnover; none below the last one."""
    satisfaction_band: Band | None = None
    """Where the satisfaction lies."""
    loyalty_band: Band | None = None
    """Where the loyalty lies."""
    posture: Posture | None = None
    """Which way the relationship goes."""
    flags: tuple[Slug, ...] | None = None
    """Sorted codes of `high_value`, `profit_making`, `returning`, `satisfied`."""
    vip: bool | None = None
    """Whether the rule of the policy or a person makes the party a VIP."""
    potential: Grade | None = None
    """How promising a lead of whoever never bought was last said to be; none of who bought, or where no lead was."""


class StandingRegraded(Event, type="scoring.standing_regraded.v1", topic=STANDING_CHANGES):
    """Stage and tier of a party stayed, and a grade or the reason of its loss changed. The subject is the party."""

    revision: Annotated[int, Field(ge=1)]
    """Rises with every change of a party, also those of stage and tier; of two, the higher one holds."""
    cause: Cause
    """What brought it about."""
    stage: Stage
    """The lifecycle stage."""
    tier: Tier
    """The value tier."""
    value_minor: int
    """Value in minor units of `currency` (the reporting currency)."""
    currency: Currency | None = None
    """The reporting currency; none until one is known."""
    fact_id: UUID | None = None
    """The fact that brought the change about, where it was one."""
    late_s: Annotated[int, Field(ge=0)] | None = None
    """Of a `late_fact`, or one that was put right, seconds after it happened at which it was recorded; of several, the
    fewest."""
    next_change_at: AwareDatetime | None = None
    """When anything graded or set by hand changes next if nothing happens; none where nothing ever would."""
    loss_reason: LossReason | None = None
    """Why a lost party is lost."""
    policy: Digest
    """Content hash of the policy that decided."""
    model: Digest | None = None
    """Content hash of the model that decided with it; none where none is active."""
    treatment: Slug
    """How the party is treated."""
    level: Slug | None = None
    """The band of the turnover; none below the last one."""
    satisfaction_band: Band
    """Where the satisfaction lies."""
    loyalty_band: Band
    """Where the loyalty lies."""
    posture: Posture
    """Which way the relationship goes."""
    flags: tuple[Slug, ...] = ()
    """Sorted codes of `high_value`, `profit_making`, `returning`, `satisfied`."""
    vip: bool = False
    """Whether the rule of the policy or a person makes the party a VIP."""
    potential: Grade | None = None
    """How promising a lead of whoever never bought was last said to be; none of who bought, or where no lead was."""


class StandingRecorded(Event, type="scoring.standing.v1", topic=STANDINGS):
    """The standing of a party as it is now; the last one per key holds, a record without a value means none."""

    revision: Annotated[int, Field(ge=1)]
    """The revision of the change that led here; of two records, the higher one holds."""
    stage: Stage
    """The lifecycle stage."""
    tier: Tier
    """The value tier."""
    since: date
    """First local day of the stage."""
    value_minor: int
    """Value in minor units of `currency`, on the day on which this was written."""
    currency: Currency | None = None
    """The reporting currency; none until one is known."""
    purchase_days: Annotated[int, Field(ge=0)]
    """Distinct days with a purchase."""
    loss_reason: LossReason | None = None
    """Why the party is lost, where `stage` is a lost one, as it was known with the change that led here."""
    next_change_at: AwareDatetime | None = None
    """When anything graded or set by hand changes next if nothing happens; none where nothing ever would."""
    policy: Digest
    """Content hash of the policy that decided."""
    model: Digest | None = None
    """Content hash of the model that decided with it; none where none is active."""
    treatment: Slug | None = None
    """How the party is treated."""
    level: Slug | None = None
    """The band of the turnover; none below the last one."""
    satisfaction_band: Band | None = None
    """Where the satisfaction lies."""
    loyalty_band: Band | None = None
    """Where the loyalty lies."""
    posture: Posture | None = None
    """Which way the relationship goes."""
    flags: tuple[Slug, ...] = ()
    """Sorted codes of `high_value`, `profit_making`, `returning`, `satisfied`."""
    vip: bool = False
    """Whether the rule of the policy or a person makes the party a VIP."""
    potential: Grade | None = None
    """How promising a lead of whoever never bought was last said to be; none of who bought, or where no lead was."""
