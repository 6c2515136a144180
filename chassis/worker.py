"""A process that reads events: its database, the bus, and the way out for what it announces."""

import asyncio
import gc
from collections.abc import Mapping, Sequence
from typing import Never

from chassis import consumer, pressure, sequencer
from chassis.app import Background
from chassis.bus import connect_bus, restore_gate
from chassis.db import LOOKUPS, SILENCE_S, connect, declare_topics
from chassis.settings import ServiceSettings
from contracts.topics import Topic, topics_of


async def work(
    service: str,
    settings: ServiceSettings,
    source_urls: Mapping[str, str],
    topics: Sequence[Topic],
    handler: consumer.Handler,
    *,
    announces: bool = False,
    beside: Sequence[Background] = (),
    patience_s: float = 0,
    lookups: bool = False,
) -> Never:
    """Hand the events of topics to a handler until cancelled; any number of these processes share the partitions.

    `announces` is for handlers that publish: then events are numbered here too, and leave at once. `beside` are tasks
    that run on the same database for as long, `patience_s` is that of `chassis.bus.connect_bus`, and `lookups` says
    that what the handler asks of the database is nothing else (`chassis.db.LOOKUPS`).
    """
    # What a batch makes goes with it, and makes no cycles.
    gc.set_threshold(50_000, 20, 20)
    of_sessions = consumer.SESSION_SETTINGS | (LOOKUPS if lookups else {})
    database = connect(settings.database_url, pool_size=8, settings=of_sessions, silence_s=SILENCE_S)
    transport = connect_bus(settings.bus_url, database, source_urls, patience_s=patience_s)
    names = [topic.name for topic in topics]
    try:
        async with asyncio.TaskGroup() as tasks:
            if announces:
                await declare_topics(database, topics_of(service))
                # What reads waits as well as what is asked: else its outbox would have no bound.
                tasks.create_task(pressure.watch(database, service=service, settings=settings))
                tasks.create_task(sequencer.run(database, gate=restore_gate(settings.bus_url, service)))
            for task in beside:
                tasks.create_task(task(database))
            tasks.create_task(consumer.run(service, database, transport, names, handler, source_urls))
    finally:
        await database.close()
    raise AssertionError("unreachable")
