"""Interactions: recorded in sets, with the problems that they open; corrected and withdrawn one by one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.ids import uuid7
from chassis.outbox import Origins
from contracts.customers import Assignment, InteractionKind, InteractionRecorded
from contracts.identity import Identity, Installation
from contracts.problems import Problem
from contracts.telling import AlreadyWithdrawn, Outcome, Status, ids_of
from services.customers.domain.interactions import InteractionConflict, InteractionNotFound, NewInteraction
from services.customers.domain.problems import NewProblem, ProblemNotFound
from services.customers.models.interactions import Interaction, InteractionRow, InteractionVersion
from services.customers.queries.facts import Kind, record, told_already, withdraw_import
from services.customers.queries.histories import Condition, Place, as_it_stands, as_they_stand, history, to_change
from services.customers.queries.problems import record_problems
from services.customers.queries.versions import versions


def passed(
    told: NewInteraction | InteractionRow,
    id: UUID,
    subject: UUID,
    assignment: Assignment | None,
    *,
    replaces: UUID | None = None,
    replaced_subject: UUID | None = None,
    late_s: int | None = None,
) -> InteractionRecorded:
    """The event of an interaction, or of its correction; without what was said."""
    return InteractionRecorded.model_validate(
        {name: getattr(told, name) for name in _TOLD}
        | {
            "subject": subject,
            "interaction_id": id,
            "replaces": replaces,
            "replaced_subject": replaced_subject,
            "late_s": late_s,
            "assignment": assignment,
        }
    )


_TOLD = (
    "occurred_at",
    "department",
    "role",
    "channel",
    "kind",
    "direction",
    "attitude",
    "speed",
    "quality",
    "loss_reason",
    "competitor",
    "problem_id",
    "source",
)
"""What an event tells of an interaction."""

COLUMNS = {
    "department": "text",
    "role": "text",
    "channel": "text",
    "kind": "text",
    "direction": "text",
    "attitude": "smallint",
    "speed": "smallint",
    "quality": "smallint",
    "text": "text",
    "problem_id": "uuid",
    "loss_reason": "text",
    "competitor": "text",
    "author_id": "uuid",
    "import_id": "uuid",
}

INTERACTIONS = Kind[NewInteraction](
    name="interaction",
    table="interaction",
    own_columns=COLUMNS | {"problem_category": "text", "problem_severity": "text"},
    own_values=lambda told: [*(getattr(told, name) for name in COLUMNS), *(told.opens or (None, None))],
    conflict=InteractionConflict,
    event=passed,
)


async def record_interactions(
    session: AsyncSession, rows: Sequence[NewInteraction], installation: Installation, origins: Origins = None
) -> list[Outcome]:
    """Record interactions of any number, and open the problems of those that are new; what became of each, in order."""
    refused = await _refused(session, rows)
    told = [replace(row, problem_id=uuid7()) if row.opens else row for row in rows]
    taken = [place for place, why in enumerate(refused) if why is None]
    recorded = iter(
        await record(
            session,
            INTERACTIONS,
            [told[place] for place in taken],
            installation,
            origins and [origins[place] for place in taken],
        )
    )
    outcomes = [Outcome(Status.REJECTED, problem=why) if why else next(recorded) for why in refused]
    opening = {
        outcome.id: place
        for place, outcome in enumerate(outcomes)
        if told[place].opens and outcome.id and outcome.status is Status.ACCEPTED
    }
    if opening:
        subjects = await (await driver(session)).fetch(_SUBJECTS, list(opening))
        places = [opening[row["id"]] for row in subjects]
        problems = [_opened(told[place], row["identity_id"]) for place, row in zip(places, subjects, strict=True)]
        await record_problems(session, problems, installation, origins and [origins[place] for place in places])
    return outcomes


def _opened(told: NewInteraction, subject: UUID) -> NewProblem:
    assert told.opens is not None
    return NewProblem(
        id=told.problem_id,
        party=Identity(subject),
        source=told.source,
        occurred_at=told.occurred_at,
        category=told.opens.category,
        severity=told.opens.severity,
        author_id=told.author_id,
    )


async def check_problem(session: AsyncSession, problem_id: UUID) -> None:
    """Raise `ProblemNotFound` or `AlreadyWithdrawn` where nothing can be about such a problem."""
    if unfit := (await _unfit_problems(session, {problem_id})).get(problem_id):
        raise unfit


async def _refused(session: AsyncSession, rows: Sequence[NewInteraction]) -> list[Problem | None]:
    """Of each row, why its problem is none that it can be about. What is told again was about it in its time."""
    unfit = await _unfit_problems(session, {row.problem_id for row in rows if row.problem_id})
    if not any(isinstance(why, AlreadyWithdrawn) for why in unfit.values()):
        return [unfit.get(row.problem_id) for row in rows]
    again = await told_already(session, INTERACTIONS, rows)
    return [
        None if old and isinstance(why, AlreadyWithdrawn) else why
        for old, why in zip(again, (unfit.get(row.problem_id) for row in rows), strict=True)
    ]


async def _unfit_problems(session: AsyncSession, named: set[UUID]) -> dict[UUID | None, Problem]:
    """What is wrong with problems; those that stand do so until the transaction ends."""
    if not named:
        return {}
    found = {row["id"]: row["withdrawn_at"] for row in await (await driver(session)).fetch(_NAMED, sorted(named))}
    gone = AlreadyWithdrawn("The problem was withdrawn; nothing new is about it.")
    unfit: dict[UUID | None, Problem] = {id: gone for id, withdrawn_at in found.items() if withdrawn_at}
    return unfit | {id: ProblemNotFound("There is no such problem.") for id in named - found.keys()}


async def withdraw_interactions(session: AsyncSession, import_id: UUID, limit: int) -> int:
    """Withdraw up to `limit` interactions of an import; return how many, 0 when none is left."""
    return await withdraw_import(session, "interaction", import_id, limit)


async def interaction_to_change(session: AsyncSession, interaction_id: UUID) -> InteractionRow:
    """The interaction, locked until the transaction ends, so that its events keep their order."""
    return await to_change(session, InteractionRow, interaction_id, _missing())


async def interaction(session: AsyncSession, interaction_id: UUID, installation: Installation) -> Interaction:
    """The interaction as it is shown. Raises `InteractionNotFound`."""
    row = await as_it_stands(session, "interaction", interaction_id, installation, _missing())
    return Interaction.model_validate(dict(row))


async def recorded_interactions(
    session: AsyncSession, outcomes: Iterable[Outcome], installation: Installation
) -> dict[UUID, Interaction]:
    """Those that now stand for what was told, as they are shown."""
    rows = await as_they_stand(session, "interaction", ids_of(outcomes), installation)
    return {row["id"]: Interaction.model_validate(dict(row)) for row in rows}


def _missing() -> InteractionNotFound:
    return InteractionNotFound("There is no such interaction.")


async def interactions(
    session: AsyncSession,
    installation: Installation,
    *,
    party_id: UUID | None,
    where: Sequence[Condition],
    before: Place,
    limit: int,
) -> list[Interaction]:
    """Interactions with the party that an id leads to, or with all, the latest first, without those withdrawn."""
    rows = await history(
        session, "interaction", installation, party_id=party_id, where=where, before=before, limit=limit
    )
    return [Interaction.model_validate(dict(row)) for row in rows]


async def versions_of_interaction(
    session: AsyncSession, interaction_id: UUID, installation: Installation, *, before: int, limit: int
) -> list[InteractionVersion]:
    """Every version of an interaction, the latest first. Raises `InteractionNotFound`."""
    await interaction(session, interaction_id, installation)
    rows = await versions(session, "interaction", interaction_id, installation, before=before, limit=limit)
    return [InteractionVersion.model_validate(dict(row)) for row in rows]


_NAMED = "SELECT id, withdrawn_at FROM problem WHERE id = ANY($1) ORDER BY id FOR SHARE"

_SUBJECTS = "SELECT id, identity_id FROM interaction WHERE id = ANY($1) ORDER BY id"
"""Of accepted rows, which this transaction has inserted."""

ASKING = (InteractionKind.INQUIRY, InteractionKind.CONTACT, InteractionKind.COMPLAINT, InteractionKind.SUPPORT)
"""Whoever turns to us with one of these waits for an answer."""

# Whoever holds the identity now is asked for by all that they hold: they may have been called on another number.
UNANSWERED = """fact.direction = 'inbound' AND fact.kind = ANY({}) AND NOT EXISTS (
    SELECT FROM holding AS asked JOIN party AS asker ON asker.id = asked.party_id
    JOIN holding AS other ON other.party_id = asker.resolves_to
        OR other.party_id IN (SELECT id FROM party WHERE resolves_to = asker.resolves_to AND resolves_to <> id)
    JOIN interaction AS answer ON answer.identity_id = other.identity_id
    WHERE asked.identity_id = fact.identity_id AND asked.until_day IS NULL
        AND answer.direction = 'outbound' AND answer.occurred_at > fact.occurred_at AND answer.withdrawn_at IS NULL
)"""
"""Condition: nobody turned to the party since; takes the kinds."""
