from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import driver
from chassis.writes import put_off, rows_in
from services.scoring.queries.rulings import Connection

MANY = 100
"""From so many rows on they are copied to their table at once: as arrays each takes twice the time, on either side."""


async def append(
    session: AsyncSession, table: str, columns: Mapping[str, str], rows: Sequence[tuple[object, ...]]
) -> None:
    """Write rows of a table, columns by their types: many at once, few with the last statement (`chassis.writes`)."""
    if len(rows) < MANY:
        put_off(session, rows_in(table, **columns), *zip(*rows, strict=True))
    else:
        await (await driver(session)).copy_records_to_table(table, records=rows, columns=list(columns))


async def copied(
    connection: Connection, table: str, columns: Mapping[str, str], rows: Iterable[tuple[object, ...]]
) -> None:
    """Have a temporary table (`pg_temp.…`) with these rows alone, until the transaction ends; columns by their types.

    Of an array the driver asks of each element whether it is one itself, and PostgreSQL unpacks them all again.
    """
    of = ", ".join(f"{name} {type}" for name, type in columns.items())
    await connection.execute(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {table} ({of}) ON COMMIT DELETE ROWS; DELETE FROM pg_temp.{table}"
    )
    await connection.copy_records_to_table(table, records=rows, columns=list(columns), schema_name="pg_temp")
