"""A story: what happened to some customers, told in many ways that all have to end the same."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from bench.product import CURRENCY
from services.scoring.domain.digest import Digest, line
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.policy import DAYS_1
from services.scoring.domain.standing import Standing
from tests.system.doings import REASONS, Did, Step, Withdraw, lead, member, problem, referral
from tests.system.oracle import Holdings, expected
from tests.system.product import Product, identifier, party_of

FIRST, LAST = date(2023, 1, 1), date(2025, 6, 30)
ZONE = ZoneInfo("UTC")
RATES = (date(2022, 1, 1), "EUR", Decimal("1.10")), (date(2024, 3, 1), "EUR", Decimal("1.0833"))


@dataclass(frozen=True)
class Register(Step):
    customer: str = ""


@dataclass(frozen=True)
class Tell(Step):
    """A purchase, a return or an interaction."""

    kind: str = "purchases"
    customer: str = ""
    at: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    amount_minor: int = 0
    currency: str = CURRENCY
    about: tuple[str, str] = ("inquiry", "inbound")
    """Kind and direction of an interaction."""
    reason: str | None = None
    """Why they will not buy, of one that is `declined`."""

    def row(self) -> dict[str, Any]:
        told = {
            "identifier": identifier(self.customer),
            "source": "story",
            "source_id": self.name,
            "occurred_at": self.at.isoformat(),
        }
        return {**told, **(self.talk() if self.kind == "interactions" else self.money())}

    def money(self) -> dict[str, Any]:
        return {"currency": self.currency, "amount_minor": self.amount_minor}

    def talk(self) -> dict[str, Any]:
        kind, direction = self.about
        said = {"loss_reason": self.reason} if self.reason else {}
        return {"department": "sales", "channel": "phone", "kind": kind, "direction": direction, **said}

    def right(self) -> dict[str, Any]:
        """What a correction names."""
        row = self.row()
        if self.kind == "interactions":
            row["loss_reason"] = self.reason
        else:
            del row["currency"]
        return {name: value for name, value in row.items() if name not in ("source", "source_id")}


@dataclass(frozen=True)
class Correct(Step):
    """The told one as it should have been."""

    told: Tell = field(default_factory=lambda: Tell("?"))
    version: int = 1


@dataclass(frozen=True)
class Merge(Step):
    one: str = ""
    other: str = ""


@dataclass(frozen=True)
class Unmerge(Step):
    merge: str = ""
    one: str = ""


@dataclass(frozen=True)
class Story:
    """Its steps in the order in which they were made up."""

    steps: tuple[Step, ...]

    def shuffled(self, chance: Random) -> "Story":
        """In another order, each step after those that it needs."""
        waiting = {step.name: set(step.needs) for step in self.steps}
        by_name = {step.name: step for step in self.steps}
        behind = defaultdict(list)
        for step in self.steps:
            for needed in step.needs:
                behind[needed].append(step.name)
        free = [name for name, needs in waiting.items() if not needs]
        order = []
        while free:
            place = chance.randrange(len(free))
            free[place], free[-1] = free[-1], free[place]
            done = free.pop()
            order.append(by_name[done])
            for name in behind[done]:
                waiting[name].discard(done)
                if not waiting[name]:
                    free.append(name)
        return Story(tuple(order))

    def facts(self) -> list[Fact]:
        """What counts in the end: of everything told its last version, without what was withdrawn."""
        last = {step.name: step for step in self.steps if isinstance(step, Tell)}
        versions = dict.fromkeys(last, 0)
        for step in self.steps:
            if isinstance(step, Correct) and step.version > versions[step.told.name]:
                last[step.told.name], versions[step.told.name] = step.told, step.version
        gone = {step.told for step in self.steps if isinstance(step, Withdraw)}
        done = [step for step in self.steps if isinstance(step, Did) and not gone & {step.name, step.falls_with}]
        told = [_fact(told) for name, told in last.items() if name not in gone]
        return told + [fact for step in done for fact in step.facts()]

    def parties(self) -> set[UUID]:
        """Everybody who is told of."""
        return {party_of(step.customer) for step in self.steps if isinstance(step, Register | Tell | Did)}

    def holdings(self) -> Holdings:
        """Of each registered customer the party: the smallest of those that it is still merged with."""
        edges = {
            step.name: (party_of(step.one), party_of(step.other)) for step in self.steps if isinstance(step, Merge)
        }
        for step in self.steps:
            if isinstance(step, Unmerge):
                del edges[step.merge]
        survivor = {
            party_of(step.customer): party_of(step.customer) for step in self.steps if isinstance(step, Register)
        }
        for one, other in edges.values():
            kept, gone = sorted((survivor[one], survivor[other]))
            survivor = {party: kept if root == gone else root for party, root in survivor.items()}
        return {identity: [(root, None)] for identity, root in survivor.items()}

    def standings(self, as_of: date = LAST) -> dict[UUID, Standing]:
        """How everybody has to stand after a day."""
        told = [fact for fact in self.facts() if fact.occurred_at.date() <= as_of]
        return expected(
            told, (), self.holdings(), datetime(as_of.year, as_of.month, as_of.day, 23, 59, tzinfo=UTC),
            DAYS_1, DAYS_1.cuts, currency=CURRENCY, rates=RATES, zone=ZONE,
        )  # fmt: skip

    def digest(self, as_of: date = LAST) -> str:
        """The digest that the product has to give, made here."""
        digest = Digest()
        for _, standing in sorted(self.standings(as_of).items()):
            digest.take(line(standing, as_of=as_of.toordinal(), currency=CURRENCY, policy=DAYS_1, zone=ZONE))
        return digest.hex


def _fact(told: Tell) -> Fact:
    if told.kind == "interactions":
        kind, amount, detail = ABOUT[told.about], 0, ""
        if kind is Kind.DECLINED:
            detail = told.reason or "unknown"
    else:
        kind = Kind.PURCHASE if told.kind == "purchases" else Kind.RETURN
        amount, detail = told.amount_minor, told.currency
    return Fact(uuid4(), party_of(told.customer), kind, told.at, told.at, amount, detail)


ABOUT = {
    ("visit", "inbound"): Kind.VISITED,
    ("view", "inbound"): Kind.VISITED,
    ("inquiry", "inbound"): Kind.INQUIRED,
    ("cart", "inbound"): Kind.INQUIRED,
    ("inquiry", "outbound"): Kind.REACHED,
    ("support", "inbound"): Kind.CONTACTED,
    ("campaign", "outbound"): Kind.REACHED,
    ("complaint", "inbound"): Kind.COMPLAINED,
    ("praise", "inbound"): Kind.PRAISED,
    ("declined", "inbound"): Kind.DECLINED,
    ("declined", "outbound"): Kind.DECLINED,
}
"""What an interaction has to count as, by its kind and who turned to whom."""


def made_up(seed: int, customers: int, *, facts_each: int = 6, merged: bool = True) -> Story:
    """Whatever can be told of somebody, also before what it belongs to; corrections, withdrawals, merges in chains."""
    chance = Random(seed)
    names = [f"c{seed}-{number}" for number in range(customers)]
    steps: list[Step] = [Register(f"register {name}", customer=name) for name in names[::3]] if merged else []
    told = [_told(chance, name, number) for name in names for number in range(chance.randint(1, facts_each * 2 - 1))]
    steps += told
    for one in chance.sample(told, len(told) // 10):
        steps += _afterthoughts(chance, one, names)
    for number, name in enumerate(names):
        steps += _doings(chance, name, names[number - 1])
    if merged:
        steps += _merges(chance, names[::3])
    return Story(tuple(steps))


def _doings(chance: Random, name: str, friend: str) -> Iterator[Step]:
    """What somebody does besides what is told of purchases and talks."""
    if chance.random() < 0.5:
        yield from lead(chance, name, 0, _when(chance), CURRENCY)
    if chance.random() < 0.4:
        yield from member(chance, name, _when(chance))
    if chance.random() < 0.2:
        yield from problem(chance, name, 0, _when(chance))
    if chance.random() < 0.2:
        yield from referral(chance, name, friend, _when(chance))


def _when(chance: Random) -> datetime:
    """Evenings and nights, where a wrong zone would show."""
    day = FIRST + timedelta(days=chance.randrange((LAST - FIRST).days + 1))
    return datetime(day.year, day.month, day.day, chance.choice((0, 12, 23)), chance.randrange(60), tzinfo=UTC)


def _told(chance: Random, customer: str, number: int) -> Tell:
    # Some never buy.
    kinds = (
        "interactions",
        "interactions",
        "returns",
        *("purchases",) * (0 if int(customer.rpartition("-")[2]) % 3 == 1 else 6),
    )
    about = chance.choice(list(ABOUT))
    return Tell(
        f"{customer}/{number}",
        kind=chance.choice(kinds),
        customer=customer,
        at=_when(chance),
        amount_minor=chance.choice((0, 1, 999, 10_000, 29_999, 30_000, chance.randrange(200_000))),
        currency="EUR" if chance.random() < 0.1 else CURRENCY,
        about=about,
        reason=chance.choice(REASONS) if about[0] == "declined" else None,
    )


def _afterthoughts(chance: Random, told: Tell, names: Sequence[str]) -> Iterator[Step]:
    behind, version = told.name, 1
    for _ in range(chance.randrange(3)):
        change: dict[str, Any] = chance.choice(
            (
                {"amount_minor": chance.randrange(300_000)}
                if told.kind != "interactions"
                else {"about": ("declined", "inbound"), "reason": chance.choice(REASONS)},
                {"customer": chance.choice([name for name in names if name != told.customer])},
                {"at": told.at - timedelta(days=chance.randrange(1, 400))},
            )
        )
        told = replace(told, **change)
        step = Correct(f"correct {told.name} {version}", (behind,), told, version)
        yield step
        behind, version = step.name, version + 1
    if version == 1 or chance.random() < 0.3:
        yield Withdraw(f"withdraw {told.name}", (behind,), told.name, told.kind)


def _merges(chance: Random, names: Sequence[str]) -> Iterator[Step]:
    """Chains of up to five, the links made and some undone in any order."""
    for start in range(0, len(names) - 4, 5):
        chain = names[start : start + 5]
        for one, other in pairwise(chain):
            merge = Merge(f"merge {one} {other}", (f"register {one}", f"register {other}"), one, other)
            yield merge
            if chance.random() < 0.5:
                yield Unmerge(f"unmerge {one} {other}", (merge.name,), merge.name, one)


@dataclass
class Teller:
    """Tells steps to a product, keeping the ids that it gave."""

    product: Product
    ids: dict[str, str] = field(default_factory=dict)
    given: int = 0
    """Commands begun so far."""

    def rates(self) -> None:
        rows = [{"day": day.isoformat(), "currency": currency, "rate": str(rate)} for day, currency, rate in RATES]
        self.product.post("/v1/rates", json={"rates": rows})

    def one_by_one(self, steps: Iterable[Step], *, at_once: int = 1) -> None:
        """Each step in a request of its own, several at the same time, none before those that it needs."""
        told: dict[str, Future[None]] = {}

        def when_free(step: Step) -> None:
            for needed in step.needs:
                if needed in told:
                    told[needed].result()
            self.tell(step)

        with ThreadPoolExecutor(at_once) as threads:
            for step in steps:
                told[step.name] = threads.submit(when_free, step)
        for each in told.values():
            each.result()

    def by_file(self, told: Sequence[Tell]) -> str:
        """Purchases as a file; the id of the import."""
        rows = [[step.customer, step.name, step.at.isoformat(), _major(step), step.currency] for step in told]
        text = io.StringIO()
        csv.writer(text).writerows([["who", "order", "when", "paid", "in"], *rows])
        columns = {"party": "who", "order_id": "order", "occurred_at": "when", "amount": "paid", "currency": "in"}
        started: str = self.product.send(text.getvalue().encode(), **columns)
        return started

    def in_bulk(self, story: Story, rows_each: int = 400) -> None:
        """Everything told first, in as few requests as it takes; then what was thought of it later."""
        for kind in ("returns", "interactions", "purchases"):
            told = [step for step in story.steps if isinstance(step, Tell) and step.kind == kind]
            for start in range(0, len(told), rows_each):
                part = told[start : start + rows_each]
                outcome = self.product.bulk(kind, [step.row() for step in part])
                assert outcome["rejected"] == outcome["conflict"] == 0, outcome
                name = f"{kind[:-1]}_id"
                self.ids |= {step.name: row[name] for step, row in zip(part, outcome["data"], strict=True)}
        self.one_by_one(step for step in story.steps if not isinstance(step, Tell))

    def tell(self, step: Step) -> None:
        self.given += 1
        post = self.product.post
        match step:
            case Register():
                self.product.register(step.customer)
            case Tell():
                self.ids[step.name] = post(f"/v1/{step.kind}", json=step.row())["id"]
            case Correct(told=told):
                path = f"/v1/{told.kind}/{self.ids[told.name]}/correct"
                post(path, json={**told.right(), "version": step.version})
            case Did():
                path = step.path.format(self.ids.get(step.of, ""))
                self.ids[step.name] = post(path, json=dict(step.body))["id"]
            case Withdraw():
                post(f"/v1/{step.kind}/{self.ids[step.told]}/withdraw", json={})
            case Merge():
                merged = post(f"/v1/parties/{_party(step.one)}/merge", json={"party_id": _party(step.other)})
                self.ids[step.name] = merged["id"]
            case Unmerge():
                post(f"/v1/parties/{_party(step.one)}/unmerge", json={"merge_id": self.ids[step.merge]})


def _major(told: Tell) -> str:
    return f"{told.amount_minor // 100}.{told.amount_minor % 100:02}"


def _party(customer: str) -> str:
    return f"party_{party_of(customer).hex}"
