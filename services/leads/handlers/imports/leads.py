"""Files of leads: whatever column is no field becomes an attribute."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.imports.fields import EMAIL, OCCURRED_AT, PARTY, PHONE, Field, at_most, mostly
from chassis.imports.headers import weighted
from chassis.imports.kinds import ImportKind, Origin
from chassis.imports.plans import CONTROL, Cells, Plan, Survey, id_of, line_of_text, slug
from chassis.imports.plans import Row as FileRow
from chassis.imports.reasons import Reason, Unreadable
from contracts.identity import Identity, Scheme
from contracts.telling import Outcome
from services.leads.domain.leads import NewLead, subject_first
from services.leads.models.fields import LONGEST_NAME, LONGEST_NOTE, LONGEST_VALUE, MOST_ATTRIBUTES
from services.leads.queries.capture import capture_leads
from services.leads.queries.changes import withdraw_leads_of_import


def _names(prefix: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(rf"{prefix}_[0-9a-f]{{32}}", text) is not None


LEAD_ID = Field("lead_id", weighted({4: "lead", 2: "leadid prospect mql"}), mostly(lambda text: len(text) <= 200))
"""The id of the lead in the source."""

FIELDS = (
    LEAD_ID,
    PARTY,
    EMAIL,
    PHONE,
    OCCURRED_AT.must_be().called({2: "captured submitted", 0: "first contact lead"}),
    Field("source", weighted({4: "source quelle", 3: "origin", 0: "lead utm"}), at_most(200)),
    Field("medium", weighted({4: "medium", 0: "lead utm"}), at_most(200)),
    Field("campaign", weighted({4: "campaign kampagne", 0: "lead utm name"}), at_most(200)),
    Field("owner", weighted({3: "owner", 0: "lead"}), mostly(_names("user"))),
    Field("team", weighted({3: "team", 0: "lead"}), mostly(_names("team"))),
    Field("note", weighted({3: "note notes comment comments remark"})),
)


@dataclass(frozen=True, slots=True)
class LeadRead:
    """A lead as a row tells it; its import is known only when it is recorded."""

    row: int
    lead: NewLead
    occurred_at: datetime


def read(plan: Plan, cells: Cells) -> LeadRead:
    """The lead that a row tells of. Raises `Unreadable`."""
    lead_id, party, email, phone, when, source, medium, campaign, owner, team, note = cells.texts
    if not lead_id and LEAD_ID.name in plan.positions:
        raise Unreadable(Reason.BAD_ID, "The id of the lead is missing.")
    source_id = id_of(lead_id) if lead_id else None
    if len(note) > LONGEST_NOTE:
        raise Unreadable(Reason.BAD_VALUE, f"A note has at most {LONGEST_NOTE} characters.")
    occurred_at = plan.instant(when)
    lead = NewLead(
        identities=_identities(plan, source_id, party=party, email=email, phone=phone),
        system=plan.source,
        source_id=source_id,
        occurred_at=occurred_at,
        source=slug(source, "source") if source else "unknown",
        medium=slug(medium, "medium") if medium else None,
        campaign=slug(campaign, "campaign") if campaign else None,
        attributes=attributes_of(cells.attributes),
        note=line_of_text(note, LONGEST_NOTE),
        owner_id=_id(owner, "user"),
        team_id=_id(team, "team"),
    )
    return LeadRead(cells.row, lead, occurred_at)


def _identities(plan: Plan, source_id: str | None, *, party: str, email: str, phone: str) -> tuple[Identity, ...]:
    given = plan.identities(party=party, email=email, phone=phone)
    if not given and source_id is None:
        raise Unreadable(Reason.NO_PARTY)
    if not given and source_id is not None:
        given = [plan.installation.identity(Scheme.EXTERNAL, source_id, system=plan.source)]
    return subject_first(given)


def attributes_of(cells: Mapping[str, str]) -> dict[str, str]:
    """Columns that are no field, within the bounds of attributes. Raises `Unreadable`."""
    found = {_line(name)[:LONGEST_NAME]: _line(text) for name, text in cells.items()}
    if len(found) > MOST_ATTRIBUTES:
        raise Unreadable(Reason.BAD_VALUE, f"A lead has at most {MOST_ATTRIBUTES} attributes.")
    if any(len(text) > LONGEST_VALUE for text in found.values()):
        raise Unreadable(Reason.BAD_VALUE, f"An attribute has at most {LONGEST_VALUE} characters.")
    return found


def _line(text: str) -> str:
    return unicodedata.normalize("NFC", CONTROL.sub(" ", text))


def _id(text: str, prefix: str) -> UUID | None:
    if not text:
        return None
    if not _names(prefix)(text):
        raise Unreadable(Reason.BAD_VALUE, f"The {prefix} should be an id such as {prefix}_{'0' * 32}.")
    return UUID(hex=text.removeprefix(f"{prefix}_"))


def shown(told: LeadRead) -> Mapping[str, object]:
    """How a lead is shown before anything is recorded."""
    lead = told.lead
    return {
        "lead_id": lead.source_id,
        **{str(identity.scheme): identity.value for identity in lead.identities},
        "occurred_at": told.occurred_at.isoformat(),
        "source": lead.source,
        "medium": lead.medium,
        "campaign": lead.campaign,
        "owner": f"user_{lead.owner_id.hex}" if lead.owner_id else None,
        "team": f"team_{lead.team_id.hex}" if lead.team_id else None,
        "note": lead.note,
    }


def notes(plan: Plan, survey: Survey, first: Sequence[FileRow]) -> Mapping[str, bool]:
    """What was decided about a file of leads and might surprise."""
    others = [name for _, name in plan.others]
    return {
        "No column is the id of the lead: a row is known by the content of its file and its number. The same file "
        "again changes nothing, but the same rows in another file count again.": LEAD_ID.name not in plan.positions,
        "No column is the source: every lead comes from unknown.": not plan.says("source"),
        f"Kept as attributes: {', '.join(others)}.": bool(others),
    }


async def _record(session: AsyncSession, origin: Origin, told: Sequence[LeadRead]) -> list[Outcome]:
    return await capture_leads(
        session,
        [
            replace(each.lead, source_id=each.lead.source_id or origin.row_id(each.row), import_id=origin.import_id)
            for each in told
        ],
    )


LEADS = ImportKind(
    name="leads",
    prefix="lead",
    fields=FIELDS,
    any_of=("lead_id", "party", "email", "phone"),
    read=read,
    shown=shown,
    record=_record,
    withdraw=withdraw_leads_of_import,
    keeps_attributes=True,
    notes=notes,
)
