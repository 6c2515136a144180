"""Facts for tests, as the worker hands them to the handler, and the API that shows what became of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from typing import Any
from uuid import UUID

import httpx

from chassis.app import create_app
from chassis.consumer import Delivery
from chassis.db import Database, driver
from chassis.ids import uuid7
from contracts.customers import (
    Assignment,
    Department,
    Direction,
    FactWithdrawn,
    Holding,
    IdentitiesAssigned,
    InteractionKind,
    InteractionRecorded,
    PartyKind,
    PartyOwnerChanged,
    PartyRegistered,
    PurchaseCompleted,
    PurchaseReturned,
    Resolution,
)
from contracts.event import Event
from contracts.loss import LossReason
from services.scoring.app import Settings, what_to_heed
from services.scoring.domain.policy import Policy
from services.scoring.handlers import batches
from services.scoring.queries.rulings import new_ruling
from services.scoring.routes import router
from tests.serving import asked_by_admin

JUNE = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class Feeding:
    """Hands events to a scoring database, each recorded at `at`."""

    database: Database
    at: datetime = JUNE
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    versions: "count[int]" = field(default_factory=lambda: count(1))

    @staticmethod
    def identity() -> UUID:
        return uuid7()

    async def tell(self, *events: Event) -> list[UUID]:
        batch = [self.delivered(event) for event in events]
        async with self.database.transaction() as session:
            await batches.apply(session, batch)
        return [delivery.event_id for delivery in batch]

    @staticmethod
    def purchase(identity: UUID, at: datetime, amount_minor: int, currency: str = "EUR") -> PurchaseCompleted:
        return PurchaseCompleted(
            subject=identity,
            occurred_at=at,
            purchase_id=uuid7(),
            amount_minor=amount_minor,
            currency=currency,
            source="tests",
        )

    async def bought(self, identity: UUID, at: datetime, amount_minor: int, currency: str = "EUR") -> UUID:
        return (await self.tell(self.purchase(identity, at, amount_minor, currency)))[0]

    async def returned(self, identity: UUID, at: datetime, amount_minor: int, currency: str = "EUR") -> UUID:
        event = PurchaseReturned(
            subject=identity,
            occurred_at=at,
            return_id=uuid7(),
            amount_minor=amount_minor,
            currency=currency,
            source="tests",
        )
        return (await self.tell(event))[0]

    async def registered(self, identity: UUID, at: datetime) -> UUID:
        return (await self.tell(PartyRegistered(subject=identity, occurred_at=at, kind=PartyKind.PERSON)))[0]

    async def inquired(self, identity: UUID, at: datetime) -> UUID:
        return await self.interacted(identity, at, InteractionKind.INQUIRY)

    async def called(self, identity: UUID, at: datetime) -> UUID:
        """By us."""
        return await self.interacted(identity, at, InteractionKind.CONTACT, direction=Direction.OUTBOUND)

    async def declined(self, identity: UUID, at: datetime, reason: LossReason | None = None) -> UUID:
        return await self.interacted(identity, at, InteractionKind.DECLINED, loss_reason=reason)

    async def interacted(self, identity: UUID, at: datetime, kind: InteractionKind, **more: Any) -> UUID:
        return (await self.tell(self.interaction(identity, at, kind, **more)))[0]

    @staticmethod
    def interaction(
        identity: UUID, at: datetime, kind: InteractionKind, direction: Direction = Direction.INBOUND, **more: Any
    ) -> InteractionRecorded:
        return InteractionRecorded(
            subject=identity,
            occurred_at=at,
            interaction_id=uuid7(),
            department=Department.SALES,
            channel="phone",
            kind=kind,
            direction=direction,
            source="tests",
            **more,
        )

    async def owned(self, party: UUID, version: int, owner: UUID | None = None, team: UUID | None = None) -> None:
        await self.tell(
            PartyOwnerChanged(subject=party, occurred_at=self.at, version=version, owner_id=owner, team_id=team)
        )

    async def withdrawn(self, identity: UUID, fact_id: UUID) -> None:
        await self.tell(FactWithdrawn(subject=identity, occurred_at=self.at, fact_id=fact_id))

    async def assigned(
        self,
        holdings: dict[UUID, Sequence[tuple[UUID, date | None]]],
        resolutions: dict[UUID, UUID] | None = None,
    ) -> None:
        version = next(self.versions)
        assignments = [
            Assignment(
                identity_id=identity,
                version=version,
                holdings=[Holding(party_id=party, from_day=start) for party, start in held],
            )
            for identity, held in holdings.items()
        ]
        redirects = [
            Resolution(party_id=party, version=version, resolves_to=into) for party, into in (resolutions or {}).items()
        ]
        subject = next(iter(next(iter(holdings.values()))))[0]
        await self.tell(
            IdentitiesAssigned(subject=subject, occurred_at=self.at, assignments=assignments, resolutions=redirects)
        )

    async def reached(self, at: datetime) -> None:
        """Every event up to then was read."""
        async with self.database.transaction() as session:
            await (await driver(session)).execute(
                "INSERT INTO watermark (source, reached, checked_at) VALUES ('customers', $1, $1)"
                " ON CONFLICT (source) DO UPDATE SET reached = $1, checked_at = $1",
                at,
            )

    def delivered(self, event: Event) -> Delivery:
        return Delivery(event, uuid7(), "customers.test", 0, 1, next(self.numbers), self.at)


@asynccontextmanager
async def served(database: Database, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The API over a database, without anything that runs beside it."""
    secret = "scoring-tests-have-a-secret-of-their-own"
    app = create_app(
        "scoring",
        router=router,
        settings=Settings(database_url=database.url, internal_secret=secret, **settings),
        ready=what_to_heed,
    )
    async with asked_by_admin(app, "scoring") as client:
        yield client
    app.state.processes.close()
    await app.state.database.close()


async def activated(database: Database, policy: Policy, at: datetime) -> None:
    """Have another policy decide from an instant on."""
    async with database.transaction() as session:
        connection = await driver(session)
        await connection.execute(
            "INSERT INTO policy (hash, document) VALUES ($1, $2::text::jsonb)",
            policy.content_hash,
            policy.model_dump_json(),
        )
        await new_ruling(connection, "policy", at, policy=policy.content_hash)
