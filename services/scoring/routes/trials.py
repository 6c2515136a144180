"""What-if: a policy tried over the whole history, beside the active one, without any effect."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from fastapi import APIRouter, Request, Response, status
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from chassis.auth import Actor, Reach
from chassis.clock import now
from chassis.db import Database, driver
from chassis.http import LATEST, Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, page
from chassis.ids import uuid7
from services.scoring.domain.moment import Care
from services.scoring.domain.trials import TrialAhead, TrialOfAnother
from services.scoring.models.fields import PolicyHash, TrialId
from services.scoring.models.trials import Trial, TrialAsked
from services.scoring.queries import policies
from services.scoring.queries import trials as known
from services.scoring.queries.reading import snapshot
from services.scoring.queries.rulings import present, ruling_asked
from services.scoring.routes.reach import CareOf

router = APIRouter(prefix="/v1", tags=["policies"], route_class=TransactionalRoute)
streams = APIRouter(prefix="/internal", include_in_schema=False, route_class=APIRoute)

PAGE = 2_000
"""Kept moves that are read at once."""


@router.post("/policies/{policy_hash}/trials", status_code=status.HTTP_202_ACCEPTED)
async def try_policy(
    policy_hash: PolicyHash, session: Session, actor: Actor, response: Response, body: TrialAsked | None = None
) -> Trial:
    """Try a policy over the whole history: who would stand where, who moved when, how often it was wrong.

    It is carried out in the background, beside the active policy and without any effect; `GET` tells how far it is.
    When it is done, and somebody stood somewhere at its end, the policy is tried and can be approved.
    """
    connection, asked = await driver(session), body or TrialAsked()
    # A preset has to be drafted before it is tried: it is that policy that is tried then.
    await policies.policy(connection, policy_hash)
    await ruling_asked(connection, None, policy=policy_hash, model=asked.model)
    today = (await present(connection)).ruling.day(now())
    if (last := asked.until or asked.from_day) and last.toordinal() > today:
        raise TrialAhead("What comes is not known: `from` and `until` are today at the latest.")
    await known.check_waiting(connection)
    trial_id = uuid7()
    row = await known.ask_for_trial(
        connection, trial_id, policy_hash, model=asked.model, span=(asked.from_day, asked.until),
        keep_moves=asked.keep_moves, at=now(), by=actor.key_id,
    )  # fmt: skip
    response.headers["Location"] = f"/v1/trials/trial_{trial_id.hex}"
    return Trial.stored(row, whole=True)


@router.get("/trials")
async def list_trials(
    session: Session, policy: PolicyHash | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[Trial]:
    """Trials without their results, the newest first."""
    before = decode_cursor(cursor, tuple[UUID])[0] if cursor else LATEST[1]
    rows = await known.trials_before(await driver(session), before, policy=policy, limit=limit + 1)
    return page([Trial.stored(row, whole=False) for row in rows], limit=limit, key=lambda trial: (trial.id,))


@router.get("/trials/{trial_id}")
async def read_trial(trial_id: TrialId, session: Session) -> Trial:
    """How far a trial is, and what came out."""
    return Trial.stored(await known.trial(await driver(session), trial_id), whole=True)


@router.delete("/trials/{trial_id}")
async def end_trial(trial_id: TrialId, session: Session, actor: Actor) -> Trial:
    """Cancel a trial that has not come to its end, and forget the moves that it kept. Its result stays."""
    connection = await driver(session)
    if actor.reach is not Reach.ALL and (await known.trial(connection, trial_id))["asked_by"] != actor.key_id:
        raise TrialOfAnother("You end only trials that you asked for. An analyst or an operator ends any.")
    await known.end(connection, trial_id, now())
    return Trial.stored(await known.trial(connection, trial_id), whole=True)


@streams.get("/trials/{trial_id}/moves", response_class=StreamingResponse)
async def read_moves_of_trial(trial_id: TrialId, request: Request, care: CareOf) -> StreamingResponse:
    """Every move that a trial kept as a line of JSON, party by party and each in order."""
    database: Database = request.app.state.database
    async with snapshot(database) as connection:
        await known.check_moves(connection, trial_id)
    return StreamingResponse(_moves(database, trial_id, care), media_type="application/x-ndjson")


async def _moves(database: Database, trial_id: UUID, care: Care | None) -> AsyncIterator[bytes]:
    async with snapshot(database) as connection:
        async for rows in known.moves_of(connection, trial_id, PAGE, care):
            yield b"".join(msgspec.json.encode(_told(row)) + b"\n" for row in rows)


def _told(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "party_id": f"party_{row['party_id'].hex}",
        "at": row["at"],
        "from": row["from_stage"],
        "to": row["to_stage"],
        "from_tier": row["from_tier"],
        "to_tier": row["to_tier"],
        "kind": row["kind"],
        "reason": row["reason"],
    }
