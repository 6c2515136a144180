"""What is left after the faults, beside what a quiet installation made of the same commands."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.faults.clients import Client, Journal, Told
from bench.faults.commands import REGISTERED
from bench.faults.listeners import Listeners
from chassis.envelope import Unreadable, open_envelope
from contracts.event import event_class
from contracts.scoring import StandingRecorded
from contracts.topics import STANDINGS, TOPICS
from gateway.domain.feed import TYPES
from services.scoring.domain.facts import Kind

TELLING = ("customers", "leads", "community")
SETTLE_S = 240.0
UNSTEADY = frozenset({"customers.identities_assigned.v1", "leads.lead_graded.v1"})
"""Types of events of which there may be more or fewer, by what was known when something was decided.

Neither are their facts compared, nor what takes these back.
"""
DISCRETE = (
    "revision",
    "stage",
    "tier",
    "treatment",
    "level",
    "satisfaction_band",
    "loyalty_band",
    "posture",
    "flags",
    "vip",
    "potential",
    "loss_reason",
)
"""What the state of a party tells anew whenever it changes."""
SHOWN = 5

Place = tuple[str, int, int, int]
"""Topic, partition, epoch and number."""


@dataclass(frozen=True)
class Logged:
    """An event in the log of a service."""

    place: Place
    event_id: UUID
    key: str
    type: str
    named: str | None
    """The entity that it is about, as its id is shown."""
    withdraws: UUID | None = None
    """The event that it takes back."""


@dataclass
class Left:
    """What an installation holds."""

    log: list[Logged]
    facts: Counter[tuple[object, ...]]
    merges: Counter[tuple[object, ...]]
    rows: Counter[tuple[object, ...]]
    """What commands made that no event tells of: what it is, and what it says."""
    digest: str


@dataclass
class Verdict:
    """What is wrong; nothing of it may be."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    verify_disagreements: int = 0
    digest_equal: bool = True
    state_differs: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unexpected_letters: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        lists = (self.lost, self.doubled, self.out_of_order, self.state_differs, self.stuck, self.refused)
        return not any(lists) and not self.unexpected_letters and not self.verify_disagreements and self.digest_equal


async def settle(client: Client) -> list[str]:
    """Wait until everything is numbered, published, read and assessed; what still is not after a long time."""
    loop = asyncio.get_running_loop()
    until, status = loop.time() + SETTLE_S, {}
    while loop.time() < until:
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(10):
                status = await client.get("/v1/status")
            behind = sum(each["events"] for each in status["lag"])
            answer = status["lag"] and all(each["answers"] for each in status["services"])
            behind += sum(each["unpublished"] or 0 for each in status["services"]) + status["reassessing"]
            if answer and status["oldest_unsequenced_s"] == 0 and not behind:
                return []
        await asyncio.sleep(0.2)
    return [f"not all is read after {SETTLE_S:.0f} s: {json.dumps(status)[:2_000]}"]


async def left(client: Client, database: Any, as_of: str, planted: Set[UUID] = frozenset()) -> Left:
    """Read an installation, but for events that were planted; `database` gives the address of each of its databases."""
    log: list[Logged] = []
    for service in TELLING:
        rows = await _fetch(database(service), _LOG)
        log += [_logged(row) for row in rows if row["event_id"] not in planted]
    unsteady = {event.event_id for event in log if event.type in UNSTEADY}
    log = [event for event in log if event.withdraws not in unsteady]
    named = {event.event_id: event.named for event in log}
    log = [replace(event, named=named.get(event.withdraws)) if event.withdraws else event for event in log]
    facts = Counter(_said(row) for row in await _fetch(database("scoring"), _FACTS))
    merges = Counter(_merged(row) for row in await _fetch(database("customers"), _MERGES))
    made: Counter[tuple[object, ...]] = Counter()
    for service, statement in _MADE.items():
        made.update(tuple(row) for row in await _fetch(database(service), statement))
    digest = (await client.get("/v1/digest", as_of=as_of))["digest"]
    return Left(log, facts, merges, made, digest)


async def compare(
    verdict: Verdict, under_fire: Left, quiet: Left, ids: Mapping[str, str], same: Mapping[str, str]
) -> None:
    """What is in the log or a row of one and not of the other; ids by what made them."""
    one, other = _told_of(under_fire.log, _names(ids)), _told_of(quiet.log, _names(same))
    for what, more, fewer in (
        ("event", one, other),
        ("fact", under_fire.facts, quiet.facts),
        ("merge", under_fire.merges, quiet.merges),
        ("row", under_fire.rows, quiet.rows),
    ):
        verdict.lost += [f"{what} {each}" for each in (fewer - more).elements()]
        verdict.doubled += [f"{what} {each}" for each in (more - fewer).elements()]
    verdict.digest_equal = under_fire.digest == quiet.digest


def acknowledged_once(verdict: Verdict, log: Iterable[Logged], journal: Journal) -> None:
    """Each command that is told by one event is in the log, and once."""
    found = Counter((event.type, event.named) for event in log)
    wanted = Counter({what: len(told) for what, told in _tellings(journal).items()})
    names = _names(journal.ids)
    verdict.lost += [f"acknowledged {type} of {names.get(id or '', id)}" for type, id in (wanted - found).elements()]
    doubled = Counter({what: found[what] for what in wanted}) - wanted
    verdict.doubled += [f"acknowledged {type} of {names.get(id or '', id)}" for type, id in doubled.elements()]


def _tellings(journal: Journal) -> dict[tuple[str, str | None], list[Told]]:
    """The commands that each told one event of a type about an entity, in the order of their acknowledgement."""
    found: defaultdict[tuple[str, str | None], list[Told]] = defaultdict(list)
    for told in journal.told:
        about = [journal.ids[told.command.about]] if told.command.about else list(told.ids.values())
        for id in about if told.command.tells else ():
            found[told.command.tells, id].append(told)
    return found


def in_order(verdict: Verdict, log: Iterable[Logged], journal: Journal) -> None:
    """Of two commands about one identity on one topic, the one acknowledged before the other was sent comes first.

    Corrections and withdrawals too: the second event of a type about an entity is that of the second command.
    """
    waiting = {what: iter(told) for what, told in _tellings(journal).items()}
    by_key: defaultdict[tuple[str, str], list[tuple[Place, Told]]] = defaultdict(list)
    for event in sorted(log, key=lambda event: event.place):
        if told := next(waiting.get((event.type, event.named), iter(())), None):
            by_key[event.place[0], event.key].append((event.place, told))
    for (topic, key), events in by_key.items():
        earliest = float("inf")
        for _, told in reversed(events):
            if earliest < told.sent_at:
                verdict.out_of_order.append(f"{topic} {key}: {told.command.name}")
            earliest = min(earliest, told.acknowledged_at)


async def on_kafka(verdict: Verdict, servers: str, database: Any) -> int:
    """Every topic has what the log has, in its order; the compacted one how everybody stands. Repeated records."""
    repeated = 0
    records = await _everything(servers)
    for service in (*TELLING, "scoring"):
        rows = await _fetch(database(service), _PLACES)
        wanted: defaultdict[tuple[str, int], dict[tuple[int, int], UUID]] = defaultdict(dict)
        for topic, partition, epoch, seq, event_id in rows:
            wanted[topic, partition][epoch, seq] = event_id
        for topic, count in [(topic.name, topic.partitions) for topic in TOPICS if topic.service == service]:
            if topic == STANDINGS.name:
                continue
            for partition in range(count):
                repeated += _same(verdict, (topic, partition), records[topic, partition], wanted[topic, partition])
    await _states(verdict, [records[STANDINGS.name, number] for number in range(STANDINGS.partitions)], database)
    return repeated


def _same(
    verdict: Verdict,
    where: tuple[str, int],
    records: Sequence[bytes | None],
    wanted: Mapping[tuple[int, int], UUID],
) -> int:
    reached, found, repeated = (0, 0), dict[tuple[int, int], UUID](), 0
    for value in records:
        with suppress(Unreadable):
            envelope = open_envelope(value or b"")
            if envelope.place in found:
                repeated += 1
                continue
            if envelope.place < reached:
                verdict.out_of_order.append(f"{where} {envelope.place} after {reached}")
            reached = max(reached, envelope.place)
            found[envelope.place] = envelope.id
    verdict.lost += [f"{where} {place} is not on Kafka" for place in wanted if place not in found]
    verdict.doubled += [f"{where} {place} is another on Kafka" for place in found if wanted.get(place) != found[place]]
    return repeated


async def _states(verdict: Verdict, partitions: Sequence[Sequence[Any]], database: Any) -> None:
    told: dict[UUID, dict[str, Any] | None] = {}
    for records in partitions:
        for key, value in records:
            told[UUID(key.decode())] = None if value is None else json.loads(value)["data"]
    rows = await _fetch(database("scoring"), _STANDINGS)
    stand = {row["party_id"]: row for row in rows}
    for party, row in stand.items():
        state = told.pop(party, None)
        if state is None:
            verdict.state_differs.append(f"{party} has no state on the compacted topic")
            continue
        event = StandingRecorded.model_validate(state | {"subject": party}).model_dump(mode="json")
        for column in DISCRETE:
            if row[column] != event[column]:
                verdict.state_differs.append(f"{party} {column}: {event[column]} on Kafka, {row[column]} here")
    verdict.state_differs += [f"{party} has a state, and stands nowhere" for party, state in told.items() if state]


async def nothing_stuck(verdict: Verdict, database: Any, expected: Sequence[str]) -> None:
    """No partition is stopped, and only what was meant to be is a dead letter."""
    letters: Counter[str] = Counter()
    for service in (*TELLING, "scoring", "gateway"):
        for row in await _fetch(database(service), _STOPPED):
            verdict.stuck.append(f"{service}: {tuple(row)}")
    for service in (*TELLING, "scoring"):
        for row in await _fetch(database(service), _LETTERS):
            letters[row["error_class"]] += 1
            if row["error_class"] not in expected:
                verdict.unexpected_letters.append(f"{service}: {tuple(row)}")
    for error_class, count in (Counter(expected) - letters).items():
        verdict.unexpected_letters.append(f"{count} {error_class} were not set aside")
    for error_class, count in (letters - Counter(expected)).items():
        if error_class in expected:
            verdict.unexpected_letters.append(f"{count} {error_class} more were set aside than were meant to be")


async def told(verdict: Verdict, database: Any, listeners: Listeners, planted: Set[UUID] = frozenset()) -> None:
    """Both listeners were told each event that the feed tells, the stream once, each party's changes in their order."""
    keys: dict[str, str] = {}
    for service in (*TELLING, "scoring"):
        rows = await _fetch(database(service), _TOLD)
        wanted = [row for row in rows if row["type"] in TYPES and row["event_id"] not in planted]
        keys |= {f"event_{row['event_id'].hex}": row["key"] for row in wanted}
    await listeners.settle(len(keys), seconds=SETTLE_S)
    if listeners.gone:
        verdict.lost.append("the stream says that events are kept no longer")
    for name, heard in (("stream", listeners.streamed), ("webhook", listeners.called)):
        found = Counter(each["id"] for each in heard)
        verdict.lost += [f"{name}: {id} was not told" for id in keys if id not in found]
        verdict.doubled += [f"{name}: {id} was told {count} times" for id, count in found.items() if count > 1]
        verdict.doubled += [f"{name}: {id} is in no log" for id in found if id not in keys]
        reached: defaultdict[str, int] = defaultdict(int)
        for each in heard:
            if (revision := each["data"].get("revision")) is not None and (key := keys.get(each["id"])):
                if revision < reached[key]:
                    verdict.out_of_order.append(f"{name}: revision {revision} of {key} after {reached[key]}")
                reached[key] = max(reached[key], revision)


async def verified(client: Client) -> tuple[int, list[str]]:
    """How many parties the second implementation disagrees on, and what it says."""
    async with client.session.post("/v1/verify", timeout=aiohttp.ClientTimeout(total=600)) as response:
        response.raise_for_status()
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    last = lines[-1]
    found = [str(each) for line in lines for each in line.get("found", [])]
    if not last.get("done") or not last.get("checked"):
        found.append(f"verify did not end: {last}")
    return int(last.get("disagreements", 0)) + (not last.get("done")), found[:SHOWN]


def _names(ids: Mapping[str, str]) -> dict[str, str]:
    """What made each id: the first command that was answered with it."""
    found: dict[str, str] = {}
    for name, id in ids.items():
        found.setdefault(id, name)
    found.pop("", None)
    return found


def _told_of(log: Iterable[Logged], names: Mapping[str, str]) -> Counter[tuple[object, ...]]:
    return Counter(
        (event.type, names.get(event.named or "", event.key), event.key)
        for event in log
        if event.type not in UNSTEADY and event_class(event.type)
    )


def _logged(row: asyncpg.Record) -> Logged:
    named = withdraws = None
    if row["type"] == REGISTERED:
        named = f"party_{UUID(row['key']).hex}"
    elif row["payload"] is not None:
        data = json.loads(row["payload"])["data"]
        named = next((f"{kind}_{UUID(data[field]).hex}" for field, kind in ENTITIES if data.get(field)), None)
        withdraws = UUID(data["fact_id"]) if data.get("fact_id") else None
    place = row["topic"], row["partition"], row["epoch"], row["seq"]
    return Logged(place, row["event_id"], row["key"], row["type"], named, withdraws)


def _said(row: asyncpg.Record) -> tuple[object, ...]:
    """A fact, of something set by a person without the instant at which it was set."""
    detail = row["detail"].partition("|")[2] if row["kind"] == Kind.OVERRIDDEN else row["detail"]
    return row["identity_id"], row["kind"], row["amount_minor"], detail


def _merged(row: asyncpg.Record) -> tuple[object, ...]:
    """A merge by both parties; one that has no identifier of its own has another id in every installation."""
    parties = sorted("" if id.version == RANDOM else str(id) for id in (row["party_id"], row["other_id"]))
    return *parties, row["kind"], row["stands"]


RANDOM = 7
"""The version of an id that follows from nothing (RFC 9562 §5.7)."""
ENTITIES = (
    ("return_id", "return"),
    ("purchase_id", "purchase"),
    ("interaction_id", "interaction"),
    ("problem_id", "problem"),
    ("lead_id", "lead"),
    ("reply_id", "post"),
    ("post_id", "post"),
    ("member_id", "member"),
    ("referral_id", "referral"),
)
"""Fields that name what an event is about, the most telling first, and how such an id begins where it is shown."""


async def _everything(servers: str) -> defaultdict[tuple[str, int], list[Any]]:
    """All values of all topics by partition; of the compacted one keys and values."""
    found: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)
    partitions = [TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        unread = {partition for partition in partitions if ends[partition] > 0}
        async with asyncio.timeout(120):
            while unread:
                for partition, records in (await consumer.getmany(*unread, timeout_ms=500)).items():
                    compacted = partition.topic == STANDINGS.name
                    found[tuple(partition)] += [(each.key, each.value) if compacted else each.value for each in records]
                for partition in list(unread):
                    if await consumer.position(partition) >= ends[partition]:
                        unread.discard(partition)
    finally:
        await consumer.stop()
    return found


async def _fetch(url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


def shown(verdict: Verdict) -> Iterator[str]:
    """What is wrong, a few of each, for people."""
    for name, found in vars(verdict).items():
        if isinstance(found, list) and found:
            yield f"{name}: {len(found)}"
            yield from (f"  {each}" for each in found[:SHOWN])


_LOG = "SELECT topic, partition, epoch, seq, event_id, key, type, payload FROM event_log"
_TOLD = "SELECT event_id, key, type FROM event_log"
_PLACES = "SELECT topic, partition, epoch, seq, event_id FROM event_log"
_FACTS = f"SELECT identity_id, kind, amount_minor, detail FROM fact WHERE kind <> {Kind.LEAD_GRADED:d}"
_MERGES = "SELECT party_id, other_id, kind, unmerged_at IS NULL AS stands FROM merge"
_MADE = {
    # Of both each round removes what it made: what is left was made twice, or not removed.
    "gateway": "SELECT 'team', name FROM team UNION ALL SELECT 'view', name FROM kept_view",
    "customers": "SELECT 'rules of duplicates', rules::text FROM duplicate_rules",
    "leads": "SELECT 'rubric', rubric FROM activation",
    "scoring": """
        SELECT 'policy', hash FROM policy
        UNION ALL SELECT 'policy in force', policy FROM ruling WHERE reason = 'policy'
        UNION ALL SELECT 'planned activation', concat_ws(' ', policy, cancelled_at IS NOT NULL) FROM planned_activation
        UNION ALL SELECT 'trial', policy FROM trial
        UNION ALL SELECT 'rate', concat_ws(' ', day, currency, rate) FROM rate
    """,
}
_STANDINGS = "SELECT * FROM party WHERE stage IS NOT NULL AND resolves_to = party_id"
_STOPPED = """
SELECT consumer, topic, partition, stopped_reason FROM consumer_offset WHERE stopped_reason IS NOT NULL
"""
_LETTERS = "SELECT consumer, topic, partition, error_class, error FROM dead_letter WHERE status = 'open'"
