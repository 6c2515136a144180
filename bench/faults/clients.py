"""Good clients: each command under one Idempotency-Key, sent again until it is answered, never twice under another."""

import asyncio
import json
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import aiohttp

from bench.faults.commands import Command

ATTEMPT_S = 10.0
"""Seconds after which a client takes a request for lost."""
LONGEST_PAUSE_S = 5.0
FOUND_S = 240.0
"""For what has to be in a list: longer than any fault and the recovery from it."""
AGAIN = frozenset({408, 425, 429})
"""Answers, besides those of the 500s, after which the same request may go through."""
PASSING = frozenset({"request_in_progress"})
"""Codes of refusals of which the same holds."""
AT_ONCE = 8


@dataclass(frozen=True)
class Told:
    """A command that was acknowledged."""

    command: Command
    ids: Mapping[str, str]
    """What it made, by name: of a bulk command a name for each row."""
    beside: Mapping[str, str]
    """What else of the answer later commands need, by name: a code, a planned activation."""
    sent_at: float
    """When it was sent first; seconds of the monotonic clock."""
    acknowledged_at: float
    attempts: int


@dataclass
class Journal:
    """All that was acknowledged, in that order, and what was refused for good."""

    told: list[Told] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    """Names of commands that were sent and are not answered yet."""

    def note(self, told: Told) -> None:
        """Keep what was acknowledged."""
        self.told.append(told)
        self.ids.update(told.ids)
        self.ids.update(told.beside)


class Client:
    """Sends commands to one product, several at the same time."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url, self.headers = url, headers
        self.session: aiohttp.ClientSession

    async def __aenter__(self) -> "Client":
        self.session = aiohttp.ClientSession(
            self.url, headers=self.headers, connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=20)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def tell(self, command: Command, journal: Journal) -> None:
        """Send a command until it is acknowledged or refused for good."""
        journal.waiting.add(command.name)
        if command.search:
            try:
                journal.ids[command.of] = await self.found(command.search)
            except TimeoutError:
                journal.refused.append(f"{command.name}: nothing is in {command.search}")
                journal.waiting.discard(command.name)
                return
        path, content = command.sent(journal.ids)
        began, attempts = time.monotonic(), 0
        while True:
            attempts += 1
            status, answer, pause_s = await self.send(command, path, content)
            gone = status == 404 and command.method == "DELETE" and attempts > 1
            if status in (200, 201, 202, 204) or gone:
                ids, beside = _ids(command, answer), _beside(command, answer)
                journal.note(Told(command, ids, beside, began, time.monotonic(), attempts))
                break
            if not passing(status, answer, command.not_yet):
                journal.refused.append(f"{command.name}: {status} {json.dumps(answer)[:300]}")
                break
            await asyncio.sleep(pause_s)
        journal.waiting.discard(command.name)

    async def found(self, path: str) -> str:
        """The id of the first of a list, as soon as there is one. Raises `TimeoutError` where none comes."""
        until = time.monotonic() + FOUND_S
        while time.monotonic() < until:
            with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                async with asyncio.timeout(ATTEMPT_S):
                    if found := (await self.get(path))["data"]:
                        return str(found[0]["id"])
            await asyncio.sleep(random.uniform(0.1, 0.5))
        raise TimeoutError

    async def send(self, command: Command, path: str, content: Any) -> tuple[int, Any, float]:
        """Send once; the status (0: none came), the answer, and after how many seconds to send again."""
        body, kind = json.dumps(content), "application/json"
        if isinstance(content, list):
            body, kind = "\n".join(map(json.dumps, content)), "application/x-ndjson"
        headers = {"Idempotency-Key": sha256(command.name.encode()).hexdigest(), "Content-Type": kind}
        pause_s = random.uniform(0.1, 0.5)
        try:
            async with (
                asyncio.timeout(ATTEMPT_S),
                self.session.request(command.method, path, data=body, headers=headers) as response,
            ):
                answer = await response.json(content_type=None)
                if after := response.headers.get("Retry-After"):
                    pause_s = min(float(after), LONGEST_PAUSE_S)
                return response.status, answer, pause_s
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return 0, None, pause_s

    async def get(self, path: str, **query: str) -> Any:
        """What is read, in JSON; any other status than 200 raises `aiohttp.ClientResponseError`."""
        async with self.session.get(path, params=query) as response:
            response.raise_for_status()
            return await response.json()


def passing(status: int, answer: Any, not_yet: frozenset[str] = frozenset()) -> bool:
    """Whether the same request may go through later."""
    code = answer.get("code") if isinstance(answer, dict) else None
    return status == 0 or status >= 500 or status in AGAIN or code in PASSING | not_yet


def _ids(command: Command, answer: Any) -> dict[str, str]:
    if not command.rows:
        answer = answer or {}
        return {command.name: str(answer.get("id") or answer.get("hash", ""))}
    found = {}
    for place, row in enumerate(answer["data"]):
        [id] = [value for name, value in row.items() if name.endswith("_id")]
        found[f"{command.name} {place}"] = id
    return found


def _beside(command: Command, answer: Any) -> dict[str, str]:
    if not isinstance(answer, dict):
        return {}
    found = {f"{command.name} planned": str(each["id"]) for each in answer.get("planned", [])}
    return found | ({f"{command.name} code": answer["code"]} if answer.get("code") else {})


class Load:
    """Commands at a rate, each when those that it needs are answered."""

    def __init__(self, client: Client, commands: Iterable[Command], journal: Journal, *, per_s: float) -> None:
        self.client, self.journal, self.per_s = client, journal, per_s
        self._commands: Iterator[Command] = iter(commands)
        self._answered: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE * 4)
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Tell until `end` is called or nothing is left, then until everything that was begun is answered."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for command in self._commands:
            if self._ending.is_set():
                break
            await self._room.acquire()
            self._answered[command.name] = asyncio.Event()
            task = loop.create_task(self._one(command))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            due = max(due + 1 / self.per_s, loop.time() - 1)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), max(0.0, due - loop.time()))
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def end(self) -> None:
        """Begin nothing more."""
        self._ending.set()

    async def _one(self, command: Command) -> None:
        try:
            for needed in command.needs:
                await self._answered[needed].wait()
            if all(needed in self.journal.ids for needed in command.needs):
                await self.client.tell(command, self.journal)
            else:
                self.journal.refused.append(f"{command.name}: not sent, what it needs was refused")
        # An answer of another shape than is wanted, for one.
        except Exception as why:
            self.journal.refused.append(f"{command.name}: {type(why).__name__}: {why}")
        finally:
            self._answered[command.name].set()
            self._room.release()
