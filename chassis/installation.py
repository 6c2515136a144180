"""What never changes under the facts: the identity key, and the zone of the local days."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.settings import ServiceSettings
from contracts.identity import Installation


class IdentifyingSettings(ServiceSettings):
    """Settings of a service that turns identifiers into identities."""

    identity_key_file: Path = Field(validation_alias="SHUKE_IDENTITY_KEY_FILE")
    """File with the identity key: 32 bytes or more in hex. Never changed: every identity hangs on it."""
    phone_region: str | None = Field(None, pattern=r"^[A-Z]{2}$", validation_alias="SHUKE_PHONE_REGION")
    """ISO 3166 code of the country whose phone numbers may come without `+`."""

    def installation(self) -> Installation:
        """The identity key and the zone of the local days."""
        key = bytes.fromhex(self.identity_key_file.read_text().strip())
        if len(key) < 32:
            raise ValueError(f"{self.identity_key_file} holds {len(key)} bytes; an identity key has at least 32.")
        return Installation(key, ZoneInfo(self.time_zone), self.phone_region)


class OtherIdentityKey(Exception):
    """The database was filled under another identity key: no identifier would be found again."""


def fingerprint(key: bytes) -> bytes:
    """By which a database knows the identity key under which it was filled, without holding it."""
    return sha256(b"shuke identity key" + key).digest()


async def check_key(session: AsyncSession, installation: Installation) -> None:
    """Remember the identity key's fingerprint at the first start; raise `OtherIdentityKey` at a later one."""
    known = fingerprint(installation.key)
    connection = await driver(session)
    await connection.execute("INSERT INTO identity_key (fingerprint) VALUES ($1) ON CONFLICT DO NOTHING", known)
    if await connection.fetchval("SELECT fingerprint FROM identity_key") != known:
        raise OtherIdentityKey("This database belongs to another identity key.")


@asynccontextmanager
async def checked(app: FastAPI) -> AsyncIterator[None]:
    """Start only with the identity key under which the database was filled; a lifespan for `create_app`."""
    async with app.state.database.transaction() as session:
        await check_key(session, app.state.installation)
    yield


async def installation(request: Request) -> Installation:
    """The identity key and the zone of the local days, as the app opened them."""
    known: Installation = request.app.state.installation
    return known


Here = Annotated[Installation, Depends(installation)]
"""The app's installation, for routes. The app sets `app.state.installation`."""


def create_tables(execute: Callable[[str], object]) -> None:
    """Make the table that `check_key` needs; `execute` is Alembic's."""
    execute(_KEY)


_KEY = """
CREATE TABLE identity_key (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    fingerprint bytea NOT NULL
)
"""
