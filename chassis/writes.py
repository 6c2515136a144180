"""Small writes of a transaction, carried out together by one statement at its end.

A statement of its own costs either side a sleep and a wake-up, which is more than dozens of rows do.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def put_off(session: AsyncSession, write: str, *values: object) -> None:
    """Have a write carried out by the last statement of the transaction, or when it is called for (`carry_out`).

    `write` is an item of a WITH list, `name AS (INSERT …)`, or several with commas between; `values` are its
    parameters. What is carried out together sees the rows of none of the others: no two may write the same one. It
    waits for nobody, as ids of events may be taken before it: rows that it changes are locked already. To roll back to
    a savepoint does not take it back.
    """
    session.info.setdefault("writes", []).append((write, values))


async def carry_out(session: AsyncSession, connection: Connection) -> None:
    """Carry out what was put off, if anything was."""
    writes: list[tuple[str, tuple[object, ...]]] = session.info.pop("writes", [])
    if writes:
        statement = _joined(tuple((write, len(values)) for write, values in writes))
        await connection.execute(statement, *(value for _, values in writes for value in values))


@lru_cache(maxsize=64)
def rows_in(table: str, /, **columns: str) -> str:
    """The write of rows of a table, given as an array for each column; columns by their types."""
    names = ", ".join(f'"{name}"' for name in columns)
    arrays = ", ".join(f"${place}::{type}[]" for place, type in enumerate(columns.values(), 1))
    return f"in_{table} AS (INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}))"


@lru_cache(maxsize=1_024)
def _joined(writes: Sequence[tuple[str, int]]) -> str:
    """One statement of all, which numbers their parameters on; always the same text for the same ones."""
    items, before = [], 0
    for write, parameters in writes:
        items.append(_numbered_on(write, before))
        before += parameters
    return f"WITH {', '.join(items)} SELECT"


def _numbered_on(write: str, before: int) -> str:
    return re.sub(r"\$(\d+)", lambda found: f"${int(found[1]) + before}", write)
