"""The parts of the customers service."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Never
from zoneinfo import ZoneInfo

from fastapi import APIRouter, FastAPI
from pydantic import Field

from chassis.app import create_app
from chassis.db import connect
from chassis.publisher import run as publish
from chassis.settings import ServiceSettings
from services.customers.domain.identities import Installation
from services.customers.handlers.imports import carry_out_imports
from services.customers.queries.identities import check_key
from services.customers.routes import imports, internal, parties, purchases, returns

router = APIRouter()
for room in (parties.router, purchases.router, returns.router, imports.router, imports.streams, internal.router):
    router.include_router(room)


class Settings(ServiceSettings, env_prefix="CUSTOMERS_"):
    """The customers service: its database, and how identifiers become ids."""

    identity_key_file: Path = Field(validation_alias="SHUKE_IDENTITY_KEY_FILE")
    """File with the identity key: 32 bytes or more in hex. Never changed: every identity hangs on it."""
    phone_region: str | None = Field(None, pattern=r"^[A-Z]{2}$")
    """ISO 3166 code of the country whose phone numbers may come without `+`."""
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", validation_alias="SHUKE_CURRENCY")
    """Currency of imported rows that name none; EUR where it is not set."""

    def installation(self) -> Installation:
        """The identity key and the zone of the local days."""
        key = bytes.fromhex(self.identity_key_file.read_text().strip())
        if len(key) < 32:
            raise ValueError(f"{self.identity_key_file} holds {len(key)} bytes; an identity key has at least 32.")
        return Installation(key, ZoneInfo(self.time_zone), self.phone_region)


def app() -> FastAPI:
    """The API."""
    settings = Settings()
    made = create_app("customers", router=router, settings=settings, lifespan=checked)
    made.state.installation = settings.installation()
    return made


@asynccontextmanager
async def checked(app: FastAPI) -> AsyncIterator[None]:
    """Start only with the identity key under which the database was filled."""
    async with app.state.database.transaction() as session:
        await check_key(session, app.state.installation)
    yield


async def importer() -> Never:
    """Carry out imports, one at a time; any number of these processes may run."""
    settings = Settings()
    database = connect(settings.database_url, pool_size=2)
    # Rows come and go by the thousand and make no cycles: looking for some took a fifth of the time.
    gc.set_threshold(50_000, 20, 20)
    try:
        await carry_out_imports(database, settings.installation())
    finally:
        await database.close()


async def publisher() -> Never:
    """Hand the log to Kafka, one process at a time."""
    settings = Settings()
    database = connect(settings.database_url, pool_size=2)
    try:
        await publish(database, "customers", settings.bus_url.removeprefix("kafka://"))
    finally:
        await database.close()
