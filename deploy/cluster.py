"""The distributed shape on one machine: a real Kafka, one process per role, as many scoring workers as asked."""

import asyncio

from deploy import kafka
from deploy.product import Options, Parts, Shape, role
from deploy.roles import MANY, ROLES


def cluster(options: Options, *, brokers: int, workers: int) -> Shape:
    """One process per role; the address of the bus is the only other difference."""

    async def bus(parts: Parts) -> str:
        made = await asyncio.to_thread(kafka.at, options.folder, brokers=brokers)
        await parts.supervisor.start(*made.processes())
        return made.url

    once = [role(name) for name in ROLES if name not in (*MANY, "gateway")]
    many = [role(name, name=f"{name}-{number}") for name in MANY for number in range(1, workers + 1)]
    return Shape("cluster", options, bus=bus, services=(*once, *many))
