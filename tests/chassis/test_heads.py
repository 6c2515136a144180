import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from fastapi import APIRouter

from chassis.app import create_app, serve
from chassis.db import Database
from chassis.heads import HEAD_BYTES
from chassis.settings import ServiceSettings

from .test_app import SECRET, free_socket

GOOD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
async def port(database: Database) -> AsyncIterator[int]:
    """An app on a real socket that waits half a second for a head."""
    settings = ServiceSettings(database_url=database.url, internal_secret=SECRET, stall_s=0.5)
    bound = free_socket()
    bound.listen()
    serving = asyncio.create_task(serve(create_app("notes", router=APIRouter(), settings=settings), sockets=[bound]))
    yield int(bound.getsockname()[1])
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


async def answered(port: int, *pieces: bytes) -> tuple[int, dict[str, Any]]:
    """The answer, once the server has closed; 0 where there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    if not answer:
        return 0, {}
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_a_head_that_fits_is_answered(port: int) -> None:
    padding = b"X-A: " + b"a" * (HEAD_BYTES - 1_000) + b"\r\n"
    assert (await answered(port, GOOD + padding + b"Connection: close\r\n\r\n"))[0] == 200


@pytest.mark.parametrize(
    "pieces",
    [
        (GOOD + b"X-A: " + b"a" * HEAD_BYTES,),
        (GOOD + b"X-A: a\r\n" * (HEAD_BYTES // 4),),
        (b"GET /healthz?" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\n\r\n",),
        (GOOD, b"X-A: ", *[b"a" * 1_000] * (HEAD_BYTES // 1_000 + 2)),
    ],
    ids=["a header", "headers", "an address", "piece by piece"],
)
async def test_a_head_over_the_limit_is_refused_before_it_is_whole(port: int, pieces: tuple[bytes, ...]) -> None:
    status, told = await answered(port, *pieces)
    assert (status, told["code"]) == (431, "request_header_fields_too_large")


async def test_a_client_that_stalls_in_its_head_is_cut_off(port: int) -> None:
    status, told = await answered(port, GOOD)
    assert (status, told["code"]) == (408, "request_timeout")


async def test_a_client_that_says_nothing_is_cut_off(port: int) -> None:
    assert await answered(port) == (0, {})


async def test_empty_lines_on_an_idle_connection_do_not_keep_it_open(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(GOOD + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        writer.write(b"\r\n")
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


async def test_what_is_no_http_is_told_so(port: int) -> None:
    status, told = await answered(port, b"FOO /healthz HTTP/1.1\r\n\r\n")
    assert (status, told["code"]) == (400, "bad_request")
