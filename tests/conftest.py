import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count

import asyncpg
import pytest

from chassis import db
from deploy import postgres, readiness
from deploy.postgres import Postgres

MakeDatabase = Callable[[str | None], Awaitable[db.Database]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real PostgreSQL from the wheel, for the whole run."""
    folder = tmp_path_factory.mktemp("server")
    made = postgres.at(folder)
    process = made.process()
    with (folder / "log").open("w") as log:
        child = subprocess.Popen([*process.argv, "-c", "fsync=off"], stdout=log, stderr=log)
    try:
        asyncio.run(readiness.wait(made.url("postgres", role="postgres"), seconds=60))
        yield made
    finally:
        child.send_signal(process.stop)
        child.wait(timeout=30)


_numbers = count()


@pytest.fixture(scope="session")
async def make_database(server: Postgres) -> AsyncIterator[MakeDatabase]:
    """Make a database with a package's tables, by its migrations, or with the chassis's own alone."""
    made: list[db.Database] = []

    async def make(package: str | None) -> db.Database:
        name = f"test_{next(_numbers)}"
        connection = await asyncpg.connect(server.url("postgres", role="postgres"))
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        url = server.url(name, role="postgres", scheme="postgresql+asyncpg")
        if package:
            await db.migrate(url, package)
        else:
            connection = await asyncpg.connect(db.plain_url(url))
            await connection.execute(db.TABLES)
            await connection.close()
        database = db.connect(url)
        made.append(database)
        return database

    yield make
    for database in made:
        await database.close()
