"""Who stands where: lists as they are stored, one party as it stands now or stood after a day."""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request

from chassis.clock import now
from chassis.fields import Day, PartyId, TeamId, UserId
from chassis.http import Cursor, Limit, Page, decode_cursor, encode_cursor, page
from contracts.leads import Grade
from contracts.loss import LossReason
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.calendar import Calendar
from services.scoring.domain.days import start_of_day
from services.scoring.domain.grades import Flag
from services.scoring.domain.moment import OnlyByParty
from services.scoring.domain.reasons.behind import behind
from services.scoring.domain.reasons.reason import Reason, reason
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.standing import NoStanding, assess
from services.scoring.models.clocks import Question
from services.scoring.models.fields import AnyInstant, AnyWhole
from services.scoring.models.reasons import ReasonTold
from services.scoring.models.standings import Cell, FactTold, FollowUp, Order, ReasonedStanding, Summary
from services.scoring.queries.clocks import moment_asked, party, standings_then
from services.scoring.queries.facts import latest_facts
from services.scoring.queries.lists import Filter, keyset, standings
from services.scoring.queries.overall import cells
from services.scoring.queries.rulings import Connection, present
from services.scoring.queries.standings import summary
from services.scoring.routes.clocks import Asked
from services.scoring.routes.languages import AskedLanguage
from services.scoring.routes.reach import CareOf, check_read
from services.scoring.routes.snapshots import Snapshot, population

router = APIRouter(prefix="/v1/standings", tags=["standings"])

Minor = Annotated[int | None, Query(ge=-(2**63), lt=2**63)]
Code = Annotated[str | None, Query(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
"""A code of a policy."""
Ids = Annotated[list[PartyId] | None, Query(min_length=1, max_length=200)]
Stages = Annotated[list[Stage] | None, Query(min_length=1, max_length=len(Stage))]
"""One or several."""
Probability = Annotated[float | None, Query(ge=0, le=1)]
WithinDays = Annotated[int | None, Query(ge=0, le=3_650)]
PLACES: Mapping[Order, type[tuple[Any, ...]]] = {
    Order.VALUE: tuple[AnyWhole, UUID],
    Order.LOWEST_VALUE: tuple[AnyWhole, UUID],
    Order.TIER: tuple[Tier, AnyWhole, UUID],
    Order.LOWEST_TIER: tuple[Tier, AnyWhole, UUID],
    Order.STAGE: tuple[Stage, AnyWhole, UUID],
    Order.LAST_STAGE: tuple[Stage, AnyWhole, UUID],
    Order.NEXT_CHANGE_AT: tuple[AnyInstant, UUID],
    Order.LAST_SEEN: tuple[date, UUID],
    Order.SILENT: tuple[date, UUID],
    Order.LAST_CONTACT: tuple[date, UUID],
    Order.UNTOUCHED: tuple[date, UUID],
    Order.PARTY: tuple[UUID],
}
"""What the cursor of an order holds."""
LONG = 1_000
"""Entries of a calendar whose reason is found beside the event loop."""
NOTHING_ASKED = Question()
"""Now, as stored."""


@router.get("")
async def list_standings(
    snapshot: Snapshot,
    asked: Asked,
    care: CareOf,
    ids: Ids = None,
    stage: Stages = None,
    tier: Tier | None = None,
    min_value: Minor = None,
    max_value: Minor = None,
    loss_reason: LossReason | None = None,
    owner_id: UserId | None = None,
    team_id: TeamId | None = None,
    owned: bool | None = None,
    vip: bool | None = None,
    treatment: Code = None,
    flag: Flag | None = None,
    satisfaction: Band | None = None,
    loyalty: Band | None = None,
    posture: Posture | None = None,
    potential: Grade | None = None,
    level: Code = None,
    min_p: Probability = None,
    max_p: Probability = None,
    seen_since: Day | None = None,
    seen_until: Day | None = None,
    contact_since: Day | None = None,
    contact_until: Day | None = None,
    in_stage_since: Day | None = None,
    in_stage_until: Day | None = None,
    changes_within_days: WithinDays = None,
    falls_within_days: WithinDays = None,
    sort: Order | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[FollowUp]:
    """Standings as they are stored, each as of its `assessed_at`; values are minor units of the reporting currency.

    They come by value, the highest first, where no other order is asked for. `ids` and `stage` may come several times;
    ids of parties merged since have no standing of their own. `seen_since` and `seen_until` bound the
    last purchase or sign of interest, `contact_since` and `contact_until` the last day on which anything passed between
    the party and us, whoever began, `in_stage_since` and `in_stage_until` the first day of the stage,
    `changes_within_days` when anything that is graded will be another if nothing happens, `falls_within_days` when the
    stage falls, both counted from the day that is asked for. `owned=false` are those whom nobody looks after, neither
    an owner nor a team. With `as_of`, `known_at`, `policy`, `model` or `horizon_days` they are computed instead, and
    come by party alone; a page may then be short, also empty, though there are more. Owner and team are always those of
    today.
    """
    wanted = Filter(stage, tier, min_value, max_value, loss_reason, owner_id, team_id, owned, vip, treatment, flag)
    wanted = wanted._replace(
        satisfaction_band=satisfaction, loyalty_band=loyalty, posture=posture, level=level, potential=potential,
        care=care,
    )  # fmt: skip
    wanted = wanted._replace(min_p=min_p, max_p=max_p, seen_since=seen_since, seen_until=seen_until)
    wanted = wanted._replace(contact_since=contact_since, contact_until=contact_until)
    wanted = wanted._replace(in_stage_since=in_stage_since, in_stage_until=in_stage_until, party_ids=ids)
    ruling = (await present(snapshot)).ruling
    day = asked.as_of.toordinal() if asked.as_of else ruling.day(asked.known_at or now())
    wanted = wanted._replace(
        changes_until=_behind(day, changes_within_days, ruling), falls_until=_behind(day, falls_within_days, ruling)
    )
    if asked != NOTHING_ASKED:
        if sort not in (None, Order.PARTY):
            raise OnlyByParty
        return await _computed(snapshot, asked, wanted, limit, cursor)
    order = sort or Order.VALUE
    after = decode_cursor(cursor, PLACES[order]) if cursor else None
    found = page(
        await standings(snapshot, wanted, order, after=after, limit=limit + 1),
        limit=limit,
        key=lambda row: keyset(row, order),
    )
    return found.shown(lambda row: FollowUp.stored(row, ruling))


def _behind(day: int, days: int | None, ruling: Ruling) -> datetime | None:
    """The beginning of the local day so many behind another (ordinal); None without days."""
    return None if days is None else start_of_day(day + days, ruling.zone)


async def _computed(
    connection: Connection, asked: Question, wanted: Filter, limit: int, cursor: str | None
) -> Page[FollowUp]:
    then = await moment_asked(connection, asked, now())
    after = decode_cursor(cursor, PLACES[Order.PARTY])[0] if cursor else None
    found, last = await standings_then(connection, then, wanted, after=after, limit=limit)
    shown = [
        FollowUp.shown(
            each.party_id,
            each.read.row["revision"],
            each.standing,
            each.at,
            then.ruling,
            owner_id=each.read.row["owner_id"],
            team_id=each.read.row["team_id"],
        )
        for each in found
    ]
    return Page(data=shown, has_more=last is not None, next_cursor=encode_cursor(last) if last else None)


@router.get("/summary")
async def summarize_standings(request: Request, snapshot: Snapshot, asked: Asked, care: CareOf) -> Summary:
    """How many parties stand where and what they are worth: as stored or, where anything else is asked, computed."""
    if asked == NOTHING_ASKED:
        ruling, where = (await present(snapshot)).ruling, await summary(snapshot, care)
    else:
        then = msgspec.structs.replace(await moment_asked(snapshot, asked, now()), care=care)
        ruling, where = then.ruling, await cells(population(request, snapshot), then)
    shown = [
        Cell(stage=stage, tier=tier, count=count, value_minor=value)
        for (stage, tier), (count, value) in sorted(where.items())
    ]
    return Summary(
        as_of=asked.as_of,
        known_at=asked.known_at,
        currency=ruling.rates.currency,
        calibration=ruling.calibration,
        count=sum(cell.count for cell in shown),
        value_minor=sum(cell.value_minor for cell in shown),
        data=shown,
    )


@router.get("/{party_id}")
async def read_standing(
    party_id: PartyId, snapshot: Snapshot, asked: Asked, language: AskedLanguage, care: CareOf
) -> ReasonedStanding:
    """How a party stands now, or stood after a local day or by what was known at an instant, and why.

    Ids of parties merged since lead to the party that they are now; with `known_at`, only those that held nothing then.
    """
    await check_read(snapshot, care, party_id, NoStanding(_when(asked)))
    then = await moment_asked(snapshot, asked, now())
    read = await party(snapshot, then, party_id)
    seen = read and then.seen(read.calendar, read.row["assessed_at"])
    decided = seen and assess(*seen, then.ruling)
    because = seen and await _because(*seen, then.ruling)
    if not read or not seen or not decided or not because:
        raise NoStanding(_when(asked))
    deciding = behind(because, then.ruling.policy)
    facts, total = await latest_facts(
        snapshot, read.members, then.ruling.zone, until=asked.as_of, behind=deciding, known_at=asked.known_at
    )
    return ReasonedStanding.shown(
        read.row["party_id"],
        read.row["revision"],
        decided,
        seen[1],
        then.ruling,
        satisfaction_evidence=decided.satisfaction_evidence,
        loyalty_evidence=decided.loyalty_evidence,
        derived=dict(decided.derived),
        reasons=ReasonTold.told(because, language),
        facts=[FactTold.shown(fact, then.ruling) for fact in facts],
        facts_total=total,
    )


async def _because(calendar: Calendar, at: datetime, ruling: Ruling) -> Reason | None:
    # What is thought of besides reads the calendar a dozen times.
    if len(calendar.entries) < LONG:
        return reason(calendar, at, ruling)
    return await asyncio.to_thread(reason, calendar, at, ruling)


def _when(asked: Question) -> str:
    day = f"as of {asked.as_of}" if asked.as_of else None
    known = f"as known at {asked.known_at.isoformat()}" if asked.known_at else None
    return ", ".join(filter(None, (day, known))) or "now"
