"""All kinds of faults as a deck of cards: dealt in the order that a seed gives, and shuffled again when used up."""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import TypeAlias

from bench.faults.events import UNTHINKABLE, Impossible, Poison, anybody
from bench.faults.fault import Fault
from bench.faults.fleet import NextVersion, RollingRestart, WorkersComeAndGo
from bench.faults.ground import GATEWAY, POSTGRES, WORKERS, Ground, services_of
from bench.faults.network import Delayed, HalfOpen, Holed, Reset
from bench.faults.signals import CrashedDatabase, Ended, Frozen, Killed
from bench.faults.surroundings import FullDisk, Jump
from chassis.consumer import SESSION_SETTINGS
from chassis.kafka_client import REQUEST_TIMEOUT_MS
from chassis.kafka_transport import SESSION_TIMEOUT_MS

SESSION_S = SESSION_TIMEOUT_MS / 1_000
IDLE_S = int(SESSION_SETTINGS["idle_in_transaction_session_timeout"]) / 1_000
REQUEST_S = REQUEST_TIMEOUT_MS / 1_000

LIMITS: Mapping[str, float] = {
    "killed worker": SESSION_S + 1,
    "killed leader": 8.0,
    "frozen worker": SESSION_S + IDLE_S + 1,
    "frozen leader": REQUEST_S + 1,
}
"""Seconds within which the product has to be itself again, of those kinds of which that is promised."""

BY_OTHER_BROKERS = frozenset({"killed leader", "frozen leader"})
"""Of these it is promised only where other brokers lead on."""

HEALED_S, LONG_S = SESSION_S + 8, SESSION_S + 2
"""A freeze that others have to get over is longer than what they are promised to take, any other than a session."""
SERVICES_THAT_TELL = ("customers", "leads", "community")

Maker: TypeAlias = Callable[[Random, Ground], Fault]


def _one(chance: Random, names: list[str]) -> tuple[str, ...]:
    return (chance.choice(names),)


def _brief(chance: Random) -> float:
    return chance.uniform(1.5, 4)


def _parts(ground: Ground) -> dict[str, list[str]]:
    """The processes by what they are."""
    names = list(ground.processes)
    return {
        "gateway": [GATEWAY],
        "service": services_of(names),
        "publisher": [name for name in names if name.endswith("-publisher")],
        "worker": [name for name in names if name.startswith(WORKERS)],
        "reader": [name for name in names if name.endswith("-worker")],
        "sweeper": ["scoring-sweeper"],
        "importer": [name for name in names if name.endswith("-importer")],
        "feed": ["gateway-feed"],
        "deliverer": ["gateway-deliverer"],
        "controller": [ground.controller()],
        "leader": ground.names("kafka-"),
        "PostgreSQL": [POSTGRES],
    }


def _names(what: str, chance: Random, ground: Ground) -> tuple[str, ...]:
    if what == "two brokers":
        return tuple(chance.sample(ground.names("kafka-"), 2))
    return _one(chance, _parts(ground)[what])


def _killed(what: str) -> Maker:
    return lambda chance, ground: Killed(what, _names(what, chance, ground))


def _ended(what: str) -> Maker:
    return lambda chance, ground: Ended(what, _names(what, chance, ground))


def _frozen(what: str, *, brief: bool, heals: bool = False) -> Maker:
    def made(chance: Random, ground: Ground) -> Fault:
        seconds = _brief(chance) if brief else HEALED_S if what in OUTLASTED else LONG_S
        return Frozen(what, _names(what, chance, ground), seconds, brief, from_beginning=heals and not brief)

    return made


def _cut(how: type[Reset | Delayed | Holed | HalfOpen], where: str, *, longest_s: float = 6) -> Maker:
    def made(chance: Random, ground: Ground) -> Fault:
        parts, seconds = _parts(ground), chance.uniform(2, longest_s)
        everybody = [name for name in ground.processes if name != POSTGRES and not name.startswith("kafka-")]
        match where:
            case "database":
                clients, targets = frozenset(_one(chance, everybody)), frozenset({POSTGRES})
            case "bus":
                readers = [*parts["worker"], *parts["publisher"], *parts["reader"], *parts["feed"]]
                clients, targets = frozenset(_one(chance, readers)), frozenset(ground.names("kafka-"))
            case "brokers":
                one, *others = chance.sample(ground.names("kafka-"), len(ground.names("kafka-")))
                clients, targets = frozenset({one}), frozenset(others)
            case "clients to gateway":
                clients, targets = frozenset(), frozenset({GATEWAY})
            case _:
                clients, targets = frozenset({GATEWAY}), frozenset(_one(chance, parts["service"]))
        return how(where, clients, targets, seconds)

    return made


def _disk(what: str) -> Maker:
    def made(chance: Random, ground: Ground) -> Fault:
        name = POSTGRES if what == "PostgreSQL" else chance.choice(ground.names("kafka-"))
        return FullDisk(what, name, chance.uniform(3, 8))

    return made


def _jump(chance: Random, ground: Ground) -> Fault:
    names = [name for name in ground.processes if name.startswith(("scoring", *SERVICES_THAT_TELL, GATEWAY))]
    return Jump(chance.choice(names), chance.choice((-5_400, -60, 60, 5_400)), chance.uniform(2, 6))


PARTS = (
    "gateway",
    "service",
    "publisher",
    "worker",
    "reader",
    "sweeper",
    "importer",
    "feed",
    "deliverer",
    "PostgreSQL",
)
"""The parts of the product by what they are, one process of which is meant."""
BROKERS = ("leader", "controller", "two brokers")
HEALED = frozenset({"worker", "leader"})
"""Parts whose long freeze others have to get over."""
OUTLASTED = HEALED | {"PostgreSQL"}
"""Parts that stand still longer: of PostgreSQL so long that each connection to it is given up."""

KINDS: Mapping[str, Maker] = {
    **{
        f"{verb} {what}": make(what)
        for verb, make in (("killed", _killed), ("ended", _ended))
        for what in (*PARTS, *BROKERS)
    },
    "crashed PostgreSQL": lambda chance, ground: CrashedDatabase(),
    **{f"frozen {what}, briefly": _frozen(what, brief=True) for what in (*PARTS, *BROKERS)},
    **{f"frozen {what}": _frozen(what, brief=False, heals=what in HEALED) for what in (*PARTS, *BROKERS)},
    **{
        f"{verb} {where}": _cut(how, where, longest_s=20 if how is Holed else 6)
        for verb, how in (("reset", Reset), ("delayed", Delayed), ("black hole", Holed), ("half-open", HalfOpen))
        for where in ("database", "bus", "brokers", "gateway to service", "clients to gateway")
    },
    "full disk under PostgreSQL": _disk("PostgreSQL"),
    "full disk under a broker": _disk("a broker"),
    "clock that jumps": _jump,
    "rolling restart of everything": lambda chance, ground: RollingRestart(),
    "workers 1, 3, 1": lambda chance, ground: WorkersComeAndGo(each_s=3),
    "poison event": lambda chance, ground: Poison(chance.randrange(24)),
    "impossible event": lambda chance, ground: Impossible(anybody(chance), chance.choice(UNTHINKABLE)),
    "next version beside the old": lambda chance, ground: NextVersion(
        chance.choice(SERVICES_THAT_TELL), chance.uniform(3, 6)
    ),
}
"""How each kind of fault is made."""
ON_DISKS = ("full disk under PostgreSQL", "full disk under a broker")
SEVERAL_BROKERS = (
    *(
        f"{verb} two brokers{how}"
        for verb, how in (("killed", ""), ("ended", ""), ("frozen", ""), ("frozen", ", briefly"))
    ),
    *(f"{verb} brokers" for verb in ("reset", "delayed", "black hole", "half-open")),
)


def dealt(seed: int, kinds: list[str]) -> Iterator[tuple[Random, str, Maker]]:
    """Kinds without an end, each with the chance from which its particulars come."""
    chance, number = Random(seed), 0
    while True:
        cards = list(kinds)
        chance.shuffle(cards)
        for kind in cards:
            number += 1
            yield Random(f"{seed} {number} {kind}"), kind, KINDS[kind]
