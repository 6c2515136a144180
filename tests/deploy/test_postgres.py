import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from deploy import postgres, readiness
from deploy.databases import LOG_READER
from deploy.process import alive
from deploy.roles import HTTP
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


@pytest.mark.parametrize(("memory", "shared"), [(512, 128), (8_192, 1_024), (24_576, 2_048)])
def test_an_eighth_of_the_memory_is_shared_within_bounds(memory: int, shared: int) -> None:
    assert postgres.buffers_mb(memory) == shared


def test_a_limit_of_the_container_counts_as_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(postgres, "CGROUP_LIMIT", limit)
    unlimited = postgres.memory_mb()

    limit.write_text(f"{256 << 20}\n")
    assert postgres.memory_mb() == 256
    limit.write_text("max\n")
    assert postgres.memory_mb() == unlimited > 256


async def test_a_server_shares_what_this_machine_allows(folder: Path) -> None:
    made, supervisor = postgres.at(folder), Supervisor(folder)
    await supervisor.start(made.process())
    try:
        connection = await asyncpg.connect(made.url("postgres", role="postgres"))
        query = "SELECT setting::bigint * 8192 >> 20 FROM pg_settings WHERE name = 'shared_buffers'"
        assert await connection.fetchval(query) == postgres.buffers_mb(postgres.memory_mb())
        await connection.close()
    finally:
        await supervisor.stop()


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
        await readiness.wait(made.url("postgres", role="postgres"), seconds=60)
    finally:
        await keeper.stop()
    assert postgres.of_folder(made.data) == []


async def test_a_lock_file_whose_number_another_process_has_now_does_not_hinder(folder: Path) -> None:
    made = postgres.at(folder)
    (made.data / "postmaster.pid").write_text(f"{os.getpid()}\n{made.data}\n0\n{made.port}\n\n127.0.0.1\n0 0\nready\n")
    keeper = Supervisor(folder)

    await keeper.start(made.process(), seconds=60)

    await keeper.stop()


def test_an_old_data_folder_gets_the_passwords_that_it_lacks_and_keeps_the_others(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"postgres": "kept", "customers": "kept too"}))

    made = postgres.passwords(tmp_path)

    assert (made["postgres"], made["customers"]) == ("kept", "kept too")
    assert made.keys() >= {*HTTP, LOG_READER, "internal"}
    assert postgres.passwords(tmp_path) == made
