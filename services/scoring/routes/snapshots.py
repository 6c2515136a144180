"""One state of the database for everything that a request reads."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Request

from services.scoring.queries.everybody import Population
from services.scoring.queries.reading import snapshot
from services.scoring.queries.rulings import Connection


async def _opened(request: Request) -> AsyncIterator[Any]:
    async with snapshot(request.app.state.database) as connection:
        yield connection


Snapshot = Annotated[Any, Depends(_opened, scope="function")]
"""A connection (`services.scoring.queries.rulings.Connection`) that sees one state until the route returns."""


def population(request: Request, connection: Connection) -> Population:
    """Everybody in the state that a connection sees."""
    return Population(connection, request.app.state.database.url, request.app.state.processes)
