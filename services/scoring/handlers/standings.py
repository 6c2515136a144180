"""How a party under its lock comes to stand otherwise: the row, its revision, and what others are told."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import Any, cast
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.telemetry import child_of
from contracts.event import Event
from contracts.scoring import Cause, MoveKind, StandingChanged, StandingRecorded, StandingRegraded
from contracts.topics import STANDINGS
from services.scoring.domain.history import History
from services.scoring.domain.standing import Standing, standing
from services.scoring.domain.together import assess_together
from services.scoring.domain.trajectory import Regrading
from services.scoring.handlers.changes import Assessed, Change, moved, regraded
from services.scoring.handlers.passing import Passed, passed
from services.scoring.queries.rulings import Connection, Present, ruling_of
from services.scoring.queries.standings import append_moves, write_standings


async def record(
    session: AsyncSession,
    connection: Connection,
    here: Present,
    parties: Sequence[Assessed],
    known: Passed | None = None,
) -> None:
    """Write how locked parties stand, by the end of the transaction, and tell others what became different.

    The last change of a party merged into another comes before that of the other, whose revision is above both.
    `known` is what `passed` gives for them and others, where that was worked out before they were locked.
    """
    revisions, reruled_by = _revisions(parties), await reruled(connection, here, (party.row for party in parties))
    rows: list[tuple[object, ...]] = []
    lived: list[tuple[object, ...]] = []
    events: list[tuple[Event | UUID, outbox.Origin]] = []
    origins = {trace: outbox.origin(traceparent=child_of(trace)) for trace in {each.traceparent for each in parties}}
    together = passed(parties, here.ruling, reruled_by) if known is None else known
    decided = {
        party.party_id: together.get(party.party_id) or _alone(party, here, reruled_by.get(party.row["ruling"]))
        for party in parties
    }
    begun = _begun(parties, decided, here)
    for party in sorted(parties, key=lambda party: party.merged_into is None):
        why = reruled_by.get(party.row["ruling"])
        now, changes = decided[party.party_id]
        if (since := begun.get(party.party_id, now.since)) != now.since:
            now = msgspec.structs.replace(now, since=since)
        changes = changes or regraded(party, now, here, why)
        if not changes and _must_be_told(party, now):
            kind = MoveKind.VANISHED if now.stage is None else MoveKind.REVISED
            stays = now.stage, now.tier
            change = Change.made(
                Cause.ASSIGNMENT,
                kind=kind,
                before=stays,
                after=stays,
                value_minor=now.value_minor,
                loss_reason=now.loss_reason,
                at=party.at,
            )
            changes = [change]
        revision, origin = revisions[party.party_id], origins[party.traceparent]
        for change in changes:
            revision += 1
            into = party.merged_into if change is changes[-1] else None
            told = now if change is changes[-1] else change.then
            if told and change.kind is Regrading.REGRADED:
                events.append((_regraded(party, change, revision, told, here), origin))
            else:
                events.append((_changed(party, change, revision, told, into, here), origin))
            lived.append((party.party_id, revision, *change[:9], party.at, change.fact_id, into, here.ruling_id))
        if changes:
            events.append((_state(party, revision, changes[-1].occurred_at, now, here) or party.party_id, origin))
        elif now.since != party.row["since"] and (state := _state(party, revision, party.at, now, here)):
            events.append((state, origin))
        if party.merged_into is not None:
            revisions[party.merged_into] = max(revision, revisions[party.merged_into])
        rows.append(
            (
                party.party_id, party.redirect.resolves_to if party.redirect else party.row["resolves_to"],
                party.redirect.version if party.redirect else party.row["resolution_version"],
                revision, party.first_identity,
                now.stage, now.tier, now.since, now.value_minor, now.spend_minor, now.purchase_days, now.first_day,
                now.last_day, now.last_sign_day, now.last_contact_day, now.loss_reason, now.next_change_at,
                now.next_stage_at, now.next_stage, now.p, now.turnover_minor, now.level, now.satisfaction,
                now.satisfaction_band, now.loyalty, now.loyalty_band, now.posture, now.treatment,
                " ".join(now.flags), now.vip, now.potential, party.at, here.ruling_id,
            )
        )  # fmt: skip
    _tell(session, events)
    await write_standings(session, rows)
    if lived:
        await append_moves(session, lived)


def _alone(party: Assessed, here: Present, reruled: Cause | None) -> tuple[Standing, list[Change]]:
    history = party.history or History(party.calendar, here.ruling)
    now = standing(history, party.at)
    return now, list(moved(party, history, now, here, reruled))


def _begun(parties: Sequence[Assessed], decided: Passed, here: Present) -> dict[UUID, date | None]:
    """Of whom others have decided before: the first day of the stage, as it is stored if nothing moved the stage since.

    To ask each ruling that there ever was takes longer than all else about an event.
    """
    found: dict[UUID, date | None] = {}
    if not here.lived.earlier:
        return found
    until, asked = here.lived.earlier[0].until, list[Assessed]()
    for party in parties:
        now, changes = decided[party.party_id]
        if now.since is None or now.since.toordinal() > min(until, here.ruling.day(party.at)):
            continue
        if _stays_as_stored(party, now, changes, here):
            found[party.party_id] = party.row["since"]
        else:
            asked.append(party)
    lived = assess_together([(party.calendar, party.at) for party in asked], here.as_lived)
    return found | {party.party_id: each.since for party, each in zip(asked, lived, strict=True)}


def _stays_as_stored(party: Assessed, now: Standing, changes: Sequence[Change], here: Present) -> bool:
    row, day, until = party.row, here.ruling.day, here.lived.earlier[0].until
    if party.corrected or row["since"] is None or row["stage"] != now.stage:
        return False
    if any(change.from_stage is not change.to_stage for change in changes):
        return False
    # What the last day of the ruling before brought, that one decided.
    if any(day(fact.occurred_at) <= until for fact in party.facts):
        return False
    assessed, due = day(row["assessed_at"]), row["next_change_at"]
    entries = party.calendar.entries
    behind = bisect_left(entries, (assessed + 1,))
    if behind < len(entries) and entries[behind][0] <= until:
        # It was dated ahead: the stage may have begun anew with it.
        return False
    if row["ruling"] >= here.lived.own_from:
        return assessed >= until
    before = here.lived.earlier[1].until if len(here.lived.earlier) > 1 else 0
    undisturbed = due is None or day(due) > until
    return bool(row["ruling"] >= here.lived.built_on_from and before <= assessed <= until and undisturbed)


async def reruled(connection: Connection, here: Present, rows: Iterable[asyncpg.Record]) -> dict[int, Cause]:
    """Of each older ruling that a party stood under by its row, what the present one changed."""
    older = {row["ruling"] for row in rows} - {here.ruling_id, None}
    return {number: here.ruling.cause_after((await ruling_of(connection, number)).ruling) for number in older}


def _revisions(parties: Sequence[Assessed]) -> dict[UUID, int]:
    """The revision that each party goes on from: of those that come together, the highest."""
    revisions: dict[UUID, int] = {party.party_id: party.row["revision"] for party in parties}
    for party in parties:
        if party.merged_into is not None:
            revisions[party.party_id] = max(revisions[party.party_id], revisions[party.merged_into])
    return revisions


def _must_be_told(party: Assessed, now: Standing) -> bool:
    """A merge is told even where stage and tier stay, unless nobody ever heard of the party."""
    if party.merged_into is not None:
        return bool(party.row["revision"])
    return party.survives and now.stage is not None


def _changed(
    party: Assessed, change: Change, revision: int, now: Standing | None, merged_into: UUID | None, here: Present
) -> StandingChanged:
    return StandingChanged.of(
        {
            "subject": party.party_id,
            "occurred_at": change.occurred_at,
            "revision": revision,
            "cause": change.cause,
            "kind": MoveKind(change.kind),
            "from_stage": change.from_stage,
            "to_stage": change.to_stage,
            "from_tier": change.from_tier,
            "to_tier": change.to_tier,
            "value_minor": None if change.to_stage is None else change.value_minor,
            "currency": here.currency,
            "fact_id": change.fact_id,
            "late_s": change.late_s,
            "next_change_at": now.next_change_at if now else None,
            "loss_reason": change.loss_reason,
            "merged_into": merged_into,
            **_versions(here),
            **(_grades(now) if now and now.stage else _UNGRADED),
        }
    )


def _versions(here: Present) -> dict[str, Any]:
    ruling = here.ruling
    return {"policy": ruling.policy.content_hash, "model": ruling.model.content_hash if ruling.model else None}


def _grades(now: Standing) -> dict[str, Any]:
    return {
        "treatment": now.treatment,
        "level": now.level,
        "satisfaction_band": now.satisfaction_band,
        "loyalty_band": now.loyalty_band,
        "posture": now.posture,
        "flags": now.flags,
        "vip": now.vip,
        "potential": now.potential,
    }


_UNGRADED = dict.fromkeys(
    ("treatment", "level", "satisfaction_band", "loyalty_band", "posture", "flags", "vip", "potential")
)


def _regraded(party: Assessed, change: Change, revision: int, now: Standing, here: Present) -> StandingRegraded:
    assert now.stage is not None
    assert now.tier is not None
    return StandingRegraded.of(
        {
            "subject": party.party_id,
            "occurred_at": change.occurred_at,
            "revision": revision,
            "cause": change.cause,
            "stage": now.stage,
            "tier": now.tier,
            "value_minor": now.value_minor,
            "currency": here.currency,
            "fact_id": change.fact_id,
            "late_s": change.late_s,
            "next_change_at": now.next_change_at,
            "loss_reason": now.loss_reason,
            **_versions(here),
            **_grades(now),
        }
    )


def _state(party: Assessed, revision: int, at: datetime, now: Standing, here: Present) -> StandingRecorded | None:
    if now.stage is None:
        return None
    assert now.tier is not None
    assert now.since is not None
    return StandingRecorded.of(
        {
            "subject": party.party_id,
            "occurred_at": at,
            "revision": revision,
            "stage": now.stage,
            "tier": now.tier,
            "since": now.since,
            "value_minor": now.value_minor,
            "currency": here.currency,
            "purchase_days": now.purchase_days,
            "loss_reason": now.loss_reason,
            "next_change_at": now.next_change_at,
            **_versions(here),
            **_grades(now),
        }
    )


def _tell(session: AsyncSession, events: Sequence[tuple[Event | UUID, outbox.Origin]]) -> None:
    """Publish events and tombstones (given as the party) in order, each with what it comes of."""
    for are_events, run in groupby(events, key=lambda event: isinstance(event[0], Event)):
        said, origins = zip(*run, strict=True)
        if are_events:
            outbox.append(session, *cast("Sequence[Event]", said), origins=origins)
        else:
            for party_id in cast("Sequence[UUID]", said):
                outbox.tombstone(session, STANDINGS, party_id)
