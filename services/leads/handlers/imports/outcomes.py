"""Files of what became of leads."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.imports.fields import AMOUNT, CURRENCY, OCCURRED_AT, Field, mostly
from chassis.imports.headers import weighted
from chassis.imports.kinds import ImportKind, Origin
from chassis.imports.plans import Cells, Plan, Survey, id_of, slug
from chassis.imports.plans import Row as FileRow
from chassis.imports.reasons import Reason, Unreadable
from contracts.loss import LossReason
from contracts.money import major
from contracts.telling import Outcome
from services.leads.domain.moves import LeadStatus, NewMove, ToldOutcome
from services.leads.handlers.imports.leads import LEAD_ID
from services.leads.queries.changes import undo_moves_of_import
from services.leads.queries.outcomes import record_outcomes

_WORDS: Mapping[LeadStatus | None, str] = {
    LeadStatus.WON: "won 1 1.0 yes true y converted",
    LeadStatus.LOST: "lost 0 0.0 no false n",
    LeadStatus.DISQUALIFIED: "disqualified",
    LeadStatus.QUALIFIED: "qualified",
    None: "open new",
}
MEANING = MappingProxyType({word: status for status, words in _WORDS.items() for word in words.split()})
"""What a word says became of a lead; nothing yet where it is still open."""

FIELDS = (
    LEAD_ID.must_be(),
    Field(
        "outcome",
        weighted({4: "outcome converted result won", 2: "status conversion", 0: "lead"}),
        mostly(lambda text: text.lower() in MEANING),
        needed=True,
    ),
    Field("reason", weighted({4: "reason", 0: "loss lost lead"})),
    OCCURRED_AT.called({2: "closed won", 0: "lead"}),
    AMOUNT,
    CURRENCY,
)


def read(plan: Plan, cells: Cells) -> ToldOutcome | None:
    """What a row says became of a lead; None where it is still open. Raises `Unreadable`."""
    lead_id, said, why, when, amount, currency = cells.texts
    if not lead_id:
        raise Unreadable(Reason.BAD_ID, "The id of the lead is missing.")
    to = status_of(said)
    if to is None:
        return None
    money = plan.money(amount, currency) if to is LeadStatus.WON else None
    if money and money[0] < 0:
        raise Unreadable(Reason.BAD_AMOUNT, "An order has no amount below zero.")
    move = NewMove(
        to=to,
        occurred_at=plan.instant_if_said(when),
        reason=reason_of(why) if to in (LeadStatus.LOST, LeadStatus.DISQUALIFIED) else None,
        amount_minor=money[0] if money else None,
        currency=money[1] if money else None,
    )
    return ToldOutcome(id_of(lead_id), move)


def status_of(said: str) -> LeadStatus | None:
    """Where a lead went by a word; None where it is still open. Raises `Unreadable`."""
    word = said.casefold()
    if word and word not in MEANING:
        raise Unreadable(Reason.BAD_VALUE, f"An outcome is one of {', '.join(MEANING)}, or empty for an open lead.")
    return MEANING[word] if word else None


def reason_of(why: str) -> LossReason:
    """The reason as written, `unknown` where none is. Raises `Unreadable`."""
    name = slug(why, "reason").replace("-", "_") if why else LossReason.UNKNOWN
    if name not in set(LossReason):
        raise Unreadable(Reason.BAD_VALUE, f"A reason is one of {', '.join(LossReason)}.")
    return LossReason(name)


def shown(told: ToldOutcome) -> Mapping[str, object]:
    """How an outcome is shown before anything is recorded."""
    move = told.move
    priced = move.amount_minor is not None and move.currency is not None
    return {
        "lead_id": told.lead_id,
        "outcome": move.to,
        "reason": move.reason,
        "occurred_at": move.occurred_at.isoformat() if move.occurred_at else None,
        "amount": str(major(move.amount_minor, move.currency)) if priced else None,  # type: ignore[arg-type]
        "currency": move.currency,
    }


def notes(plan: Plan, survey: Survey, first: Sequence[FileRow]) -> Mapping[str, bool]:
    """What was decided about a file of outcomes and might surprise."""
    return {
        "No column is the date: an outcome happened when its lead was captured.": (
            OCCURRED_AT.name not in plan.positions and plan.day is None
        ),
        "No column is the reason: why a lead was lost is unknown.": not plan.says("reason"),
    }


async def _record(session: AsyncSession, origin: Origin, told: Sequence[ToldOutcome]) -> list[Outcome]:
    return await record_outcomes(session, told, origin.installation, system=origin.source, import_id=origin.import_id)


LEAD_OUTCOMES = ImportKind(
    name="lead-outcomes",
    prefix="lead",
    fields=FIELDS,
    read=read,
    shown=shown,
    record=_record,
    withdraw=undo_moves_of_import,
    notes=notes,
)
