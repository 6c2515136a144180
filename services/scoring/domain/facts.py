"""Facts: what scoring keeps of an event, for ever."""

from datetime import datetime
from enum import IntEnum
from uuid import UUID

import msgspec

from contracts.event import seconds_late
from contracts.leads import Grade
from contracts.loss import LossReason


class Kind(IntEnum):
    """What a fact says. The numbers are stored in facts and calendars and never change their meaning."""

    REGISTERED = 1
    """Known to exist."""
    PURCHASE = 2
    """Bought; the amount is gross."""
    RETURN = 3
    """Gave goods back; the amount is positive and netted on the day of the return."""
    LEAD_CAPTURED = 4
    LEAD_QUALIFIED = 5
    LEAD_WON = 6
    """Won without an order; with one it is a purchase."""
    LEAD_REOPENED = 7
    LEAD_LOST = 8
    LEAD_DISQUALIFIED = 9
    VISITED = 10
    """Came by or looked at something that is offered."""
    INQUIRED = 11
    """Asked about something that is offered, or put it aside to buy it."""
    CONTACTED = 12
    """Turned to us about anything else."""
    REACHED = 13
    """Was reached by us."""
    DECLINED = 14
    """Said that they will not buy, or not any more."""
    COMPLAINED = 15
    PRAISED = 16
    PROBLEM_OPENED = 17
    PROBLEM_SOLVED = 18
    JOINED = 19
    POSTED = 20
    REPLIED = 21
    REACTED = 22
    REFERRED = 23
    """Recommended us to somebody."""
    WAS_REFERRED = 24
    """Was recommended to us."""
    REFERRAL_CONVERTED = 25
    """Recommended us to somebody who bought."""
    RATED_WELL = 26
    """Stated attitude, speed and quality of a contact are above the middle on average; of a calendar alone."""
    RATED_POORLY = 27
    """They are below it; of a calendar alone."""
    OVERRIDDEN = 28
    """A part of the standing was set by a person, whatever the facts say, or was left to the facts again."""
    LEAD_GRADED = 29
    """A rubric said how promising a lead is: nothing that anybody did."""

    @property
    def code(self) -> str:
        """How it is called in policy and answers."""
        return self.name.lower()


MONEY = frozenset({Kind.PURCHASE, Kind.RETURN})
"""Kinds with an amount; their detail is its currency."""
DERIVED = frozenset({Kind.RATED_WELL, Kind.RATED_POORLY})
"""Kinds of entries that a fact of another kind posts besides its own."""
ABOUT = frozenset({Kind.OVERRIDDEN, Kind.LEAD_GRADED})
"""Kinds that say what others think of a party, which neither makes it known nor does anything."""
DECLARATIONS = frozenset({Kind.LEAD_LOST, Kind.LEAD_DISQUALIFIED, Kind.DECLINED})
"""Kinds that say that somebody is lost; their detail is the reason."""
CART = "cart"
"""The detail of an inquiry that is none but puts something aside to buy it, and waits for no answer."""
SURVEY = "survey"
"""The detail of a contact that is their answer to a survey, and so none to what they ask."""
ASIDE = {Kind.INQUIRED: CART, Kind.REACHED: SURVEY}
"""What neither asks nor answers, though others of its kind do."""


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened to one identity. It counts unless it is withdrawn or replaced."""

    fact_id: UUID
    """The id of the event."""
    identity_id: UUID
    kind: Kind
    occurred_at: datetime
    recorded_at: datetime
    amount_minor: int = 0
    """Minor units of the currency, never negative."""
    detail: str = ""
    """Of money the currency (ISO 4217), of a declaration the loss reason, of whoever is registered the kind of party
    (`person`, `organisation`), of an override what it says (see `overrides`), of an inquiry whether it is a `CART`,
    of a contact whether it is a `SURVEY` (facts stored before these were told apart do not say so), of a lead that was
    graded the grade; empty for every other kind."""
    replaces: UUID | None = None
    """The fact that this one corrects, which no longer counts."""
    opened_at: datetime | None = None
    """Of a problem that was solved, when it was opened."""
    rating: int = 0
    """Of an interaction: 1 where attitude, speed and quality were stated above the middle on average, -1 below it."""
    channel: str | None = None
    """By which way, where that was said."""
    competitor: str | None = None
    """Of a declaration whom they buy from instead, where that was said."""
    first_late_s: int | None = None
    """Of one that is put right or taken back, how late it was recorded before, as that says; not stored."""

    @property
    def late_s(self) -> int:
        """How late it was recorded, in seconds, or what it corrects, whichever was sooner."""
        own = seconds_late(self.occurred_at, self.recorded_at)
        return own if self.first_late_s is None else min(own, self.first_late_s)

    @property
    def currency(self) -> str | None:
        """Of the amount."""
        return self.detail if self.kind in MONEY else None

    @property
    def loss_reason(self) -> LossReason | None:
        """Of a declaration."""
        return LossReason(self.detail) if self.kind in DECLARATIONS else None

    @property
    def aside(self) -> str | None:
        """Of an inquiry that is a `CART`, and of a contact that is a `SURVEY`, that it is."""
        return self.detail if self.detail and self.detail == ASIDE.get(self.kind) else None

    @property
    def grade(self) -> Grade | None:
        """Of a graded lead."""
        return Grade(self.detail) if self.kind is Kind.LEAD_GRADED else None
