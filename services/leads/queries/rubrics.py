"""The rubric in force, and those that were."""

from datetime import datetime
from functools import lru_cache

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.http import LAST_VERSION
from services.leads.domain.rubrics import FIRST, Rubric, RubricNotFound
from services.leads.models.rubrics import ActivatedRubric

BARRIER = 7_101
"""Advisory lock: shared by whoever grades a lead by the rubric in force, exclusive for activating another one.

So a lead that is captured while another rubric comes into force is graded by that one, or is there to be graded anew.
"""


async def open_rubrics(session: AsyncSession, at: datetime) -> None:
    """Have a rubric in force."""
    connection = await driver(session)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM activation)"):
        await activate(session, FIRST, at, by=None)


async def in_force(session: AsyncSession) -> Rubric:
    """The rubric that holds until this transaction ends."""
    connection = await driver(session)
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", BARRIER)
    document = await connection.fetchval(_IN_FORCE)
    if document is None:
        raise LookupError("the leads were never opened")
    return _rubric(document)


async def activate(session: AsyncSession, rubric: Rubric, at: datetime, *, by: str | None) -> None:
    """Have a rubric grade whatever comes in from now on, and all leads that are there, bit by bit.

    `by` is the key that decided on it; none for the first one.

    The caller has called `last_activation`, after which nobody grades.
    """
    connection = await driver(session)
    await connection.execute(
        "INSERT INTO rubric (hash, document) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        rubric.content_hash,
        rubric.model_dump_json(),
    )
    await connection.execute(_SUPERSEDE, at)
    await connection.execute(_ACTIVATE, rubric.content_hash, at, by)


async def last_activation(session: AsyncSession) -> ActivatedRubric:
    """The rubric in force, with nobody grading or activating until the transaction ends."""
    connection = await driver(session)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", BARRIER)
    return await present_activation(session)


async def present_activation(session: AsyncSession) -> ActivatedRubric:
    """The rubric in force."""
    [shown] = await activations(session, before=LAST_VERSION, limit=1)
    return shown


async def activations(session: AsyncSession, *, before: int, limit: int) -> list[ActivatedRubric]:
    """Rubrics as they were activated, the last one first."""
    rows = await (await driver(session)).fetch(_ACTIVATIONS, before, limit)
    return [ActivatedRubric.model_validate({**row, "rubric": _rubric(row["document"])}) for row in rows]


async def rubric_named(session: AsyncSession, content_hash: str) -> Rubric:
    """A rubric that is or was in force. Raises `RubricNotFound`."""
    document = await (await driver(session)).fetchval("SELECT document FROM rubric WHERE hash = $1", content_hash)
    if document is None:
        raise RubricNotFound("No rubric with this content was ever activated.")
    return _rubric(document)


@lru_cache(maxsize=64)
def _rubric(document: str) -> Rubric:
    return Rubric.model_validate_json(document)


_IN_FORCE = """
SELECT document FROM activation JOIN rubric ON rubric.hash = activation.rubric ORDER BY activation.id DESC LIMIT 1
"""

_ACTIVATIONS = """
SELECT activation.id AS activation, rubric.hash AS content_hash, document, activated_at, activated_by, state, leads,
       graded, changed, started_at, finished_at
FROM activation JOIN rubric ON rubric.hash = activation.rubric
WHERE activation.id < $1
ORDER BY activation.id DESC LIMIT $2
"""

_SUPERSEDE = """
UPDATE activation SET state = 'superseded', finished_at = $1 WHERE state IN ('waiting', 'running')
"""

_ACTIVATE = """
INSERT INTO activation (rubric, activated_at, activated_by, state, leads, finished_at)
SELECT $1, $2::timestamptz, $3, CASE WHEN there.count = 0 THEN 'done' ELSE 'waiting' END, there.count,
       CASE WHEN there.count = 0 THEN $2::timestamptz END
FROM (SELECT count(*) FROM lead WHERE withdrawn_at IS NULL) AS there
"""
