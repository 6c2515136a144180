"""The bus port: the same consumer reads the log in PostgreSQL and Kafka."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Never, Protocol

from chassis.db import Database


class TopicPartition(NamedTuple):
    """One ordered stream."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """What stands at an offset: a CloudEvent in JSON, or a tombstone without a value."""

    offset: int
    key: str | None
    value: bytes | None


class PartitionSink(Protocol):
    """Where a transport puts what it read; it owns the offsets."""

    async def claim(self, partition: TopicPartition) -> int:
        """The offset to read from."""

    async def take(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> Mapping[TopicPartition, int]:
        """Handle records of some partitions exactly once and return the offset to read next of each.

        The effects and the offsets commit together. An offset not behind the last record means that the partition
        has stopped or was moved by another owner: read on from there, after a rest.
        """

    async def catch_up(self, partition: TopicPartition, beginning: int) -> bool:
        """Handle what the bus has dropped before the offset `beginning`, though no record may ever tell of it.

        False where that has not succeeded: ask again after a rest, and read nothing of it meanwhile.
        """


def together(sizes: Mapping[TopicPartition, int], limit: int) -> Iterator[list[TopicPartition]]:
    """Partitions in groups that are taken at once, each of at most `limit` records or of one partition alone.

    A transaction costs for one record what it costs for a hundred: what waits in several partitions shares one.
    """
    group: list[TopicPartition] = []
    for partition, size in sizes.items():
        if group and sum(sizes[each] for each in group) + size > limit:
            yield group
            group = []
        group.append(partition)
    if group:
        yield group


class Transport(Protocol):
    """Two adapters: `log://` and `kafka://`."""

    async def run(self, consumer: str, topics: Sequence[str], sink: PartitionSink) -> Never:
        """Claim partitions, hand each batch to `sink`, in order per partition, until cancelled.

        Several processes with the same consumer name share the partitions. The transport never acknowledges on
        its own.
        """


def connect_bus(
    bus_url: str, database: Database, source_urls: Mapping[str, str], *, patience_s: float = 0
) -> Transport:
    """The transport behind a URL: `log://` reads the sources' `event_log`, `kafka://host:port,host:port` a broker.

    `database` is the consumer's own; `source_urls` name each publishing service's database (read-only role). For
    `patience_s` seconds what comes is gathered, for a consumer that nobody waits for: a batch costs for one event what
    it costs for a hundred.
    """
    scheme, _, address = bus_url.partition("://")
    match scheme:
        case "log":
            from chassis.log_transport import LogTransport

            return LogTransport(database, source_urls, patience_s=patience_s)
        case "kafka":
            from chassis.kafka_transport import KafkaTransport

            return KafkaTransport(address, patience_s=patience_s)
        case _:
            raise ValueError(f"A bus URL starts with log:// or kafka://, not {scheme}://")


Gate = Callable[[Database], Awaitable[None]]
"""What must pass before a process numbers events."""


def restore_gate(bus_url: str, service: str) -> Gate | None:
    """What recognises a service's database as restored from an older backup; none where the log is the bus itself."""
    scheme, _, address = bus_url.partition("://")
    if scheme != "kafka":
        return None
    from chassis.gate import ProcessGate

    return ProcessGate(service, address)
