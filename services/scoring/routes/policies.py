"""The policy: drafted, compared, approved, activated and retired, each version named by its content."""

from typing import Any

from fastapi import APIRouter, Response

from chassis.auth import Actor
from chassis.clock import now
from chassis.db import driver
from chassis.http import LATEST, Cursor, Limit, Page, Session, TransactionalRoute, decode_cursor, made, page
from chassis.ids import uuid7
from services.scoring.domain.differences import differences
from services.scoring.domain.drafts import drafted
from services.scoring.domain.lives import ActivationPassed, PresetNotFound, State
from services.scoring.domain.policy import Policy
from services.scoring.domain.presets import PRESETS
from services.scoring.models.fields import AnyHash, AnyInstant, PolicyHash
from services.scoring.models.policies import (
    Activation,
    ActivationAsked,
    Difference,
    Differences,
    NewPolicy,
    PolicyLife,
    PolicyTold,
    Preset,
    Presets,
)
from services.scoring.queries import policies as known
from services.scoring.queries.activations import plan, planned_for, refused_of
from services.scoring.queries.recording import deciding_instant
from services.scoring.queries.rulings import Connection, document_of

router = APIRouter(prefix="/v1/policies", tags=["policies"], route_class=TransactionalRoute)

NEWEST = LATEST[0], ""
"""The place before the first page."""


@router.get("")
async def list_policies(
    session: Session, state: State | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[PolicyLife]:
    """Policies and where they are in their life, the one drafted last first."""
    before = decode_cursor(cursor, tuple[AnyInstant, AnyHash]) if cursor else NEWEST
    connection = await driver(session)
    rows = await known.policies_before(connection, before, state=state, limit=limit + 1)
    refused = await refused_of(connection, rows)
    shown = [PolicyLife.stored(row, refused.get(row["hash"])) for row in rows]
    return page(shown, limit=limit, key=lambda policy: (policy.created_at, policy.hash))


@router.post("")
async def draft_policy(body: NewPolicy, session: Session, actor: Actor, response: Response) -> PolicyTold:
    """Draft a policy: a whole document, a part of one laid over the active policy or over `base`, or a preset.

    The same content is the same policy, whoever sends it and however often: then it is answered by 200. One that is
    retired and never was active is a draft again.
    """
    connection = await driver(session)
    policy = drafted(await _base(connection, body), body.document)
    new = await known.draft(connection, policy, now(), actor.key_id)
    made(response, f"/v1/policies/{policy.content_hash}", new=new)
    return await _told(connection, policy.content_hash)


@router.get("/schema")
async def read_policy_schema() -> dict[str, Any]:
    """The JSON Schema of a policy: every field with its meaning, unit and default."""
    return Policy.model_json_schema()


@router.get("/presets")
async def list_presets(session: Session) -> Presets:
    """Policies to begin with. `POST /v1/policies` with the name of one as `preset` drafts it."""
    states = await known.states(await driver(session))
    presets = [(name, policy, policy.content_hash) for name, policy in PRESETS.items()]
    return Presets(
        data=[Preset(name=name, hash=hash, state=states.get(hash), document=policy) for name, policy, hash in presets]
    )


@router.get("/{policy_hash}")
async def read_policy(policy_hash: PolicyHash, session: Session) -> PolicyTold:
    """What a policy says, where it is in its life, and who brought it there."""
    return await _told(await driver(session), policy_hash)


@router.get("/{policy_hash}/diff")
async def compare_policies(policy_hash: PolicyHash, session: Session, against: PolicyHash | None = None) -> Differences:
    """What a policy says otherwise than another, the active one where none is named, in sentences."""
    connection = await driver(session)
    other = await document_of(connection, against) if against else await known.active_policy(connection)
    found = differences(await document_of(connection, policy_hash), other)
    return Differences(
        policy=policy_hash,
        against=other.content_hash,
        differences=[Difference.model_validate(each) for each in found],
    )


@router.post("/{policy_hash}/approve")
async def approve_policy(policy_hash: PolicyHash, session: Session, actor: Actor) -> PolicyTold:
    """Say that a policy that was tried may decide. It is for an admin to say so."""
    connection = await driver(session)
    await known.approve(connection, policy_hash, now(), actor.key_id)
    return await _told(connection, policy_hash)


@router.post("/{policy_hash}/activate")
async def activate_policy(
    policy_hash: PolicyHash, session: Session, actor: Actor, body: ActivationAsked | None = None
) -> PolicyTold:
    """Have an approved policy decide, at once or from an instant to come; the one before it is retired then.

    Every standing is assessed again while events go on. What was active once may be activated again as it is.
    """
    connection, active_from = await driver(session), body.active_from if body else None
    at = await deciding_instant(connection, now())
    if active_from is None:
        await known.activate(connection, policy_hash, at, actor.key_id)
    elif active_from <= at:
        raise ActivationPassed("This instant has passed. Leave it out to activate at once.", now=at.isoformat())
    else:
        await known.check_activation(connection, policy_hash)
        await plan(connection, uuid7(), active_from, policy=policy_hash, at=at, by=actor.key_id)
    return await _told(connection, policy_hash)


@router.post("/{policy_hash}/retire")
async def retire_policy(policy_hash: PolicyHash, session: Session, actor: Actor) -> PolicyTold:
    """Put a policy away that does not decide. Drafted again, it begins anew."""
    connection = await driver(session)
    await known.retire(connection, policy_hash, now(), actor.key_id)
    return await _told(connection, policy_hash)


async def _base(connection: Connection, body: NewPolicy) -> Policy:
    if body.base is not None:
        return await document_of(connection, body.base)
    if body.preset is None:
        return await known.active_policy(connection)
    if body.preset not in PRESETS:
        raise PresetNotFound("No preset has this name.", presets=sorted(PRESETS))
    return PRESETS[body.preset]


async def _told(connection: Connection, policy_hash: str) -> PolicyTold:
    row = await known.policy(connection, policy_hash)
    refused = await refused_of(connection, [row])
    planned = [Activation.stored(each) for each in await planned_for(connection, policy=policy_hash)]
    document = Policy.stored(row["document"])
    return PolicyTold.stored(row, refused.get(policy_hash), document=document, planned=planned)
