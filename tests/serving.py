"""A service that knows identities, served in the process of a test."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from fastapi import APIRouter, FastAPI

from chassis import auth, db
from chassis.app import create_app
from contracts.identity import Installation

HERE = Installation(bytes(range(32)), ZoneInfo("Europe/Berlin"))


@asynccontextmanager
async def serving(
    name: str,
    settings: Callable[..., Any],
    router: APIRouter,
    kinds: Sequence[Any],
    life: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    database: db.Database,
    folder: Path,
) -> AsyncIterator[httpx.AsyncClient]:
    """Its API, asked as an admin, with its outbox left alone so that tests can read it."""
    key_file = folder / "identity.key"
    key_file.write_text(HERE.key.hex())
    chosen = settings(
        database_url=database.url,
        internal_secret=f"the-tests-of-{name}-have-a-secret-of-their-own",
        time_zone="Europe/Berlin",
        identity_key_file=key_file,
    )
    app = create_app(name, router=router, settings=chosen)
    app.state.installation = chosen.installation()
    app.state.import_kinds = kinds
    async with life(app), asked_by_admin(app, name) as client:
        yield client
    await app.state.database.close()


def asked_by_admin(app: FastAPI, name: str) -> httpx.AsyncClient:
    """A client of an app in this process. Each request is signed anew: a slow machine outlives what was signed once."""

    async def sign(request: httpx.Request) -> None:
        request.headers.setdefault(auth.HEADER, app.state.signer.sign(auth.Caller("tests", frozenset({"admin"}))))

    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{name}", event_hooks={"request": [sign]})
