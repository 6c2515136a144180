"""What a process can be: a role is a name and the one place where it begins."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pkgutil import resolve_name

ROLES = {
    "customers": "services.customers.app:app",
    "customers-importer": "services.customers.app:importer",
    "customers-publisher": "services.customers.app:publisher",
    "scoring": "services.scoring.app:app",
    "scoring-worker": "services.scoring.app:worker",
    "scoring-sweeper": "services.scoring.app:sweeper",
    "scoring-publisher": "services.scoring.app:publisher",
    "gateway": "gateway.app:app",
}
"""Where each role begins: an app to serve, or a coroutine function that never returns."""

HTTP = ("customers", "scoring", "gateway")

PACKAGES = {"customers": "services.customers", "scoring": "services.scoring", "gateway": "gateway"}
"""The package whose migrations make each database."""


async def run(name: str) -> None:
    """Be one role until cancelled. Its settings come from the environment."""
    begin = resolve_name(ROLES[name])
    if name in HTTP:
        from chassis.app import serve

        await serve(begin())
    else:
        await begin()
        raise RuntimeError(f"{name} ended, and it never should.")


async def run_all(names: Sequence[str]) -> None:
    """Be several roles in one process: when one fails all end with it; SIGTERM and SIGINT let all finish."""
    from chassis.telemetry import configure_logging

    configure_logging(os.environ.get("SHUKE_LOG_LEVEL", "INFO"))
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(name), name=name) for name in names]
        for sent in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sent, lambda: [task.cancel() for task in tasks])


async def migrate(urls: dict[str, str]) -> None:
    """Bring each database to the newest version of its package's migrations."""
    from chassis.db import migrate

    for name, url in urls.items():
        await migrate(url, PACKAGES[name])


def database_urls() -> dict[str, str]:
    """The databases that the environment names, by service."""
    named = {name: os.environ.get(f"{name.upper()}_DATABASE_URL") for name in PACKAGES}
    return {name: url for name, url in named.items() if url}


def serve(names: Sequence[str]) -> None:
    """Run roles until they are told to end, on the fast event loop."""
    import uvloop

    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        uvloop.run(run_all(names))
