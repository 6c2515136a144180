"""A run: the product comes up, is loaded and broken, is judged, and is compared with one that nobody broke."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from bench.faults import judge
from bench.faults.account import Account, Broken, Keep, Outcome, Say
from bench.faults.clients import Client, Journal, Load
from bench.faults.commands import KEY, Command
from bench.faults.deck import BY_OTHER_BROKERS, KINDS, LIMITS, ON_DISKS, SEVERAL_BROKERS, dealt
from bench.faults.fault import Fault
from bench.faults.ground import Disks, Ground, started
from bench.faults.listeners import Listeners, listening
from bench.faults.plan import Plan
from bench.faults.recovery import Probe, Stuck
from bench.product import CURRENCY, Running, start
from chassis.clock import now
from deploy import product
from deploy.ports import free_port

PER_S = 25.0
REST_S = (0.2, 1.0)
"""Between two faults, at least and at most: before it the product was seen to be itself again."""
LONGEST_S = 300.0
"""For making a fault, and again for ending it; what takes longer is given up."""
GIVEN_UP_AFTER = 3
"""So many faults in a row that the product did not get over: nothing is learned from more."""
EARLIEST, LATEST = 2, 20
"""Hours of UTC between which a run may begin with the clock as it is: clocks jump by 90 minutes, and it takes long."""
QUIET_STARTS_S = 300
"""What runs beside it may leave it little of the machine."""
QUIET_TOLD_S = 3_600.0
"""For telling a quiet installation all of it."""


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
    minutes: float | None = None
    """After so many from the start nothing more is broken, and what was is judged."""
    keep: Path | None = None
    """A folder to which the logs of the processes go."""


def far_from_midnight(at: datetime) -> int:
    """By how many seconds to set clocks ahead, never more than 0, so that no day of UTC begins while all is broken.

    Who is registered on another day has another history, and the digest of a quiet installation is another one.
    """
    if EARLIEST <= at.hour < LATEST:
        return 0
    noon = at.replace(hour=12, minute=0, second=0, microsecond=0)
    return int(((noon if at > noon else noon - timedelta(days=1)) - at).total_seconds())


async def run(asked: Asked, say: Say, *, disks: bool, keep: Keep) -> Outcome:
    """Break the product so often, and judge; `disks` says whether file systems may be put in place.

    `keep` is told the outcome so far after each fault, and after each step of the judgement. What the driver itself
    cannot do is written down, and does not end the run; if it is cancelled, all processes are ended in order.
    """
    began = time.monotonic()
    limits = {kind: s for kind, s in LIMITS.items() if asked.brokers > 1 or kind not in BY_OTHER_BROKERS}
    outcome = Outcome(within=asked.within, limits=limits, disks=disks)
    kinds = [kind for kind in asked.kinds or KINDS if outcome.disks or kind not in ON_DISKS]
    if asked.brokers == 1:
        kinds = [kind for kind in kinds if kind not in SEVERAL_BROKERS]
    outcome.left_out = tuple(kind for kind in asked.kinds or KINDS if kind not in kinds)
    journal = Journal()
    say(f"starting {asked.brokers} broker(s) and {asked.workers} worker(s)")
    account = Account(outcome, began, say, keep)
    with product.cancelled_by_signals(), tempfile.TemporaryDirectory(prefix="shuke-faults-") as place:
        offset_s = far_from_midnight(datetime.now(UTC))
        # This process makes what the others begin with.
        os.environ["SHUKE_CLOCK_OFFSET"] = str(offset_s)
        here = started(
            Path(place), brokers=asked.brokers, workers=asked.workers, disks=Disks(can=disks), offset_s=offset_s
        )
        async with here as ground:
            try:
                left = await _broken_and_judged(asked, kinds, ground, journal, account)
            finally:
                if asked.keep:
                    copied = partial(shutil.copytree, ground.folder / "logs", asked.keep, dirs_exist_ok=True)
                    await account.step("the logs", asyncio.to_thread(copied))
        if left:
            await account.judge("the quiet installation", _beside_quiet(Path(place), journal, left, account))
    outcome.judged = left is not None and not account.unjudged
    account.kept()
    return outcome


async def _broken_and_judged(
    asked: Asked, kinds: list[str], ground: Ground, journal: Journal, account: Account
) -> judge.Left | None:
    outcome = account.outcome
    async with Client(ground.url, ground.headers) as client, listening(client) as listeners:
        load = Load(client, Plan(asked.seed), journal, per_s=asked.per_s)
        loading = asyncio.create_task(load.run())
        probe = Probe(ground, client, journal)
        first = time.monotonic()
        account.tell(f"first purchase readable after {await probe.itself_again() - first:.1f} s")
        await all_broken(asked, kinds, ground, probe, journal, account)
        load.end()
        await account.step("the load", _acknowledged(loading, probe, journal, outcome))
        outcome.verdict.refused += journal.refused
        told, attempts = len(journal.told), outcome.attempts
        account.tell(f"{told} commands acknowledged in {attempts} attempts; waiting until all is read")
        return await _judged(ground, client, journal, listeners, account)


async def all_broken(
    asked: Asked, kinds: list[str], ground: Ground, probe: Probe, journal: Journal, account: Account
) -> None:
    """One fault after the other, until all were made, the time is over or the product does not get over them."""
    outcome, in_a_row = account.outcome, 0
    cards = dealt(asked.seed, kinds)
    for number in range(1, asked.count + 1):
        if asked.minutes is not None and time.monotonic() > account.began + asked.minutes * 60:
            account.tell(f"{asked.minutes:g} minutes are over")
            return
        chance, kind, make = next(cards)
        await asyncio.sleep(chance.uniform(*REST_S))
        began = time.monotonic()
        what, took = kind, None
        try:
            fault = make(chance, ground)
            what = fault.what
            took = await _one(fault, ground, probe, account)
            in_a_row = 0
        except Stuck as stuck:
            outcome.verdict.stuck.append(f"after {kind} ({what}): {stuck}")
            in_a_row += 1
        # Of whatever kind, as in `step`; whether the product gets over what was made of it is seen by the next one.
        except Exception as why:
            account.failed(f"{number} {kind} ({what})", why)
        if took is not None:
            outcome.recovery_s[kind].append(took)
        at_s, lasted = began - account.began, time.monotonic() - began
        outcome.broken.append(Broken(number, kind, what, round(at_s, 1), took and round(took, 2), round(lasted, 1)))
        outcome.faults, outcome.commands = number, len(journal.told)
        outcome.attempts = sum(told.attempts for told in journal.told)
        limit = f" of {outcome.limits[kind]:.0f}" if kind in outcome.limits else ""
        said = "not itself again" if took is None else f"{took:.1f} s{limit}"
        account.tell(f"{number}/{asked.count} {kind} ({what}): {said}, {lasted:.1f} s in all")
        await account.step("the brokers", asyncio.wait_for(probe.brokers_agree(), LONGEST_S))
        if in_a_row == GIVEN_UP_AFTER:
            account.tell(f"given up after {in_a_row} faults in a row")
            return


async def _acknowledged(loading: "asyncio.Task[None]", probe: Probe, journal: Journal, outcome: Outcome) -> None:
    """Wait until all that was sent is answered."""
    try:
        async with asyncio.timeout(judge.SETTLE_S):
            await asyncio.gather(loading, probe.settle())
    except TimeoutError:
        outcome.verdict.stuck.append(f"not acknowledged: {sorted(journal.waiting)[:20]}")
    outcome.commands = len(journal.told)
    outcome.attempts = sum(told.attempts for told in journal.told)


async def _one(fault: Fault, ground: Ground, probe: Probe, account: Account) -> float:
    """A fault from its beginning until the product is itself again; the seconds that this took. Raises `Stuck`."""
    ended, recovering = False, None
    try:
        async with asyncio.timeout(LONGEST_S):
            await fault.begin(ground)
        began = time.monotonic()
        recovering = asyncio.create_task(probe.itself_again()) if fault.from_beginning else None
        await asyncio.sleep(fault.lasts_s)
        ended = True
        async with asyncio.timeout(LONGEST_S):
            await fault.end(ground)
    except BaseException:
        if recovering:
            # Nobody awaits it any more, and it would go on asking beside the next fault.
            recovering.cancel()
        raise
    finally:
        if not ended:
            # What was begun by halves must not stay: a full disk, a hole, a process that stands still.
            await account.step(f"ending {fault.kind} ({fault.what})", asyncio.wait_for(fault.end(ground), LONGEST_S))
    if recovering is None:
        began, recovering = time.monotonic(), asyncio.create_task(probe.itself_again())
    return await recovering - began


async def _judged(
    ground: Ground, client: Client, journal: Journal, listeners: Listeners, account: Account
) -> judge.Left | None:
    outcome, verdict, step = account.outcome, account.outcome.verdict, account.judge
    verdict.stuck += await step("settling", judge.settle(client)) or ()
    verdict.verify_disagreements, found = await step("verifying", judge.verified(client)) or (1, [])
    for each in found:
        account.tell(f"verify: {each}")
    account.tell("verified; reading what is left")
    reading = judge.left(client, ground.database, f"{now():%Y-%m-%d}", ground.planted)
    if left := await step("reading what is left", reading):
        await step("once and in order", _once_and_in_order(verdict, left, journal))
    outcome.repeated_on_kafka = await step("Kafka", judge.on_kafka(verdict, ground.servers, ground.database)) or 0
    await step("listeners", judge.told(verdict, ground.database, listeners, ground.planted))
    outcome.events_told = len(listeners.streamed)
    await step("dead letters", judge.nothing_stuck(verdict, ground.database, ground.expected_letters))
    return left


async def _once_and_in_order(verdict: judge.Verdict, left: judge.Left, journal: Journal) -> None:
    judge.acknowledged_once(verdict, left.log, journal)
    judge.in_order(verdict, left.log, journal)


async def _beside_quiet(place: Path, journal: Journal, left: judge.Left, account: Account) -> None:
    """Tell a product that nobody breaks the same, in the order in which it was acknowledged."""
    account.tell("telling a quiet installation the same")
    verdict = account.outcome.verdict
    async with _quiet(place) as running, Client(running.url, running.headers) as client:
        same = Journal()
        commands: list[Command] = [told.command for told in journal.told]
        async with asyncio.timeout(QUIET_TOLD_S):
            await Load(client, commands, same, per_s=10_000).run()
        verdict.refused += [f"quiet: {each}" for each in same.refused]
        verdict.stuck += await judge.settle(client)
        quiet = await judge.left(client, running.database, f"{now():%Y-%m-%d}")
    await judge.compare(verdict, left, quiet, journal.ids, same.ids)
    account.tell("compared")


@asynccontextmanager
async def _quiet(place: Path) -> AsyncIterator[Running]:
    key, folder = place / "quiet.key", place / "quiet"
    key.write_text(KEY)
    words = ("up", "--port", str(free_port()), "--currency", CURRENCY, "--identity-key", str(key))
    variables = {"SHUKE_CLOCK_OFFSET": os.environ["SHUKE_CLOCK_OFFSET"]}
    running = await asyncio.to_thread(start, folder, *words, variables=variables, seconds=QUIET_STARTS_S)
    try:
        yield running
    finally:
        await asyncio.to_thread(running.stop)
