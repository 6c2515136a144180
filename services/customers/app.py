"""The parts of the customers service."""

import gc
from collections.abc import Mapping
from typing import Never

from fastapi import APIRouter, FastAPI
from pydantic import Field

from chassis.app import create_app
from chassis.db import connect
from chassis.installation import IdentifyingSettings, checked
from chassis.publisher import publish_log
from chassis.worker import work
from contracts.topics import MEMBERS
from services.customers.handlers.hearing import hear
from services.customers.handlers.imports import carry_out_imports
from services.customers.routes import imports, internal, parties, purchases, returns

HEARD = (MEMBERS,)
"""Whose events tell who is who."""

router = APIRouter()
for room in (parties.router, purchases.router, returns.router, imports.router, imports.streams, internal.router):
    router.include_router(room)


class Settings(IdentifyingSettings, env_prefix="CUSTOMERS_"):
    """The customers service."""

    source_urls: Mapping[str, str] = Field(default_factory=dict)
    """Database of each service whose log is read, as JSON, with a role that may only read it."""
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", validation_alias="SHUKE_CURRENCY")
    """Currency of imported rows that name none; EUR where it is not set."""


def app() -> FastAPI:
    """The API."""
    settings = Settings()
    made = create_app("customers", router=router, settings=settings, lifespan=checked)
    made.state.installation = settings.installation()
    return made


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


async def worker() -> Never:
    """Take in who is who as other services found it out; any number of these processes share the partitions."""
    settings = Settings()
    await work("customers", settings, settings.source_urls, HEARD, hear, announces=True)


async def publisher() -> Never:
    """Hand the log to Kafka, one process at a time."""
    await publish_log(Settings(), "customers")
