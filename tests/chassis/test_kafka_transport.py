"""A broker that takes a connection and says nothing keeps no client waiting for as long as a request may take."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import BrokerMetadata

from chassis import kafka_transport
from chassis.kafka_transport import CLIENT, answering, pass_over_the_frozen


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
    monkeypatch.setattr(kafka_transport, "sample", lambda brokers, _: sorted(brokers, reverse=True))
    producer = AIOKafkaProducer(bootstrap_servers=kafka, **CLIENT)
    pass_over_the_frozen(producer.client)
    await producer.start()
    known = producer.client.cluster
    known._brokers[99] = BrokerMetadata(99, "127.0.0.1", silent, None)
    began = asyncio.get_running_loop().time()

    assert await producer.client.force_metadata_update()

    took_s = asyncio.get_running_loop().time() - began
    assert kafka_transport.ANSWER_S <= took_s < kafka_transport.REQUEST_TIMEOUT_MS / 1e3
    assert 99 not in {broker.nodeId for broker in known.brokers()}
    await producer.stop()
