"""Clients of Kafka that go on where a broker is frozen: aiokafka waits for it as long as for any request."""

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable
from contextlib import suppress
from random import sample
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError, RequestTimedOutError
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

REQUEST_TIMEOUT_MS = 10_000
ANSWER_S = 2.0
"""A broker that takes longer for what any of them can answer is passed over."""
ANSWERED_BY_ANY = (FindCoordinatorRequest, InitProducerIdRequest)
SOON_S = 0.2
"""Behind the first that answers the others have so long."""
CLIENT = {"request_timeout_ms": REQUEST_TIMEOUT_MS, "metadata_max_age_ms": 2_000, "retry_backoff_ms": 1_000}
"""Settings of every client: an outage is noticed within seconds and not hammered at."""


async def answering(servers: str) -> str:
    """Those of several brokers that answer at once, all of them where none does; as `host:port,…`.

    A client that begins at one that is frozen waits for it as long as for any request.
    """
    if "," not in servers:
        return servers
    found: list[str] = []
    asking = {asyncio.create_task(_ask(server, found)) for server in servers.split(",")}
    try:
        while asking and not found:
            _, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        if asking:
            await asyncio.wait(asking, timeout=SOON_S)
    finally:
        for task in asking:
            task.cancel()
    return ",".join(found) or servers


async def _ask(server: str, found: list[str]) -> None:
    ((host, port, _),) = collect_hosts(server)
    with suppress(KafkaError, OSError):
        connection = await create_conn(host, port, request_timeout_ms=int(ANSWER_S * 1e3))
        connection.close()
        found.append(server)


def pass_over_the_frozen(client: AIOKafkaClient) -> None:
    """Have a client ask the next broker for what any of them knows when one is late: who leads, who coordinates.

    By itself it waits for one that is frozen as long as for any request, and finds the new leaders behind that only;
    while it connects to one, to none else.
    """
    with_patience, send, connect = client._metadata_update, client.send, client._get_conn

    async def update(cluster: ClusterMetadata, topics: Iterable[str] | None) -> bool:
        brokers = [broker.nodeId for broker in client.cluster.brokers()]
        for broker in sample(brokers, len(brokers)):
            try:
                async with asyncio.timeout(ANSWER_S):
                    connection = await client._get_conn(broker)
                    found = connection and await connection.send(MetadataRequest(list(topics) if topics else None))
            except (KafkaError, OSError, TimeoutError):
                continue
            if found and found.brokers:
                cluster.update_metadata(found)
                return True
        known: bool = await with_patience(cluster, topics)
        return known

    late = 0

    async def soon(asking: Awaitable[Any]) -> Any:
        nonlocal late
        # Where as many were late as there are, they are slow rather than frozen.
        patience = late >= len(client.cluster.brokers())
        late = 0 if patience else late
        try:
            async with asyncio.timeout(None if patience else ANSWER_S):
                answer = await asking
        except TimeoutError:
            late += 1
            raise
        late = 0
        return answer

    async def send_in_time(node: int, request: Any, **group: Any) -> Any:
        if not isinstance(request, ANSWERED_BY_ANY):
            return await send(node, request, **group)
        try:
            return await soon(send(node, request, **group))
        except TimeoutError:
            raise RequestTimedOutError from None

    async def connect_in_time(node: int, **group: Any) -> Any:
        try:
            return await soon(connect(node, **group))
        except TimeoutError:
            client.force_metadata_update()
            return None

    client._metadata_update = update
    client.send = send_in_time
    client._get_conn = connect_in_time


async def hang_up(client: AIOKafkaClient) -> None:
    """Close the connections of a client, without what a broker that is frozen has not taken yet."""
    for connection in client._conns.values():
        if connection._writer is not None:
            connection._writer.transport.abort()
    await drop(client.close())


async def drop(stopping: Coroutine[Any, Any, None]) -> None:
    """Let a client stop for five seconds at most, whatever state its brokers are in, also under a cancellation."""
    task = asyncio.create_task(stopping)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        await asyncio.wait({task}, timeout=5)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=5)
        raise
    finally:
        task.cancel()
