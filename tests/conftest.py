import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count

import asyncpg
import pytest
import structlog

from chassis import db, migrations
from deploy import kafka as kafka_parts
from deploy import postgres, readiness
from deploy.postgres import Postgres

# The default of structlog, a traceback with every local variable, takes seconds for each expected failure.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What takes longest comes first, so that of several processes none ends long after the others.
    items.sort(key=lambda item: "system" not in item.path.parts)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if reporter := config.pluginmanager.get_plugin("terminalreporter"):
        config.pluginmanager.register(AtOnce(reporter))


FAILURE_TOLD = 2_000
"""Characters of what a failed test says that are told at once."""


class AtOnce:
    """Says why a test failed when it did: a whole run takes long, and may be ended before it says so itself."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self.reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.reporter.write_line(f"{report.nodeid}\n{report.longreprtext[-FAILURE_TOLD:]}")


MakeDatabase = Callable[[str | None], Awaitable[db.Database]]


def await_ready(url: str) -> None:
    # In a thread of its own: the fixture may be asked for while the tests' event loop runs.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(readiness.wait(url, seconds=90))).result()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A real PostgreSQL from the wheel, for the whole run."""
    folder = tmp_path_factory.mktemp("server")
    made = postgres.at(folder)
    process = made.process()
    argv = [*process.argv, "-c", "fsync=off", "-c", "max_connections=800"]
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        await_ready(made.url("postgres", role="postgres"))
        yield made
    finally:
        child.send_signal(process.stop)
        child.wait(timeout=60)


_numbers = count()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def make_database(server: Postgres) -> AsyncIterator[MakeDatabase]:
    """Make a database with a package's tables, by its migrations, or with the chassis's own alone."""
    made: list[db.Database] = []
    templates: dict[str | None, str] = {}
    making = asyncio.Lock()

    async def create(name: str, template: str) -> str:
        async with connected(server.url("postgres", role="postgres")) as connection:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return server.url(name, role="postgres", scheme="postgresql+asyncpg")

    async def template(package: str | None) -> str:
        """The name of a database that was migrated once: a copy takes a tenth of the time of its migrations."""
        async with making:
            if package not in templates:
                name = f"template_{next(_numbers)}"
                url = await create(name, "template1")
                if package:
                    await migrations.migrate(url, package)
                else:
                    async with connected(db.plain_url(url)) as connection:
                        await connection.execute(db.TABLES)
                templates[package] = name
        return templates[package]

    async def make(package: str | None) -> db.Database:
        if len(made) % 50 == 49:
            # A long run makes more of them than the server takes connections. They come back where they are asked for.
            for database in made:
                await database.close()
        database = db.connect(await create(f"test_{next(_numbers)}", await template(package)))
        made.append(database)
        return database

    yield make
    for database in made:
        await database.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Kafka broker from its jars, for the whole run: `host:port`."""
    folder = tmp_path_factory.mktemp("kafka")
    cluster = kafka_parts.at(folder, brokers=1)
    children = []
    for process in cluster.processes():
        with (folder / f"{process.name}.log").open("w") as log:
            children.append(subprocess.Popen(process.argv, stdout=log, stderr=log, env={**os.environ, **process.env}))
    try:
        await_ready(cluster.url)
        yield cluster.url.removeprefix("kafka://")
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(timeout=60)
