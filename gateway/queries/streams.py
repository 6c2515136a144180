"""What a service streams as lines."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import msgspec

from gateway.domain.services import ServiceFailed


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
