"""A story: what happened to some customers, told in many ways that all have to end the same."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any, TypeAlias
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from bench.product import CURRENCY
from contracts.scoring import Band
from services.scoring.domain.digest import Digest, line
from services.scoring.domain.facts import Fact, Kind
from services.scoring.domain.model import Model
from services.scoring.domain.policy import Policy, Profit
from services.scoring.domain.rules import AnyOf, Comparison
from services.scoring.domain.stages import ByDays, ByProbability, Interest, Stages
from services.scoring.domain.standing import Standing
from tests.system.doings import REASONS, Did, Step, Withdraw, lead, member, problem, referral
from tests.system.hand import EndOverride, Override, set_by_hand
from tests.system.oracle import expected
from tests.system.product import SYSTEM, identifier, party_of
from tests.system.whose import Register, Whose, chains, handed_over, household, linked, owned, whose

FIRST, LAST = date(2023, 1, 1), date(2025, 6, 30)
ZONE = ZoneInfo("UTC")
RATES = (
    (date(2022, 1, 1), "EUR", Decimal("1.10")),
    (date(2024, 3, 1), "EUR", Decimal("1.0833")),
    (date(2022, 1, 1), "JPY", Decimal("0.0071")),
)
CORRECTED = (date(2024, 3, 1), "EUR", Decimal("1.0917")), (date(2023, 6, 1), "CHF", Decimal("1.1202"))
"""A rate as it should have been, and one that nobody knew: until then Swiss francs are worth nothing."""
POLICY = Policy(
    name="story",
    horizon_days=120,
    persons=Stages(customers=ByProbability(fresh_days=20, dormant_below=0.6)),
    organisations=Stages(
        customers=ByDays(dormant_after_days=200, lost_after_days=900),
        prospects=Interest(active_days=60, lost_after_days=500),
    ),
    turnover_days=300,
    profit=Profit(margin=0.35, cost_minor={"contacted": 450, "complained": 1_999, "problem_opened": 5_000}),
    vip=AnyOf(
        any=(
            Comparison(field="value_minor", op="gte", value=150_000),
            Comparison(field="loyalty", op="eq", value=Band.HIGH),
        )
    ),
)
"""What decides at the end of every story, if nothing else is said."""

Standings: TypeAlias = dict[UUID, Standing]


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
    rated: tuple[int | None, int | None, int | None] = (None, None, None)
    """How attitude, speed and quality were, as they said."""

    @property
    def talks(self) -> bool:
        return self.kind == "interactions"

    def row(self) -> dict[str, Any]:
        told = {
            "identifier": identifier(self.customer),
            "source": SYSTEM,
            "source_id": self.name,
            "occurred_at": self.at.isoformat(),
        }
        return {**told, **(self.talk() if self.talks else self.money())}

    def money(self) -> dict[str, Any]:
        return {"currency": self.currency, "amount_minor": self.amount_minor}

    def talk(self) -> dict[str, Any]:
        kind, direction = self.about
        said = {"loss_reason": self.reason} if self.reason else {}
        rated = {name: rate for name, rate in self.ratings().items() if rate}
        return {"department": "sales", "channel": "phone", "kind": kind, "direction": direction, **said, **rated}

    def ratings(self) -> dict[str, int | None]:
        return dict(zip(("attitude", "speed", "quality"), self.rated, strict=True))

    def fact(self) -> Fact:
        """What has to be kept of it."""
        if not self.talks:
            kind = Kind.PURCHASE if self.kind == "purchases" else Kind.RETURN
            return Fact(uuid4(), party_of(self.customer), kind, self.at, self.at, self.amount_minor, self.currency)
        kind = ABOUT[self.about]
        said = self.reason or "unknown" if kind is Kind.DECLINED else ""
        if self.about in (("cart", "inbound"), ("survey", "inbound")):
            said = self.about[0]
        over_the_middle = sum(rate - 3 for rate in self.rated if rate)
        rating = 0 if self.about[0] == "survey" else (over_the_middle > 0) - (over_the_middle < 0)
        return Fact(uuid4(), party_of(self.customer), kind, self.at, self.at, detail=said, rating=rating)

    def right(self) -> dict[str, Any]:
        """What a correction names."""
        row = self.row()
        if self.talks:
            row |= {"loss_reason": self.reason, **self.ratings()}
        else:
            del row["currency"]
        return {name: value for name, value in row.items() if name not in ("source", "source_id")}


@dataclass(frozen=True)
class Correct(Step):
    """The told one as it should have been."""

    told: Tell = field(default_factory=lambda: Tell("?"))
    version: int = 1


@dataclass(frozen=True)
class Story:
    """Its steps in the order in which they were made up."""

    steps: tuple[Step, ...]
    organisations: Mapping[str, datetime] = field(default_factory=dict)
    """Customers that are known as such from an instant on, and before anything else is told of them."""

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
        return Story(tuple(order), self.organisations)

    def facts(self) -> list[Fact]:
        """What counts in the end: of everything told its last version, without what was withdrawn."""
        last = {step.name: step for step in self.steps if isinstance(step, Tell)}
        versions = dict.fromkeys(last, 0)
        for step in self.steps:
            if isinstance(step, Correct) and step.version > versions[step.told.name]:
                last[step.told.name], versions[step.told.name] = step.told, step.version
        gone = {step.told for step in self.steps if isinstance(step, Withdraw)}
        done = [step for step in self.steps if isinstance(step, Did) and not gone & {step.name, step.falls_with}]
        told = [told.fact() for name, told in last.items() if name not in gone]
        told += [fact for step in done for fact in step.facts()]
        told += [step.fact() for step in self.steps if isinstance(step, Override | EndOverride)]
        told += [
            Fact(uuid4(), party_of(who), Kind.REGISTERED, at, at, detail="organisation")
            for who, at in self.organisations.items()
        ]
        # Whoever is registered is so from today on, whatever was told of them before and taken back.
        today = datetime.combine(datetime.now(UTC).date(), time.min, UTC)
        return told + [
            Fact(uuid4(), party_of(who), Kind.REGISTERED, today, today, detail="person")
            for who in {step.customer for step in self.steps if isinstance(step, Register)}
        ]

    def parties(self) -> set[UUID]:
        """Everybody who is told of."""
        named = {getattr(step, name, None) for step in self.steps for name in ("customer", "beside", "member", "to")}
        return {party_of(name) for name in named if name}

    def whose(self) -> Whose:
        """Whose everything is in the end."""
        return whose(self.steps)

    def standings(self, as_of: date = LAST, policy: Policy = POLICY, model: Model | None = None) -> Standings:
        """How everybody has to stand after a day."""
        told = [fact for fact in self.facts() if fact.occurred_at.date() <= as_of]
        return expected(
            told, (), self.whose().holdings, datetime(as_of.year, as_of.month, as_of.day, 23, 59, tzinfo=UTC),
            policy, (model and model.cuts) or policy.cuts,
            model=model, currency=CURRENCY, rates=(*RATES, *CORRECTED), zone=ZONE,
        )  # fmt: skip

    def digest(
        self, standings: Standings, as_of: date = LAST, policy: Policy = POLICY, model: Model | None = None
    ) -> str:
        """The digest that the product has to give, made here."""
        digest, places, day = Digest(), self._places(), as_of.toordinal()
        for _, standing in sorted(standings.items(), key=lambda each: places[each[0]]):
            digest.take(line(standing, as_of=day, currency=CURRENCY, policy=policy, zone=ZONE, model=model))
        return digest.hex

    def _places(self) -> dict[UUID, tuple[UUID, int]]:
        """Of each party the smallest identity that anything was told of on its days, and how many had it before."""
        told = [(fact.identity_id, fact.occurred_at.date()) for fact in self.facts()]
        holdings, places = self.whose().holdings, dict[UUID, tuple[UUID, int]]()
        for identity, day in told:
            held = holdings.get(identity, [(identity, None)])
            before = sum(since is not None and since <= day for _, since in held)
            party = held[before][0]
            places[party] = min((identity, before), places.get(party, (identity, before)))
        return places


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
    ("survey", "inbound"): Kind.REACHED,
    ("declined", "inbound"): Kind.DECLINED,
    ("declined", "outbound"): Kind.DECLINED,
}
"""What an interaction has to count as, by its kind and who turned to whom."""


def made_up(seed: int, customers: int, *, facts_each: int = 6) -> Story:
    """Whatever can be told of somebody, also before what it belongs to; corrections, withdrawals; and who is who."""
    chance = Random(seed)
    names = [f"c{seed}-{number}" for number in range(customers)]
    steps: list[Step] = [Register(f"register {name}", customer=name) for name in names[::3]]
    told = [
        _told(chance, name, each, buys=number % 3 != 1)
        for number, name in enumerate(names)
        for each in range(chance.randint(1, facts_each * 2 - 1))
    ]
    homes = [
        household(chance, f"h{seed}-{number}", f"{seed:04}{number:04}", _when, CURRENCY)
        for number in range(customers // 6)
    ]
    told += [
        _told(chance, name, each, buys=True) for home in homes for name in home.names for each in range(facts_each // 3)
    ]
    steps += [step for home in homes for step in home.steps]
    for before, after in zip(homes[::2], homes[1::2], strict=False):
        steps += handed_over(chance, before, after, _when, CURRENCY)
        if not after.parted:
            # Whether both are known to be one by then or not.
            steps += handed_over(chance, after, after, _when, CURRENCY)
    steps += told
    for one in chance.sample(told, len(told) // 10):
        steps += _afterthoughts(chance, one, names)
    for number in range(customers // 3):
        steps += _taken_back(chance, f"g{seed}-{number}")
    for number, name in enumerate(names):
        steps += _doings(chance, name, names[number - 1])
    steps += chains(chance, names[::3])
    for name in names[1::3]:
        steps += [Register(f"register {name}", customer=name), *owned(chance, name)]
    for number in range(customers // 6):
        steps += linked(chance, f"forum:m{seed}-{number}", names[2::3], _when)
    steps += set_by_hand(chance, [*names[::3], *names[1::3]])
    return Story(tuple(steps), {name: _when(chance) for name in names[::4]})


def _taken_back(chance: Random, name: str) -> Iterator[Step]:
    """Somebody of whom nothing that was told is left in the end; some were registered, before it or after, or twice."""
    told = [_told(chance, name, number, buys=True) for number in range(chance.choice((1, 1, 2)))]
    yield from told
    for one in told:
        yield Withdraw(f"withdraw {one.name}", (one.name,), one.name, one.kind)
    for nth in range(chance.choice((0, 1, 1, 2))):
        yield Register(f"register {name} {nth}", chance.choice(((), (f"withdraw {told[0].name}",))), name)


def _doings(chance: Random, name: str, friend: str) -> Iterator[Step]:
    """What somebody does besides what is told of purchases and talks."""
    if chance.random() < 0.5:
        yield from lead(chance, name, 0, _when(chance), CURRENCY)
    if chance.random() < 0.4:
        yield from member(chance, name, _when(chance))
    for number in range(chance.choice((0, 0, 1, 2))):
        yield from problem(chance, name, number, _when(chance))
    if chance.random() < 0.4:
        yield from referral(chance, name, friend, _when(chance))


def _when(chance: Random) -> datetime:
    """Evenings and nights, where a wrong zone would show."""
    day = FIRST + timedelta(days=chance.randrange((LAST - FIRST).days + 1))
    return datetime(day.year, day.month, day.day, chance.choice((0, 12, 23)), chance.randrange(60), tzinfo=UTC)


def _told(chance: Random, customer: str, number: int, *, buys: bool) -> Tell:
    kinds = "interactions", "interactions", "returns", *("purchases",) * (6 if buys else 0)
    about = chance.choice(list(ABOUT))
    return Tell(
        f"{customer}/{number}",
        kind=chance.choice(kinds),
        customer=customer,
        at=_when(chance),
        amount_minor=chance.choice((0, 1, 999, 10_000, 29_999, 30_000, chance.randrange(200_000))),
        currency=chance.choice(("EUR", "JPY", "CHF")) if chance.random() < 0.2 else CURRENCY,
        about=about,
        reason=chance.choice(REASONS) if about[0] == "declined" else None,
        rated=(_rate(chance), _rate(chance), _rate(chance)),
    )


def _rate(chance: Random) -> int | None:
    return chance.randrange(1, 6) if chance.random() < 0.3 else None


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
