"""What a FastAPI team would write: a session per event keeps the fact, reads the party's facts and decides anew."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, DateTime
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from chassis.envelope import open_data, open_envelope
from contracts.customers import PurchaseCompleted
from contracts.scoring import Stage, Tier

DORMANT_AFTER_DAYS, LOST_AFTER_DAYS, TURNOVER_DAYS = 90, 365, 365
CUTS = ((100_000, Tier.TOP), (30_000, Tier.HIGH), (10_000, Tier.MID))
"""As the policy that the product begins with."""
TABLES = "naivefact", "naivestanding"


class NaiveFact(SQLModel, table=True):
    """A purchase."""

    id: UUID = Field(primary_key=True)
    party_id: UUID = Field(index=True)
    occurred_at: datetime = Field(sa_type=DateTime(timezone=True))
    amount_minor: int = Field(sa_type=BigInteger)


class NaiveStanding(SQLModel, table=True):
    """How a party stands."""

    party_id: UUID = Field(primary_key=True)
    stage: Stage
    tier: Tier
    spend_minor: int = Field(sa_type=BigInteger)
    purchase_days: int
    last_day: date


async def have_tables(url: str) -> None:
    """Make the two tables (`postgresql+asyncpg://…`), empty where they were there."""
    engine, tables = create_async_engine(url), [SQLModel.metadata.tables[name] for name in TABLES]
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.drop_all, tables=tables)
        await connection.run_sync(SQLModel.metadata.create_all, tables=tables)
    await engine.dispose()


async def take(url: str, values: Iterable[bytes]) -> None:
    """Take events one after the other into the two tables."""
    engine = create_async_engine(url)
    for value in values:
        envelope = open_envelope(value)
        event = open_data(envelope)
        assert isinstance(event, PurchaseCompleted)
        async with AsyncSession(engine) as session:
            session.add(
                NaiveFact(
                    id=envelope.id,
                    party_id=event.subject,
                    occurred_at=event.occurred_at,
                    amount_minor=event.amount_minor,
                )
            )
            known = (await session.exec(select(NaiveFact).where(NaiveFact.party_id == event.subject))).all()
            await session.merge(_decided(event.subject, known, envelope.recordedat.date()))
            await session.commit()
    await engine.dispose()


def _decided(party_id: UUID, facts: Sequence[NaiveFact], today: date) -> NaiveStanding:
    days = {fact.occurred_at.date() for fact in facts}
    silent_days = (today - max(days)).days
    since = today - timedelta(days=TURNOVER_DAYS)
    turnover = sum(fact.amount_minor for fact in facts if fact.occurred_at.date() > since)
    if silent_days > LOST_AFTER_DAYS:
        stage = Stage.LOST_CUSTOMER
    else:
        stage = Stage.DORMANT_CUSTOMER if silent_days > DORMANT_AFTER_DAYS else Stage.CUSTOMER
    return NaiveStanding(
        party_id=party_id,
        stage=stage,
        tier=next((tier for cut, tier in CUTS if turnover >= cut), Tier.LOW),
        spend_minor=sum(fact.amount_minor for fact in facts),
        purchase_days=len(days),
        last_day=max(days),
    )
