"""A broker that takes a connection and says nothing keeps no client waiting for as long as a request may take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import chain, repeat

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import GroupCoordinatorNotAvailableError, NodeNotReadyError, RequestTimedOutError
from aiokafka.structs import BrokerMetadata

from chassis import kafka_client
from chassis.kafka_client import CLIENT, answering, pass_over_the_frozen


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """The port of somebody who hears everything and answers nothing, as a frozen process does."""
    heard: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: heard.append(writer), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in heard:
        writer.close()


async def test_clients_begin_at_brokers_that_answer(kafka: str, silent: int) -> None:
    frozen = f"127.0.0.1:{silent}"
    assert await answering(f"{frozen},{kafka}") == kafka
    assert await answering(f"{kafka},{frozen}") == kafka
    assert await answering(f"{frozen},{frozen}") == f"{frozen},{frozen}"
    assert await answering(kafka) == kafka


async def test_the_next_broker_says_who_leads_what_where_one_is_frozen(
    kafka: str, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_client, "sample", lambda brokers, _: sorted(brokers, reverse=True))
    producer = AIOKafkaProducer(bootstrap_servers=kafka, **CLIENT)
    pass_over_the_frozen(producer.client)
    await producer.start()
    known = producer.client.cluster
    known._brokers[99] = BrokerMetadata(99, "127.0.0.1", silent, None)
    began = asyncio.get_running_loop().time()

    assert await producer.client.force_metadata_update()

    took_s = asyncio.get_running_loop().time() - began
    assert kafka_client.ANSWER_S <= took_s < kafka_client.REQUEST_TIMEOUT_MS / 1e3
    assert 99 not in {broker.nodeId for broker in known.brokers()}
    await producer.stop()


@pytest.fixture
async def client(kafka: str, silent: int) -> AsyncIterator[AIOKafkaClient]:
    """Knows of a broker that answers and of a frozen one, 99."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, **CLIENT)
    pass_over_the_frozen(producer.client)
    await producer.start()
    producer.client.cluster._brokers[99] = BrokerMetadata(99, "127.0.0.1", silent, None)
    yield producer.client
    await producer.stop()


async def test_the_next_broker_says_who_coordinates_where_one_is_frozen(
    client: AIOKafkaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = min(broker.nodeId for broker in client.cluster.brokers())
    monkeypatch.setattr(client, "get_random_node", chain([99], repeat(there)).__next__)
    began = asyncio.get_running_loop().time()

    with pytest.raises((NodeNotReadyError, RequestTimedOutError)):
        await client.coordinator_lookup(CoordinationType.GROUP, "anybody")
    took_s = asyncio.get_running_loop().time() - began
    assert kafka_client.ANSWER_S <= took_s < kafka_client.REQUEST_TIMEOUT_MS / 1e3

    # The first question of all has the broker make its topic of offsets.
    async with asyncio.timeout(30):
        while True:
            with suppress(GroupCoordinatorNotAvailableError, RequestTimedOutError):
                assert await client.coordinator_lookup(CoordinationType.GROUP, "anybody") == there
                break


async def test_brokers_are_connected_to_soon_although_one_is_frozen(client: AIOKafkaClient) -> None:
    there = min(broker.nodeId for broker in client.cluster.brokers())
    loop = asyncio.get_running_loop()
    began = loop.time()

    frozen = asyncio.create_task(client.ready(99))
    await asyncio.sleep(0)
    while not await client.ready(there, group=ConnectionGroup.COORDINATION):
        pass

    assert not await frozen
    assert loop.time() - began < kafka_client.REQUEST_TIMEOUT_MS / 1e3
