"""Whether a part answers, asked by URL: an open port is not readiness."""

import asyncio
import logging
from contextlib import closing

import asyncpg


class NotReady(Exception):
    """A part did not answer in time."""


async def answers(url: str) -> bool:
    """Ask once. False while the part is still starting."""
    scheme, _, rest = url.partition("://")
    match scheme:
        case "http":
            return await http_answers(url)
        case "postgresql":
            return await postgres_answers(url)
        case "kafka":
            return await brokers_answer(rest.split(","))
        case _:
            raise ValueError(f"Readiness of {url} cannot be asked.")


async def http_answers(url: str) -> bool:
    """Whether a GET is answered with 200. Without a client library: asked often while all processors are busy."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(name, int(port))
            with closing(writer):
                writer.write(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                status = await reader.readline()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status


async def postgres_answers(url: str) -> bool:
    """Whether the database takes a connection: during recovery it refuses."""
    try:
        connection = await asyncpg.connect(url, timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True


async def brokers_answer(addresses: list[str]) -> bool:
    """Whether the cluster lists all of its brokers."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses, request_timeout_ms=2_000)
    try:
        async with asyncio.timeout(4):
            await admin.start()
            return len((await admin.describe_cluster())["brokers"]) == len(addresses)
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()


async def wait(url: str, *, seconds: float) -> None:
    """Return when the part answers; `NotReady` when it has not after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            while not await answers(url):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise NotReady(f"{url.rpartition('@')[2]} does not answer after {seconds:.0f} s.") from None
