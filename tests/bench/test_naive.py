from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import text

from bench import naive
from chassis.db import Database

GOLDEN = Path(__file__).resolve().parents[1] / "contracts" / "golden"


async def test_the_plainest_form_can_be_measured_again_and_again(
    make_database: Callable[[str | None], Awaitable[Database]],
) -> None:
    database = await make_database(None)
    value = (GOLDEN / "customers.purchase_completed.v1.least.json").read_bytes()

    for _ in range(2):
        await naive.have_tables(database.url)
        await naive.take(database.url, [value])

        async with database.transaction() as session:
            counts = [await session.scalar(text(f"SELECT count(*) FROM {table}")) for table in naive.TABLES]
        assert counts == [1, 1]
