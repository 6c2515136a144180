import os
import signal
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from deploy import postgres, readiness
from deploy.postgres import Postgres
from deploy.process import alive
from deploy.supervisor import Supervisor, pids


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    yield tmp_path
    postgres.Postgres(tmp_path / "postgres", 0, {}).clear()


async def test_a_half_made_data_folder_is_made_again(folder: Path) -> None:
    (folder / "postgres.new").mkdir()
    (folder / "postgres.new" / "half").touch()

    made = postgres.at(folder)

    assert (made.data / "PG_VERSION").read_text().strip() == "18"
    assert stat.S_IMODE((folder / "secrets.json").stat().st_mode) == 0o600


async def test_a_committed_row_survives_the_kill_of_everything(folder: Path) -> None:
    first = Supervisor(folder)
    made = postgres.at(folder)
    await first.start(made.process())
    connection = await asyncpg.connect(made.url("postgres", role="postgres"))
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    backend = connection.get_server_pid()
    postmaster = pids(folder)["postgres"]

    for keeper in first.keepers.values():
        keeper.cancel()
    os.kill(postmaster, signal.SIGKILL)
    connection.terminate()
    again = postgres.at(folder)
    second = Supervisor(folder)
    await second.start(again.process())

    try:
        connection = await asyncpg.connect(again.url("postgres", role="postgres"))
        assert await connection.fetchval("SELECT n FROM kept") == 1
        assert connection.get_server_pid() != backend
        await connection.close()
        assert not alive(postmaster)
    finally:
        await second.stop()


async def test_a_killed_postmaster_comes_back_under_its_supervisor(folder: Path) -> None:
    keeper = Supervisor(folder)
    made = postgres.at(folder)
    await keeper.start(made.process())

    os.kill(pids(folder)["postgres"], signal.SIGKILL)

    try:
        await readiness.wait(made.url("postgres", role="postgres"), seconds=15)
    finally:
        await keeper.stop()
    assert postgres.of_folder(made.data) == []


async def test_a_lock_file_whose_number_another_process_has_now_does_not_hinder(folder: Path) -> None:
    made = postgres.at(folder)
    (made.data / "postmaster.pid").write_text(f"{os.getpid()}\n{made.data}\n0\n{made.port}\n\n127.0.0.1\n0 0\nready\n")
    keeper = Supervisor(folder)

    await keeper.start(made.process(), seconds=15)

    await keeper.stop()


async def test_the_log_reader_reads_the_published_surface_and_nothing_else(server: Postgres) -> None:
    await postgres.create_databases(server)
    owner = await asyncpg.connect(server.url("customers"))
    await owner.execute("CREATE TABLE IF NOT EXISTS event_stream (n int); CREATE TABLE IF NOT EXISTS secret (n int)")
    await postgres.publish_logs(server)

    reader = await asyncpg.connect(server.url("customers", role=postgres.LOG_READER))

    assert await reader.fetch("SELECT * FROM event_stream") == []
    for refused in ("SELECT * FROM secret", "DELETE FROM event_stream", "CREATE TABLE mine (n int)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(refused)
    await reader.close()
    await owner.execute("DROP TABLE event_stream, secret")
    await owner.close()


async def test_nobody_enters_another_service_s_database_or_without_a_password(server: Postgres) -> None:
    await postgres.create_databases(server)

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(f"{server.url('customers').rpartition('/')[0]}/scoring")
    stranger = replace(server, passwords={name: "guess" for name in server.passwords})
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(stranger.url("customers"))
