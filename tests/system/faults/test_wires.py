"""The wires between the parts: whatever they do to a connection, those of others pass."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.faults.wires import Wires
from deploy.ports import free_port


@asynccontextmanager
async def echo(wires: Wires) -> AsyncIterator[int]:
    """A server that sends back what it hears, behind a wire; the port of its door."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(100):
                writer.write(piece)
        finally:
            writer.transport.abort()

    behind, door = free_port(), free_port()
    server = await asyncio.start_server(hear, "127.0.0.1", behind)
    await wires.door("echo", [behind], at=door)
    try:
        yield door
    finally:
        for writer in OPENED:
            writer.transport.abort()
        OPENED.clear()
        await wires.close()
        server.close()
        await asyncio.sleep(0)


OPENED: list[asyncio.StreamWriter] = []


def mine(client: str, target: str) -> bool:
    return (client, target) == ("me", "echo")


def somebody_elses(client: str, target: str) -> bool:
    return client == "another"


async def connected(door: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", door)
    OPENED.append(writer)
    return reader, writer


async def said(door: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that works."""
    reader, writer = await connected(door)
    writer.write(b"a")
    assert await asyncio.wait_for(reader.read(1), 60) == b"a"
    return reader, writer


@pytest.fixture
def wires() -> Wires:
    return Wires(lambda: {"me": os.getpid()})


async def test_who_opens_a_connection_is_known(wires: Wires) -> None:
    async with echo(wires) as door:
        await said(door)
        assert [wire.client for wire in wires.chosen(mine)] == ["me"]
        assert wires.chosen(somebody_elses) == []


async def test_what_falls_into_a_hole_arrives_when_it_is_filled(wires: Wires) -> None:
    async with echo(wires) as door:
        reader, writer = await said(door)
        wires.hole(somebody_elses)
        wires.hole(mine)
        writer.write(b"b")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        wires.heal(mine)
        assert await asyncio.wait_for(reader.read(1), 60) == b"b"


async def test_a_reset_ends_what_is_open_and_what_is_opened_until_it_is_over(wires: Wires) -> None:
    async with echo(wires) as door:
        reader, _ = await said(door)
        wires.reset(mine)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 60)
        reader, _ = await connected(door)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), 60)
        wires.heal(mine)
        await said(door)


async def test_the_client_of_half_a_connection_hears_nothing_more(wires: Wires) -> None:
    async with echo(wires) as door:
        reader, writer = await said(door)
        wires.lose_targets(mine)
        writer.write(b"b")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        await said(door)


async def test_what_is_delayed_comes_later(wires: Wires) -> None:
    async with echo(wires) as door:
        reader, writer = await said(door)
        wires.delay(mine, 0.15)
        began = asyncio.get_running_loop().time()
        writer.write(b"b")
        assert await asyncio.wait_for(reader.read(1), 60) == b"b"
        # Once on the way there, once on the way back.
        assert asyncio.get_running_loop().time() - began >= 0.3
