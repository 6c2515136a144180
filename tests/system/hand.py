"""What people set in the place of what the facts of a story say, while it is told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import uuid4

from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.grades import Flag
from services.scoring.domain.overrides import Field, detail
from tests.system.doings import Step
from tests.system.product import party_of

VALUES = {
    Field.STAGE: (Stage.CUSTOMER, Stage.LOST_PROSPECT),
    Field.TIER: (Tier.TOP, Tier.LOW),
    Field.SATISFACTION: (Band.LOW, Band.HIGH),
    Field.LOYALTY: (Band.HIGH, Band.UNKNOWN),
    Field.POSTURE: (Posture.DEVELOPING, Posture.STEADY),
    Field.LEVEL: ("large", "small"),
    Field.TREATMENT: ("care", "recover"),
    Field.LOSS_REASON: (LossReason.PRICE, LossReason.MOVED),
    Field.VALUE_MINOR: ("70000", "0"),
    Field.TURNOVER_MINOR: ("-100", "90000"),
    Field.P: ("0.25", "1.0"),
    Field.SATISFACTION_INDEX: ("12.5", "88.0"),
    Field.LOYALTY_INDEX: ("12.5", "88.0"),
    **{Field(field): ("true", "false") for field in (*Flag, "vip")},
}


@dataclass(frozen=True)
class Override(Step):
    """One of a story, all of which are set one after the other: of two for one field the one set last holds."""

    place: int = 0
    customer: str = ""
    field: Field = Field.STAGE
    value: str = ""
    days: int | None = None
    """How many days after today it still holds; without any, until somebody ends it."""

    @property
    def until(self) -> date | None:
        return None if self.days is None else datetime.now(UTC).date() + timedelta(days=self.days)

    def fact(self) -> Fact:
        """As it has to count, set today."""
        return _fact(self.customer, self.place, self.field, self.value, self.until)


@dataclass(frozen=True)
class EndOverride(Step):
    place: int = 0
    override: Override = Override("?")

    def fact(self) -> Fact:
        """Of the field nothing counts any more that was set before."""
        return _fact(self.override.customer, self.place, self.override.field, "", None)


def _fact(customer: str, place: int, field: Field, value: str, until: date | None) -> Fact:
    today = datetime.now(UTC).date()
    at = datetime(today.year, today.month, today.day, microsecond=place, tzinfo=UTC)
    return Fact(uuid4(), party_of(customer), Kind.OVERRIDDEN, at, at, detail=detail(at, field, value, until))


def set_by_hand(chance: Random, names: Sequence[str]) -> Iterator[Step]:
    """Each field of some who are registered, of some again; some are ended early, some last for today alone."""
    before: tuple[str, ...] = ()
    for number, field in enumerate(chance.sample([*VALUES, *VALUES], len(VALUES) * 2)):
        place, customer = 2 * number, chance.choice(names)
        value, days = chance.choice(VALUES[field]), chance.choice((None, None, 0, 30))
        needs = (*before, f"register {customer}")
        override = Override(f"set {field} {number}", needs, place, customer, field, value, days)
        yield override
        before = (override.name,)
        if chance.random() < 0.3:
            end = EndOverride(f"end {override.name}", before, place + 1, override)
            yield end
            before = (end.name,)
