"""A run: the product comes up, is loaded and broken, is judged, and is compared with one that nobody broke."""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

from bench.faults import judge
from bench.faults.clients import Client, Journal, Load
from bench.faults.commands import KEY, Command
from bench.faults.deck import BY_OTHER_BROKERS, KINDS, LIMITS, ON_DISKS, SEVERAL_BROKERS, dealt
from bench.faults.fault import Fault
from bench.faults.ground import Disks, Ground, started
from bench.faults.judge import Verdict
from bench.faults.listeners import Listeners, listening
from bench.faults.plan import Plan
from bench.faults.recovery import Probe, Stuck
from bench.product import CURRENCY, Running, start
from deploy import postgres, product

PER_S = 25.0
REST_S = (0.5, 2.0)
"""Between two faults, at least and at most."""
QUIET_STARTS_S = 300
"""What runs beside it may leave it little of the machine."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What a run is to be."""

    count: int
    seed: int
    brokers: int = 3
    workers: int = 2
    per_s: float = PER_S
    kinds: tuple[str, ...] = ()
    """Only of these; empty: of all that this machine allows."""
    within: float = 1.0
    """A recovery may take so many times what is promised."""
    keep: Path | None = None
    """A folder to which the logs of the processes go."""


@dataclass
class Outcome:
    """What came of it."""

    faults: int = 0
    commands: int = 0
    attempts: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    repeated_on_kafka: int = 0
    events_told: int = 0
    took_s: float = 0.0
    """From the first process to the verdict."""
    within: float = 1.0
    limits: Mapping[str, float] = field(default_factory=dict)
    """What is promised, of those kinds of which anything is."""
    disks: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing is wrong and nothing was late."""
        return self.verdict.good and not self.late()

    def late(self) -> dict[str, float]:
        """Kinds whose longest recovery took more than they may, and that recovery."""
        longest = {kind: max(took) for kind, took in self.recovery_s.items()}
        return {kind: took for kind, took in longest.items() if took > self.within * self.limits.get(kind, inf)}

    def document(self) -> dict[str, Any]:
        """For programs."""
        verdict = self.verdict
        return {
            "faults": self.faults,
            "commands": self.commands,
            "lost": len(verdict.lost),
            "doubled": len(verdict.doubled),
            "out_of_order": len(verdict.out_of_order),
            "verify_disagreements": verdict.verify_disagreements,
            "digest_equal": verdict.digest_equal,
            "recovery_s": {
                kind: {
                    "median": round(statistics.median(took), 2),
                    "max": round(max(took), 2),
                    "times": len(took),
                    "limit": self.limits.get(kind),
                }
                for kind, took in sorted(self.recovery_s.items())
            },
            "late": {kind: round(took, 2) for kind, took in self.late().items()},
            "within": self.within,
            "took_s": round(self.took_s, 1),
            "state_differs": len(verdict.state_differs),
            "stuck": len(verdict.stuck),
            "refused": len(verdict.refused),
            "unexpected_dead_letters": len(verdict.unexpected_letters),
            "attempts": self.attempts,
            "repeated_on_kafka": self.repeated_on_kafka,
            "events_told": self.events_told,
            "full_disk": "a file system in memory of a mount namespace" if self.disks else "left out",
            "left_out": list(self.left_out),
        }


async def run(asked: Asked, say: Say, *, disks: bool) -> Outcome:
    """Break the product so often, and judge; `disks` says whether file systems may be put in place."""
    began = time.monotonic()
    limits = {kind: s for kind, s in LIMITS.items() if asked.brokers > 1 or kind not in BY_OTHER_BROKERS}
    outcome = Outcome(within=asked.within, limits=limits, disks=disks)
    kinds = [kind for kind in asked.kinds or KINDS if outcome.disks or kind not in ON_DISKS]
    if asked.brokers == 1:
        kinds = [kind for kind in kinds if kind not in SEVERAL_BROKERS]
    outcome.left_out = tuple(kind for kind in asked.kinds or KINDS if kind not in kinds)
    journal = Journal()
    say(f"starting {asked.brokers} broker(s) and {asked.workers} worker(s)")
    with product.cancelled_by_signals(), tempfile.TemporaryDirectory(prefix="shuke-faults-") as place:
        async with started(Path(place), brokers=asked.brokers, workers=asked.workers, disks=Disks(can=disks)) as ground:
            try:
                left = await _broken_and_judged(asked, kinds, ground, journal, outcome, say)
            finally:
                if asked.keep:
                    shutil.copytree(ground.folder / "logs", asked.keep, dirs_exist_ok=True)
        await _beside_quiet(Path(place), journal, left, outcome, say)
    outcome.took_s = time.monotonic() - began
    return outcome


async def _broken_and_judged(
    asked: Asked, kinds: list[str], ground: Ground, journal: Journal, outcome: Outcome, say: Say
) -> judge.Left:
    async with Client(ground.url, ground.headers) as client, listening(client) as listeners:
        load = Load(client, Plan(asked.seed), journal, per_s=asked.per_s)
        loading = asyncio.create_task(load.run())
        probe = Probe(ground, client, journal)
        first = time.monotonic()
        say(f"first purchase readable after {await probe.itself_again() - first:.1f} s")
        cards = dealt(asked.seed, kinds)
        for number in range(1, asked.count + 1):
            chance, make = next(cards)
            await asyncio.sleep(chance.uniform(*REST_S))
            fault = make(chance, ground)
            took = await _one(fault, ground, probe, outcome)
            limit = f" of {outcome.limits[fault.kind]:.0f}" if fault.kind in outcome.limits else ""
            say(f"{number}/{asked.count} {fault.kind} ({fault.what}): {took}{limit}")
        load.end()
        try:
            async with asyncio.timeout(judge.SETTLE_S):
                await asyncio.gather(loading, probe.settle())
        except TimeoutError:
            outcome.verdict.stuck.append(f"not acknowledged: {sorted(journal.waiting)[:20]}")
        outcome.commands = len(journal.told)
        outcome.attempts = sum(told.attempts for told in journal.told)
        outcome.verdict.refused += journal.refused
        say(f"{outcome.commands} commands acknowledged in {outcome.attempts} attempts; waiting until all is read")
        return await _judged(ground, client, journal, listeners, outcome, say)


async def _one(fault: Fault, ground: Ground, probe: Probe, outcome: Outcome) -> str:
    """A fault from its beginning until the product is itself again; how long that took, in words."""
    await fault.begin(ground)
    began = time.monotonic()
    recovering = asyncio.create_task(probe.itself_again()) if fault.from_beginning else None
    try:
        await asyncio.sleep(fault.lasts_s)
    finally:
        await fault.end(ground)
    if recovering is None:
        began, recovering = time.monotonic(), asyncio.create_task(probe.itself_again())
    outcome.faults += 1
    try:
        took = await recovering - began
    except Stuck as stuck:
        outcome.verdict.stuck.append(f"after {fault.kind} ({fault.what}): {stuck}")
        return str(stuck)
    outcome.recovery_s[fault.kind].append(took)
    return f"{took:.1f} s"


async def _judged(
    ground: Ground, client: Client, journal: Journal, listeners: Listeners, outcome: Outcome, say: Say
) -> judge.Left:
    verdict = outcome.verdict
    verdict.stuck += await judge.settle(client)
    verdict.verify_disagreements, found = await judge.verified(client)
    for each in found:
        say(f"verify: {each}")
    left = await judge.left(client, ground.database, f"{datetime.now(UTC):%Y-%m-%d}", ground.planted)
    judge.acknowledged_once(verdict, left.log, journal)
    judge.in_order(verdict, left.log, journal)
    outcome.repeated_on_kafka = await judge.on_kafka(verdict, ground.servers, ground.database)
    await judge.told(verdict, ground.database, listeners, ground.planted)
    outcome.events_told = len(listeners.streamed)
    await judge.nothing_stuck(verdict, ground.database, ground.expected_letters)
    return left


async def _beside_quiet(place: Path, journal: Journal, left: judge.Left, outcome: Outcome, say: Say) -> None:
    """Tell a product that nobody breaks the same, in the order in which it was acknowledged."""
    say("telling a quiet installation the same")
    async with _quiet(place) as running, Client(running.url, running.headers) as client:
        same = Journal()
        commands: list[Command] = [told.command for told in journal.told]
        await Load(client, commands, same, per_s=10_000).run()
        outcome.verdict.refused += [f"quiet: {each}" for each in same.refused]
        outcome.verdict.stuck += await judge.settle(client)
        quiet = await judge.left(client, running.database, f"{datetime.now(UTC):%Y-%m-%d}")
    await judge.compare(outcome.verdict, left, quiet, journal.ids, same.ids)


@asynccontextmanager
async def _quiet(place: Path) -> AsyncIterator[Running]:
    key, folder = place / "quiet.key", place / "quiet"
    key.write_text(KEY)
    words = ("up", "--port", str(postgres.free_port()), "--currency", CURRENCY, "--identity-key", str(key))
    running = await asyncio.to_thread(start, folder, *words, seconds=QUIET_STARTS_S)
    try:
        yield running
    finally:
        await asyncio.to_thread(running.stop)
