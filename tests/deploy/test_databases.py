"""The databases of an installation, made and migrated by the command that an operator would type."""

from urllib.parse import quote

import asyncpg
import pytest

from chassis.db import plain_url
from deploy import databases
from deploy.databases import LOG_READER
from deploy.postgres import Postgres
from deploy.roles import PACKAGES
from gateway.domain.keys import secret_hash
from tests.deploy.test_cli import shuke

PASSWORD = "it's a 'quoted' one/@:"


@pytest.fixture(scope="module")
def settings(server: Postgres) -> dict[str, str]:
    """What the environment of `shuke migrate` says, for databases and owners that nobody has made."""

    def url(name: str) -> str:
        return f"postgresql+asyncpg://own_{name}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/own_{name}"

    return {databases.variable(name): url(name) for name in PACKAGES} | {
        "SHUKE_SUPERUSER_URL": server.url("postgres", role="postgres"),
        "SHUKE_LOG_READER_PASSWORD": server.passwords[LOG_READER],
    }


@pytest.fixture(scope="module")
def migrated(settings: dict[str, str]) -> str:
    """What the command said that made everything."""
    done = shuke("migrate", **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


def log_reader_of(url: str, server: Postgres) -> str:
    return (
        f"postgresql://{LOG_READER}:{server.passwords[LOG_READER]}@127.0.0.1:{server.port}/{databases.database_of(url)}"
    )


def test_every_database_is_made_and_brought_to_the_newest_version(migrated: str) -> None:
    lines = dict(line.split(": ", 1) for line in migrated.splitlines())

    assert list(lines) == list(PACKAGES)
    assert all(line.startswith("0001") and line.endswith("applied") for line in lines.values())


def test_migrating_again_changes_nothing_and_needs_no_superuser(settings: dict[str, str], migrated: str) -> None:
    own = {name: url for name, url in settings.items() if name.endswith("_DATABASE_URL")}

    done = shuke("migrate", **own)

    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"{name}: is the newest" for name in PACKAGES]


def test_only_the_databases_that_the_environment_names_are_migrated(settings: dict[str, str], migrated: str) -> None:
    done = shuke("migrate", GATEWAY_DATABASE_URL=settings["GATEWAY_DATABASE_URL"])

    assert done.stdout == "gateway: is the newest\n"


def test_without_a_database_to_migrate_the_settings_are_named() -> None:
    done = shuke("migrate")

    assert done.returncode == 2
    assert all(databases.variable(name) in done.stderr for name in PACKAGES)


def test_a_database_that_is_away_or_refuses_is_one_line_and_no_traceback(settings: dict[str, str]) -> None:
    url = settings["GATEWAY_DATABASE_URL"]

    away = shuke("migrate", GATEWAY_DATABASE_URL="postgresql+asyncpg://gateway:x@127.0.0.1:1/gateway")
    refused = shuke("migrate", GATEWAY_DATABASE_URL=url.replace(":it", ":at"))

    for done in (away, refused):
        assert done.returncode == 1
        assert done.stderr.startswith("gateway was not brought to the newest version: ")
        assert "Traceback" not in done.stderr


async def test_a_database_of_a_newer_version_is_left_alone(settings: dict[str, str], migrated: str) -> None:
    url = settings["GATEWAY_DATABASE_URL"]
    owner = await asyncpg.connect(plain_url(url))
    known = await owner.fetchval("UPDATE alembic_version SET version_num = '9999' RETURNING 1")
    newest = known and await owner.fetchval("SELECT version_num FROM alembic_version")

    done = shuke("migrate", GATEWAY_DATABASE_URL=url)

    assert (done.returncode, newest) == (1, "9999")
    assert "9999" in done.stderr
    await owner.execute("UPDATE alembic_version SET version_num = '0001'")
    await owner.close()


async def test_the_log_reader_reads_the_published_surface_and_nothing_else(
    settings: dict[str, str], migrated: str, server: Postgres
) -> None:
    reader = await asyncpg.connect(log_reader_of(settings["CUSTOMERS_DATABASE_URL"], server))

    assert await reader.fetch("SELECT * FROM event_log") == []
    for refused in ("SELECT * FROM outbox", "DELETE FROM event_stream", "CREATE TABLE mine (n int)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(refused)
    await reader.close()


async def test_nobody_enters_another_service_s_database_or_without_a_password(
    settings: dict[str, str], migrated: str
) -> None:
    url = plain_url(settings["CUSTOMERS_DATABASE_URL"])

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(f"{url.rpartition('/')[0]}/own_scoring")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace(":it", ":at"))


async def test_the_first_key_is_made_in_the_gateway_s_database(settings: dict[str, str], migrated: str) -> None:
    url = settings["GATEWAY_DATABASE_URL"]

    done = shuke("admin-key", GATEWAY_DATABASE_URL=url)

    assert done.returncode == 0
    owner = await asyncpg.connect(plain_url(url))
    [(hashed, scopes)] = await owner.fetch("SELECT secret_hash, scopes FROM api_key")
    await owner.close()
    assert (hashed, scopes) == (secret_hash(done.stdout.strip()), ["admin"])
