"""Files of contacts: who is known in another system, and by which identifiers."""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.imports.dates import stamp_of
from chassis.imports.fields import EMAIL, OCCURRED_AT, PARTY, PHONE, Field, mostly
from chassis.imports.headers import weighted
from chassis.imports.kinds import ImportKind, Noted, Origin
from chassis.imports.plans import Cells, Plan
from chassis.imports.reasons import Reason, RowReason, Unreadable
from contracts.customers import PartyKind
from contracts.telling import Outcome, Status
from services.customers.domain.registrations import NewRegistration, Registered
from services.customers.queries.names import name_unnamed
from services.customers.queries.registrations import record_registrations, withdraw_registrations


class PartyReason(RowReason):
    """What can be said of rows of parties alone."""

    IDENTIFIERS_OF_SEVERAL_PARTIES = "identifiers_of_several_parties"
    """The row is taken; what other parties hold stays theirs, and they may be duplicates."""


KINDS = {
    **dict.fromkeys(("person", "individual", "contact", "b2c", "個人", "个人"), PartyKind.PERSON),
    **dict.fromkeys(
        ("organisation", "organization", "company", "business", "firm", "b2b", "公司", "企業", "企业"),
        PartyKind.ORGANISATION,
    ),
}

KIND = Field(
    "kind", weighted({3: "kind type", 0: "customer contact party account"}), mostly(lambda text: text.lower() in KINDS)
)

NAME = Field(
    "name",
    weighted({3: "name fullname displayname nom nombre", 0: "full display customer contact party client company"}),
    mostly(lambda text: len(text) <= 200 and any(map(str.isalpha, text))),
)
"""What it is called: the whole name in one column."""

SINCE = Field(
    OCCURRED_AT.name,
    weighted(
        {
            3: "registered created since signup joined occurred",
            2: "registration creation",
            0: "date time day timestamp at on",
        }
    ),
    mostly(lambda text: stamp_of(text) is not None),
)
"""When it became known. Other dates of a contact say something else."""


def told(plan: Plan, cells: Cells) -> NewRegistration:
    """The party that a row tells of. Raises `Unreadable`."""
    party, email, phone, kind, since, name = cells.texts
    identities = plan.identities(party=party, email=email, phone=phone)
    if not identities:
        raise Unreadable(Reason.NO_PARTY)
    if kind and kind.lower() not in KINDS:
        raise Unreadable(Reason.BAD_VALUE, "A kind is person or organisation.")
    return NewRegistration(
        identities=tuple(identities),
        kind=KINDS[kind.lower()] if kind else PartyKind.PERSON,
        occurred_at=plan.instant_if_said(since),
        name=plain_name(name),
    )


def plain_name(text: str | None) -> str | None:
    """A name in one line; none that is longer than names are."""
    name = " ".join("".join(sign if sign.isprintable() else " " for sign in text or "").split())
    return name if 0 < len(name) <= 200 else None


def shown(told: NewRegistration) -> Mapping[str, object]:
    """A party before it is recorded."""
    names = {"external": "party"}
    return {
        **{names.get(str(identity.scheme), str(identity.scheme)): identity.value for identity in told.identities},
        "kind": told.kind,
        "occurred_at": told.occurred_at and told.occurred_at.isoformat(),
        **({"name": told.name} if told.name else {}),
    }


async def record(session: AsyncSession, origin: Origin, rows: Sequence[NewRegistration]) -> list[Outcome]:
    """Make the parties known; those whose identifiers others hold as well are noted."""
    found = await record_registrations(session, rows, import_id=origin.import_id, source=origin.source)
    await name_unnamed(session, {row.party_id: told.name for row, told in zip(found, rows, strict=True) if told.name})
    return [_outcome(row) for row in found]


def _outcome(row: Registered) -> Outcome:
    status = Status.ACCEPTED if row.news else Status.DUPLICATE
    if not row.others:
        return Outcome(status, row.party_id)
    parties = ", ".join(f"party_{other.hex}" for other in row.others)
    return Noted(
        status=status,
        id=row.party_id,
        note=PartyReason.IDENTIFIERS_OF_SEVERAL_PARTIES,
        said=f"It is party_{row.party_id.hex}; some identifiers are those of {parties}. See /v1/duplicates.",
    )


PARTIES = ImportKind(
    name="parties",
    prefix="party",
    fields=(PARTY, EMAIL, PHONE, KIND, SINCE, NAME),
    any_of=(PARTY.name, EMAIL.name, PHONE.name),
    read=told,
    shown=shown,
    record=record,
    withdraw=withdraw_registrations,
)
