"""What a service streams as lines."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from gateway.domain.services import ServiceFailed

S = TypeVar("S")
T = TypeVar("T")


async def blocks(pieces: AsyncIterable[bytes], service: str, most: int) -> AsyncIterator[list[str]]:
    """The lines of a stream, about so many at once. Raises `ServiceFailed` where it breaks off."""
    begun: list[bytes] = []
    count = 0
    async for piece in pieces:
        begun.append(piece)
        count += piece.count(b"\n")
        if count >= most:
            whole, _, rest = b"".join(begun).rpartition(b"\n")
            yield whole.decode().split("\n")
            begun, count = [rest], 0
    whole, _, rest = b"".join(begun).rpartition(b"\n")
    if rest:
        raise ServiceFailed(f"{service} broke off its answer.", service=service)
    if whole:
        yield whole.decode().split("\n")


async def pages(ndjson: AsyncIterable[bytes], service: str, most: int) -> AsyncIterator[list[dict[str, Any]]]:
    """The objects of a stream, so many at once. Raises `ServiceFailed` where it breaks off inside a line."""
    read: list[dict[str, Any]] = []
    async for line in ndjson:
        if not line.endswith(b"\n"):
            raise ServiceFailed(f"{service} broke off its answer.", service=service)
        read.append(msgspec.json.decode(line))
        if len(read) == most:
            yield read
            read = []
    if read:
        yield read


async def each_asked(
    items: AsyncIterable[S], ask: Callable[[S], Coroutine[Any, Any, T]]
) -> AsyncGenerator[tuple[S, T]]:
    """Each item with what is answered about it: asked before the item ahead of it is taken from here.

    Raises what the items or an answer raise; what is still asked then, or when nobody takes more, is given up.
    """
    ahead: tuple[S, asyncio.Task[T]] | None = None
    asked: asyncio.Task[T] | None = None
    try:
        async for item in items:
            asked = asyncio.create_task(ask(item))
            if ahead is not None:
                yield ahead[0], await ahead[1]
            ahead, asked = (item, asked), None
        if ahead is not None:
            yield ahead[0], await ahead[1]
    finally:
        left = [task for task in (asked, ahead and ahead[1]) if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
