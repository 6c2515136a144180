from collections.abc import Iterable, Mapping

from services.scoring.queries.rulings import Connection


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
