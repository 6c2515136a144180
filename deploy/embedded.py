"""The embedded shape: no Java, no Docker; consumers read the log in PostgreSQL."""

from deploy.product import Options, Parts, Shape, role
from deploy.roles import SERVICES


async def bus(parts: Parts) -> str:
    """The log needs no process of its own."""
    return "log://"


def embedded(options: Options) -> Shape:
    """Few processes beside PostgreSQL: what is light shares one."""
    return Shape(
        "embedded",
        options,
        bus=bus,
        services=tuple(
            role(*map(each.role, parts))
            for each in SERVICES
            for parts in each.processes
            if "gateway" not in map(each.role, parts)
        ),
    )
