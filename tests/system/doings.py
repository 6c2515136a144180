"""What people of a story do besides buying: leads, communities, problems, referrals, each as the product is told it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

from services.scoring.domain.facts import Fact, Kind
from tests.system.product import SYSTEM, identifier, party_of

REASONS = ("price", "competitor", "no_need", "timing", "unknown")


@dataclass(frozen=True)
class Step:
    """One command; `needs` names the steps without which it cannot be given."""

    name: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Did(Step):
    """One command that is a fact, or two about two people."""

    kind: Kind = Kind.REGISTERED
    customer: str = ""
    at: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    path: str = ""
    """`{}` stands for the id that the step `of` gave."""
    of: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    amount_minor: int = 0
    detail: str = ""
    falls_with: str = ""
    """The step whose withdrawal takes this one back, too."""
    others: tuple[tuple[Kind, str], ...] = ()
    """What is told of somebody else by it."""
    beside: str = ""
    """What else the same person is known by, as this says."""
    opened_at: datetime | None = None
    """Of a problem that is solved."""
    grade: str = ""
    """Of a lead, as the first rubric gives it."""

    def facts(self) -> Iterator[Fact]:
        """What counts of it."""
        yield _fact(self.kind, self.customer, self.at, self.amount_minor, self.detail, self.opened_at)
        for kind, customer in self.others:
            yield _fact(kind, customer, self.at)
        if self.grade:
            yield _fact(Kind.LEAD_GRADED, self.customer, self.at, detail=self.grade)


@dataclass(frozen=True)
class Withdraw(Step):
    told: str = ""
    kind: str = "purchases"


def _fact(
    kind: Kind, customer: str, at: datetime, amount_minor: int = 0, detail: str = "", opened_at: datetime | None = None
) -> Fact:
    return Fact(uuid4(), party_of(customer), kind, at, at, amount_minor, detail, opened_at=opened_at)


def lead(
    chance: Random,
    customer: str,
    number: int,
    at: datetime,
    currency: str,
    *,
    phone: str = "",
    needs: tuple[str, ...] = (),
) -> Iterator[Step]:
    """A lead from its capture to an end, perhaps opened again, perhaps one that never was.

    With a phone the customer is an e-mail address.
    """
    name = f"{customer}/lead {number}"
    who = {"email": customer, "phone": phone} if phone else {"identifier": identifier(customer)}
    source, grade = _SOURCES[sum(name.encode()) % len(_SOURCES)]
    body: dict[str, Any] = {"system": SYSTEM, "source_id": name, **who, "occurred_at": at.isoformat(), "source": source}
    yield Did(name, needs, Kind.LEAD_CAPTURED, customer, at, "/v1/leads", body=body, beside=phone, grade=grade)
    before = name
    for verb in chance.choice(_LIVES):
        at += timedelta(days=chance.choice((0, 1, 20, 100)), minutes=1)
        reason = chance.choice(REASONS)
        bought = chance.randrange(50_000) if verb == "win" and chance.random() < 0.5 else None
        body = {"occurred_at": at.isoformat()}
        if verb in _DECLARES:
            body["reason"] = reason
        if bought is not None:
            body |= {"order": {"amount_minor": bought, "currency": currency}}
        step = Did(
            f"{verb} {name} {before.count('reopen')}",
            (before,),
            _VERBS[verb] if bought is None else Kind.PURCHASE,
            customer,
            at,
            f"/v1/leads/{{}}/{verb}",
            of=name,
            body=body,
            amount_minor=bought or 0,
            detail=currency if bought is not None else reason if verb in _DECLARES else "",
            falls_with=name,
        )
        yield step
        before = step.name
    if chance.random() < 0.2:
        yield Withdraw(f"withdraw {name}", (before,), name, "leads")


_SOURCES = (("unknown", "D"), ("website", "C"), ("referral", "B"))
"""Where leads come from, and what the first rubric thinks of that."""
_VERBS = {
    "qualify": Kind.LEAD_QUALIFIED,
    "disqualify": Kind.LEAD_DISQUALIFIED,
    "win": Kind.LEAD_WON,
    "lose": Kind.LEAD_LOST,
    "reopen": Kind.LEAD_REOPENED,
}
_DECLARES = ("disqualify", "lose")
_LIVES = (
    (),
    ("qualify", "win"),
    ("win",),
    ("qualify", "lose"),
    ("disqualify", "reopen", "qualify"),
    ("lose", "reopen"),
)


def member(chance: Random, customer: str, at: datetime) -> Iterator[Step]:
    """Somebody joins, writes, answers and thanks; a post may have been a mistake."""
    key = {"community": identifier(customer)["system"], "source_id": identifier(customer)["value"]}
    joined = Did(
        f"{customer} joins", (), Kind.JOINED, customer, at, "/v1/members", body={**key, "joined_at": at.isoformat()}
    )
    yield joined
    for number in range(chance.randrange(3)):
        at += timedelta(days=chance.choice((0, 1, 31, 181)), minutes=1)
        said = {"member": key, "source": SYSTEM, "occurred_at": at.isoformat()}
        name = f"{customer}/post {number}"
        text = {"source_id": name, "text": "Does it come in blue?"}
        yield Did(name, (joined.name,), Kind.POSTED, customer, at, "/v1/posts", body={**said, **text})
        if chance.random() < 0.3:
            text = {"source_id": f"{name} reply", "text": "It does."}
            yield Did(
                f"{name} reply", (name,), Kind.REPLIED, customer, at, "/v1/posts/{}/replies", name, {**said, **text}
            )
        elif chance.random() < 0.3:
            like = {"source_id": f"{name} reaction", "reaction": "thanks"}
            yield Did(
                f"{name} reaction", (name,), Kind.REACTED, customer, at, "/v1/posts/{}/reactions", name,
                {**said, **like},
            )  # fmt: skip
        elif chance.random() < 0.5:
            yield Withdraw(f"withdraw {name}", (name,), name, "posts")


def problem(chance: Random, customer: str, number: int, at: datetime) -> Iterator[Step]:
    """A problem is opened and perhaps solved."""
    name = f"{customer}/problem {number}"
    body = {
        "source": SYSTEM,
        "source_id": name,
        "identifier": identifier(customer),
        "occurred_at": at.isoformat(),
        "category": "delivery",
    }
    yield Did(name, (), Kind.PROBLEM_OPENED, customer, at, "/v1/problems", body=body)
    if chance.random() < 0.6:
        done = at + timedelta(days=chance.randrange(9), minutes=1)
        path, solved = "/v1/problems/{}/solve", {"occurred_at": done.isoformat()}
        yield Did(f"solve {name}", (name,), Kind.PROBLEM_SOLVED, customer, done, path, name, solved, opened_at=at)


def referral(chance: Random, customer: str, friend: str, at: datetime) -> Iterator[Step]:
    """Somebody recommends us to a friend, who perhaps buys."""
    name = f"{customer} refers {friend}"
    body = {
        "source": SYSTEM,
        "source_id": name,
        "identifier": identifier(customer),
        "referred": identifier(friend),
        "occurred_at": at.isoformat(),
    }
    others = ((Kind.WAS_REFERRED, friend),)
    yield Did(name, (), Kind.REFERRED, customer, at, "/v1/referrals", body=body, others=others)
    if chance.random() < 0.5:
        at += timedelta(days=chance.randrange(60), minutes=1)
        sold = {"occurred_at": at.isoformat()}
        yield Did(
            f"convert {name}", (name,), Kind.REFERRAL_CONVERTED, customer, at, "/v1/referrals/{}/convert", name, sold
        )
