"""What a service streams as lines of JSON."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import msgspec

from gateway.domain.services import ServiceFailed


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
