"""The embedded shape: no Java, no Docker; consumers read the log in PostgreSQL."""

from deploy.product import Options, Parts, Shape, role


async def bus(parts: Parts) -> str:
    """The log needs no process of its own."""
    return "log://"


def embedded(options: Options) -> Shape:
    """Five processes beside PostgreSQL."""
    return Shape(
        "embedded",
        options,
        bus=bus,
        services=(
            role("customers"),
            role("customers-importer"),
            role("scoring"),
            role("scoring-worker", "scoring-sweeper"),
        ),
    )
