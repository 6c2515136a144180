"""Referrals: made, named, and led to their end under their row lock."""

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from chassis import outbox
from chassis.assignments import parties_of
from chassis.clock import now
from chassis.db import driver
from chassis.ids import uuid7
from contracts.community import PersonReferred, ReferralConverted, ReferralMade
from contracts.identity import Installation
from contracts.telling import AlreadyWithdrawn
from services.community.domain.referrals import (
    AlreadyConverted,
    AlreadyReferred,
    AmountWithoutCurrency,
    CodeTaken,
    EndsTooEarly,
    Outcome,
    ReferralConflict,
    ReferralNotFound,
    ReferredThemselves,
    check_open,
    code_of,
    outcome,
)
from services.community.models.referrals import Conversion, Referral, ReferralIn, ReferralRow
from services.community.queries.facts import withdrawn
from services.community.queries.lists import Conditions, Place, day_of, party_then
from services.community.queries.members import did_something, member_named


async def record_referral(session: AsyncSession, told: ReferralIn, here: Installation) -> tuple[UUID, bool]:
    """The referral, and whether it was made now.

    Raises `ReferralConflict` or `CodeTaken` where its id in the source, or its code, is another referral's.
    """
    occurred_at = told.occurred_at or now()
    member: Record | None = None
    if told.member_id is not None:
        member = await member_named(session, told.member_id, occurred_at, here)
        referrer: UUID = member["identity_id"]
    else:
        assert told.identifier is not None
        referrer = told.identifier.identity(here).id
    referred = told.referred.identity(here).id if told.referred else None
    connection = await driver(session)
    while True:
        code = told.code or code_of(secrets.randbits(40))
        row = ReferralRow(
            id=uuid7(),
            code=code,
            member_id=told.member_id,
            referrer_id=referrer,
            referred_id=referred,
            source=told.source,
            source_id=told.source_id,
            occurred_at=occurred_at,
            expires_at=told.expires_at,
            told_expires_at=told.expires_at,
            named_at=occurred_at if referred else None,
            fact_id=uuid7(),
            named_fact_id=uuid7() if referred else None,
            recorded_at=(at := now()),
            named_recorded_at=at if referred else None,
        )
        if await connection.fetchval(_INSERT, *(getattr(row, name) for name in _INSERTED)):
            await _check_new(session, row, member, here)
            made = ReferralMade(subject=referrer, occurred_at=occurred_at, referral_id=row.id, referred_id=referred)
            outbox.append(session, made, event_ids=[row.fact_id])
            _announce_named(session, row)
            return row.id, True
        # Nothing, where it is a code that was made here: then another one is.
        found = await connection.fetch(_PRESENT, told.source, told.source_id, told.code)
        for present in found:
            same = (
                present["referrer_id"] == referrer
                and referred in (None, present["referred_id"])
                and told.occurred_at in (None, present["occurred_at"])
                and told.expires_at in (None, present["expires_at"], present["told_expires_at"])
            )
            same_code = told.code is None or present["code"].upper() == told.code.upper()
            if same and same_code and len(found) == 1:
                return present["id"], False
            raise _other(present, told)


async def _check_new(session: AsyncSession, row: ReferralRow, member: Record | None, here: Installation) -> None:
    # Asked of what is new only: what was made before may be told again, whatever became of it since.
    if row.expires_at is not None and row.expires_at <= row.occurred_at:
        raise EndsTooEarly("A referral expires after it was made.", made_at=row.occurred_at)
    if row.referred_id is not None:
        await _check_others(session, row.referrer_id, row.referred_id, here)
    if member is not None:
        await did_something(session, member, row.occurred_at)


def _other(present: Record, told: ReferralIn) -> ReferralConflict | CodeTaken:
    outer = f"referral_{present['id'].hex}"
    if told.source_id is not None and (present["source"], present["source_id"]) == (told.source, told.source_id):
        detail = "This id of the source was recorded before with other content; withdraw that one first."
        return ReferralConflict(detail, existing_id=outer, withdraw=f"/v1/referrals/{outer}/withdraw")
    return CodeTaken("Another referral has this code; take another one, or none.", existing_id=outer)


async def referral_to_change(session: AsyncSession, referral_id: UUID) -> ReferralRow:
    """The referral, locked until the transaction ends, so that its events keep their order."""
    row = await session.get(ReferralRow, referral_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise ReferralNotFound("There is no such referral.")
    return row


async def referral_of_code(session: AsyncSession, code: str) -> ReferralRow:
    """The referral with a code in any case, locked until the transaction ends. Raises `ReferralNotFound`."""
    wanted = select(ReferralRow).where(
        func.upper(col(ReferralRow.code)) == code.upper(), col(ReferralRow.withdrawn_at).is_(None)
    )
    row = (await session.scalars(wanted.with_for_update(key_share=True))).one_or_none()
    if row is None:
        raise ReferralNotFound("No referral has this code.")
    return row


async def name(
    session: AsyncSession, row: ReferralRow, referred: UUID, occurred_at: datetime, here: Installation
) -> None:
    """Say to whom a locked referral recommended us. The same person again, by whatever identifier, changes nothing."""
    _check_counts(row)
    if row.referred_id is not None:
        if not await _one_party(session, row.referred_id, referred, here):
            raise AlreadyReferred("The referral names somebody else already; make one for each person.")
        return
    check_open(row.occurred_at, row.expires_at, occurred_at)
    await _check_others(session, row.referrer_id, referred, here)
    row.referred_id, row.named_at, row.named_fact_id, row.named_recorded_at = referred, occurred_at, uuid7(), now()
    row.version += 1
    _announce_named(session, row)


def _announce_named(session: AsyncSession, row: ReferralRow) -> None:
    if row.referred_id is not None and row.named_at is not None and row.named_fact_id is not None:
        event = PersonReferred(
            subject=row.referred_id, occurred_at=row.named_at, referral_id=row.id, referrer_id=row.referrer_id
        )
        outbox.append(session, event, event_ids=[row.named_fact_id])


def convert(session: AsyncSession, row: ReferralRow, told: Conversion) -> None:
    """Say that a locked referral led to a sale. The same again changes nothing."""
    _check_counts(row)
    if (told.amount_minor is None) != (told.currency is None):
        raise AmountWithoutCurrency("Say amount_minor and currency, or neither.")
    if row.converted_at is not None:
        known = row.amount_minor, row.currency
        if known != (told.amount_minor, told.currency) or told.occurred_at not in (None, row.converted_at):
            raise AlreadyConverted("The referral led to another sale already; withdraw it and record it anew.")
        return
    occurred_at = told.occurred_at or now()
    check_open(row.occurred_at, row.expires_at, occurred_at)
    row.converted_at, row.converted_recorded_at, row.converted_fact_id = occurred_at, now(), uuid7()
    row.amount_minor, row.currency = told.amount_minor, told.currency
    row.version += 1
    event = ReferralConverted(
        subject=row.referrer_id,
        occurred_at=occurred_at,
        referral_id=row.id,
        referred_id=row.referred_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
    )
    outbox.append(session, event, event_ids=[row.converted_fact_id])


def expire(row: ReferralRow) -> None:
    """End a locked referral now, where it has not ended. Raises `AlreadyConverted`."""
    _check_counts(row)
    if row.converted_at is not None:
        raise AlreadyConverted("The referral led to a sale, and does not expire any more.")
    end = max(now(), row.occurred_at)
    if row.expires_at is None or row.expires_at > end:
        row.expires_at = end
        row.version += 1


def withdraw(session: AsyncSession, row: ReferralRow) -> None:
    """Take a locked referral back with all that became of it; its code and its id in the source are free again."""
    if row.withdrawn_at is not None:
        return
    row.withdrawn_at = now()
    row.version += 1
    facts = (
        (row.referrer_id, row.fact_id),
        (row.referred_id, row.named_fact_id),
        (row.referrer_id, row.converted_fact_id),
    )
    outbox.append(session, *(withdrawn(subject, fact_id) for subject, fact_id in facts if subject and fact_id))


def _check_counts(row: ReferralRow) -> None:
    if row.withdrawn_at is not None:
        raise AlreadyWithdrawn("The referral was withdrawn and does not count; record it anew.")


async def _check_others(session: AsyncSession, referrer: UUID, referred: UUID, here: Installation) -> None:
    if await _one_party(session, referrer, referred, here):
        raise ReferredThemselves("Nobody refers themselves.")


async def _one_party(session: AsyncSession, one: UUID, other: UUID, here: Installation) -> bool:
    today = here.day(now())
    found = await parties_of(session, [(one, today), (other, today)])
    return found[one, today] == found[other, today]


async def referral(session: AsyncSession, referral_id: UUID, here: Installation) -> Referral:
    """The referral as it is shown, also one that was withdrawn. Raises `ReferralNotFound`."""
    await session.flush()
    found = await referrals(session, here, referral_id=referral_id, limit=1)
    if not found:
        raise ReferralNotFound("There is no such referral.")
    return found[0]


async def referrals(
    session: AsyncSession,
    here: Installation,
    *,
    referral_id: UUID | None = None,
    code: str | None = None,
    source: str | None = None,
    source_id: str | None = None,
    ended: Outcome | None = None,
    member_id: UUID | None = None,
    party_id: UUID | None = None,
    referred_party_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: Place | None = None,
    limit: int,
) -> list[Referral]:
    """Referrals, the latest first, without those withdrawn unless one is asked for by its id.

    `party_id` asks for those that a party made, `referred_party_id` for those that named it.
    """
    at = now()
    wanted = Conditions(here.zone.key)
    wanted.add("referral.id = {}", referral_id)
    wanted.add("upper(code) = upper({})", code)
    wanted.add("source = {}", source)
    wanted.add("source_id = {}", source_id)
    wanted.add("member_id = {}", member_id)
    wanted.add("occurred_at >= {}", since)
    wanted.add("occurred_at < {}", until)
    wanted.add("(occurred_at, referral.id) < ({}, {})", *(before or (None, None)))
    if ended is not None:
        wanted.add(_ENDED[ended], *([] if ended is Outcome.CONVERTED else [at]))
    if referral_id is None:
        wanted.add("withdrawn_at IS NULL")
    await wanted.held_by(session, party_id, "referral.referrer_id", day_of("referral.occurred_at"))
    await wanted.held_by(session, referred_party_id, "referral.referred_id", day_of("referral.named_at"))
    rows = await wanted.fetch(session, _SHOWN, "occurred_at DESC, referral.id DESC", limit)
    return [_referral(row, at) for row in rows]


def _referral(row: Record, at: datetime) -> Referral:
    shown: dict[str, Any] = dict(row)
    return Referral.model_validate(shown | {"outcome": outcome(row["converted_at"], row["expires_at"], at)})


_INSERTED = (
    "id",
    "code",
    "member_id",
    "referrer_id",
    "referred_id",
    "source",
    "source_id",
    "occurred_at",
    "expires_at",
    "told_expires_at",
    "named_at",
    "fact_id",
    "named_fact_id",
    "named_recorded_at",
    "recorded_at",
)

_INSERT = f"""
INSERT INTO referral ({", ".join(_INSERTED)})
VALUES ({", ".join(f"${place}" for place in range(1, len(_INSERTED) + 1))})
ON CONFLICT DO NOTHING RETURNING true
"""

_PRESENT = """
SELECT * FROM referral
WHERE withdrawn_at IS NULL AND ((source = $1 AND source_id = $2) OR upper(code) = upper($3))
ORDER BY source = $1 AND source_id = $2 DESC NULLS LAST
"""

_ENDED = {
    Outcome.OPEN: "converted_at IS NULL AND (expires_at > {}) IS NOT FALSE",
    Outcome.CONVERTED: "converted_at IS NOT NULL",
    Outcome.EXPIRED: "converted_at IS NULL AND expires_at <= {}",
}

_SHOWN = f"""
SELECT referral.*, {party_then("referral.referrer_id", "referral.occurred_at")} AS referrer_party_id,
    {party_then("referral.referred_id", "referral.named_at")} AS referred_party_id
FROM referral
"""
