"""Keep how everybody stands current in a system of your own: `python examples/standings.py HOST:PORT`."""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer


async def main(servers: str) -> None:
    """Read the compacted topic from its beginning, then go on with what changes."""
    topic = "scoring.standing.state.v1"
    reader = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    async with reader:
        async for record in reader:
            if record.value is None:
                print("gone", record.key.decode(), flush=True)
                continue
            standing = json.loads(record.value)["data"]
            print(record.key.decode(), standing["revision"], standing["stage"], standing["tier"], flush=True)


asyncio.run(main(sys.argv[1]))
