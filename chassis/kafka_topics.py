"""The topics on Kafka: made where they are missing, and how long they keep what was sent."""

import asyncio
from collections.abc import Iterable

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from chassis.kafka_client import REQUEST_TIMEOUT_MS, answering, drop
from chassis.rest import rest
from contracts.topics import Topic

log = structlog.get_logger()

RETENTION_DAYS = 35
"""Events stay so long unless the publisher is told otherwise: as long as a log may remember a person who was erased."""
DYNAMIC_TOPIC_CONFIG = 1
"""Where a setting of a topic comes from: it was set on this topic itself (KIP-226)."""


async def ensure_topics(servers: str, topics: Iterable[Topic]) -> None:
    """Create the topics that are not there, and wait until every partition has a leader.

    Replication 3 with two in sync where there are three brokers, else 1 and 1. Waits for a broker for as long as
    it takes.
    """
    wanted = list(topics)
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=await answering(servers), request_timeout_ms=REQUEST_TIMEOUT_MS)
        try:
            async with asyncio.timeout(30):
                await admin.start()
                brokers = len((await admin.describe_cluster())["brokers"])
                replicas = 3 if brokers >= 3 else 1
                response = await admin.create_topics([_new_topic(topic, replicas) for topic in wanted])
                # The admin client raises nothing for a topic: 36 is "exists".
                for name, code, *reason in response.topic_errors:
                    if code not in (0, 36):
                        raise KafkaError(f"{name}: {reason or code}")
                await _have_leaders(admin, wanted)
            return
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("topics not ensured yet", error=str(error), error_class=type(error).__name__)
            await rest(1)
        finally:
            await drop(admin.close())


def _new_topic(topic: Topic, replicas: int) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.partitions,
        replicas,
        topic_configs={
            "min.insync.replicas": "2" if replicas == 3 else "1",
            **(
                {"cleanup.policy": "compact"}
                if topic.compacted
                else {"cleanup.policy": "delete", **kept(RETENTION_DAYS)}
            ),
        },
    )


def kept(days: int) -> dict[str, str]:
    """The setting of a topic whose events stay for so long."""
    return {"retention.ms": str(days * 24 * 3_600_000)}


async def keep_for(servers: str, topics: Iterable[Topic], days: int) -> None:
    """Have events stay on Kafka for so long, where a topic says otherwise. Compacted topics keep what they hold.

    Changed settings replace all that were set on a topic: what else was set goes along.
    """
    wanted = kept(days)
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics if not topic.compacted]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        async with asyncio.timeout(30):
            await admin.start()
            changed = []
            for response in await admin.describe_configs(asked):
                for code, message, _, name, entries in response.resources:
                    if code:
                        raise KafkaError(f"{name}: {message or code}")
                    present = {entry[0]: entry[1] for entry in entries if entry[3] == DYNAMIC_TOPIC_CONFIG}
                    if present | wanted != present:
                        changed.append(ConfigResource(ConfigResourceType.TOPIC, name, present | wanted))
            for response in await admin.alter_configs(changed) if changed else ():
                for code, message, _, name in response.resources:
                    if code:
                        raise KafkaError(f"{name}: {message or code}")
    finally:
        await drop(admin.close())


async def _have_leaders(admin: AIOKafkaAdminClient, topics: list[Topic]) -> None:
    while True:
        found = await admin.describe_topics([topic.name for topic in topics])
        if all(
            len(topic["partitions"]) and all(partition["leader"] >= 0 for partition in topic["partitions"])
            for topic in found
        ):
            return
        await asyncio.sleep(0.1)
