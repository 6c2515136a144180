"""What a FastAPI team would write at the least: a handler that validates a purchase, inserts it and answers 201.

`python -m bench.bare DATABASE_URL PORT`
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID, uuid4

import asyncpg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Named(BaseModel):
    """Whom it is about."""

    scheme: str
    system: str | None = None
    value: str


class Purchase(BaseModel):
    """What is posted."""

    identifier: Named
    occurred_at: datetime
    currency: str
    amount_minor: int


class Kept(Purchase):
    """What is answered."""

    id: UUID


def bare(database_url: str) -> FastAPI:
    """The app, with a table of its own and as many connections as a service has."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(database_url, min_size=10, max_size=10) as pool:
            app.state.pool = pool
            await pool.execute(_TABLE)
            yield

    app = FastAPI(lifespan=life)

    @app.post("/v1/purchases", status_code=201)
    async def keep(purchase: Purchase) -> Kept:
        kept = Kept(id=uuid4(), **purchase.model_dump())
        await app.state.pool.execute(
            "INSERT INTO bare VALUES ($1, $2, $3, $4, $5)",
            *(kept.id, kept.identifier.value, kept.occurred_at, kept.currency, kept.amount_minor),
        )
        return kept

    return app


_TABLE = """
CREATE TABLE IF NOT EXISTS bare (id uuid PRIMARY KEY, who text, occurred_at timestamptz, currency text, amount bigint)
"""

if __name__ == "__main__":
    uvicorn.run(bare(sys.argv[1]), port=int(sys.argv[2]), loop="uvloop", log_config=None, access_log=False)
