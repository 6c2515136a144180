"""Returns: recorded in sets, with or without a known purchase."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.outbox import Origins
from contracts.customers import Assignment, PurchaseReturned
from contracts.identity import Identity, Installation
from contracts.telling import AlreadyWithdrawn, Outcome, Status, ids_of
from services.customers.domain.purchases import NewReturn, ReturnConflict, ReturnNotFound
from services.customers.models.purchases import PurchaseRow, Return, ReturnOfPurchase, ReturnRow, ReturnVersion
from services.customers.queries.facts import Kind, record, withdraw_import
from services.customers.queries.histories import Condition, Place, as_it_stands, as_they_stand, history, to_change
from services.customers.queries.purchases import MONEY, money
from services.customers.queries.versions import versions


def came_back(
    told: NewReturn | ReturnRow,
    id: UUID,
    subject: UUID,
    assignment: Assignment | None,
    *,
    purchase_id: UUID | None,
    replaces: UUID | None = None,
    replaced_subject: UUID | None = None,
    late_s: int | None = None,
) -> PurchaseReturned:
    """The event of a return, or of its correction."""
    return PurchaseReturned(
        subject=subject,
        occurred_at=told.occurred_at,
        return_id=id,
        purchase_id=purchase_id,
        amount_minor=told.amount_minor,
        currency=told.currency,
        source=told.source,
        channel=told.channel,
        replaces=replaces,
        replaced_subject=replaced_subject,
        late_s=late_s,
        assignment=assignment,
    )


def _returns(originals: Mapping[tuple[str, str], UUID]) -> Kind[NewReturn]:
    def event(told: NewReturn, id: UUID, subject: UUID, assignment: Assignment | None) -> PurchaseReturned:
        purchase_id = told.purchase_id or originals.get((told.source, told.original_id or ""))
        return came_back(told, id, subject, assignment, purchase_id=purchase_id)

    return Kind(
        name="return",
        table="purchase_return",
        own_columns=MONEY | {"original_id": "text", "purchase_id": "uuid"},
        own_values=lambda told: [*money(told), told.original_id, told.purchase_id],
        conflict=ReturnConflict,
        event=event,
    )


async def record_returns(
    session: AsyncSession, rows: Sequence[NewReturn], installation: Installation, origins: Origins = None
) -> list[Outcome]:
    """Record returns of any number; return what became of each, in their order.

    A purchase named by its id in the source is looked for; a return may also come before it.
    """
    named = sorted({(row.source, row.original_id) for row in rows if row.original_id and not row.purchase_id})
    found = await (await driver(session)).fetch(_ORIGINALS, *zip(*named, strict=True)) if named else []
    originals = {(row["source"], row["source_id"]): row["id"] for row in found}
    return await record(session, _returns(originals), rows, installation, origins)


async def record_return_of(
    session: AsyncSession, purchase: PurchaseRow, given: ReturnOfPurchase, installation: Installation
) -> Outcome:
    """Record a return of a locked purchase. Raises `AlreadyWithdrawn` for one that is new."""
    told = NewReturn(
        party=Identity(purchase.identity_id),
        purchase_id=purchase.id,
        currency=purchase.currency,
        **given.model_dump(),
    )
    [outcome] = await record_returns(session, [told], installation)
    if outcome.status is Status.ACCEPTED and purchase.withdrawn_at is not None:
        raise AlreadyWithdrawn("The purchase was withdrawn; nothing of it can come back.")
    return outcome


async def withdraw_returns(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Withdraw up to `limit` returns of an import; return how many, 0 when none is left."""
    return await withdraw_import(session, "purchase_return", import_id, limit)


async def return_to_change(session: AsyncSession, return_id: UUID) -> ReturnRow:
    """The return, locked until the transaction ends, so that its events keep their order."""
    return await to_change(session, ReturnRow, return_id, _missing())


async def returned(session: AsyncSession, return_id: UUID, installation: Installation) -> Return:
    """The return as it is shown. Raises `ReturnNotFound`."""
    row = await as_it_stands(session, "purchase_return", return_id, installation, _missing(), _COLUMNS)
    return Return.model_validate(dict(row))


async def recorded_returns(
    session: AsyncSession, outcomes: Iterable[Outcome], installation: Installation
) -> dict[UUID, Return]:
    """Those that now stand for what was told, as they are shown."""
    rows = await as_they_stand(session, "purchase_return", ids_of(outcomes), installation, _COLUMNS)
    return {row["id"]: Return.model_validate(dict(row)) for row in rows}


def _missing() -> ReturnNotFound:
    return ReturnNotFound("There is no such return.")


async def returns(
    session: AsyncSession,
    installation: Installation,
    *,
    party_id: UUID | None,
    where: Sequence[Condition],
    before: Place,
    limit: int,
) -> list[Return]:
    """Returns of the party that an id leads to, or of all, the latest first, without those withdrawn."""
    rows = await history(
        session,
        "purchase_return",
        installation,
        party_id=party_id,
        where=where,
        columns=_COLUMNS,
        before=before,
        limit=limit,
    )
    return [Return.model_validate(dict(row)) for row in rows]


async def versions_of_return(
    session: AsyncSession, return_id: UUID, installation: Installation, *, before: int, limit: int
) -> list[ReturnVersion]:
    """Every version of a return, the latest first. Raises `ReturnNotFound`."""
    # Which purchase it belongs to is no content: a correction cannot change it.
    purchase_id = (await returned(session, return_id, installation)).purchase_id
    rows = await versions(session, "purchase_return", return_id, installation, before=before, limit=limit)
    return [ReturnVersion.model_validate(dict(row) | {"purchase_id": purchase_id}) for row in rows]


async def original_of(session: AsyncSession, row: ReturnRow) -> UUID | None:
    """The purchase that a return names by its id in the source, if it is there."""
    found = await (await driver(session)).fetchrow(_ORIGINALS, [row.source], [row.original_id])
    return found["id"] if found else None


_ORIGINALS = """
SELECT purchase.id, purchase.source, purchase.source_id FROM unnest($1::text[], $2::text[]) AS asked(source, source_id)
JOIN purchase ON purchase.source = asked.source AND purchase.source_id = asked.source_id
WHERE withdrawn_at IS NULL
"""

_COLUMNS = f"""
{", ".join(f"fact.{name}" for name in ReturnRow.model_fields if name != "purchase_id")},
coalesce(fact.purchase_id, (
    SELECT id FROM purchase
    WHERE source = fact.source AND source_id = fact.original_id AND withdrawn_at IS NULL
)) AS purchase_id
"""
