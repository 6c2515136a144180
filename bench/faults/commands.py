"""What clients tell the product while it is broken: every kind of command, made up from a seed without an end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeAlias
from uuid import UUID

from bench.product import CURRENCY
from contracts.identity import Scheme, identity_id

KEY = "7a" * 32
"""The identity key of both installations that are compared."""
SYSTEM = "shop"
FIRST, DAYS = datetime(2025, 1, 1, tzinfo=UTC), 500
BULK_ROWS = 12

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """A request that changes something; what it says is the same for every installation."""

    name: str
    path: str
    """`{}` stands for the id that the command `of` was answered with."""
    body: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Body] = ()
    """Of a bulk command, in the place of a body."""
    needs: tuple[str, ...] = ()
    """Commands without whose answers it is not sent."""
    of: str = ""
    also: tuple[str, str] | None = None
    """A field of the body that is the id which another command was answered with: its name, and the command."""
    tells: str = ""
    """The wire type of the one event by which others learn of it; empty where there may be more, or none."""

    def sent(self, ids: Mapping[str, str]) -> tuple[str, Body | Sequence[Body]]:
        """Path and content, by the ids that an installation gave."""
        path = self.path.format(ids[self.of]) if self.of else self.path
        body = dict(self.body) | ({self.also[0]: ids[self.also[1]]} if self.also else {})
        return path, self.rows or body


def identifier(customer: str) -> Body:
    """How a customer is named."""
    return {"scheme": "external", "system": SYSTEM, "value": customer}


def identity_of(customer: str) -> UUID:
    """The id of the identity, and of the party as it was named."""
    return identity_id(bytes.fromhex(KEY), Scheme.EXTERNAL, customer, system=SYSTEM)


def party_of(customer: str) -> str:
    """As it is written in paths and bodies."""
    return f"party_{identity_of(customer).hex}"


class Plan:
    """An endless story, the same for the same seed: one customer after the other with all that comes of them."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.seed = seed
        self.known: list[str] = []

    def __iter__(self) -> Iterator[Command]:
        number = 0
        while True:
            lives = [self._life(f"c{self.seed}-{number + each}") for each in range(4)]
            number += 4
            yield from self._mixed(lives)
            yield self._bulk(number)

    def _mixed(self, lives: list[list[Command]]) -> Iterator[Command]:
        """Several lives at the same time, each in its order."""
        while lives := [life for life in lives if life]:
            yield self.chance.choice(lives).pop(0)

    def _life(self, who: str) -> list[Command]:
        chance = self.chance
        register = Command(f"{who} registers", "/v1/parties", {"identifiers": [identifier(who)]})
        chains = [list(self._facts(who, number)) for number in range(chance.randint(2, 5))]
        chains.append(list(self._lead(who)))
        chains.append(list(self._problem(who)))
        chains.append(list(self._member(who)))
        chains.append(list(self._observation(who, register.name)))
        # Of somebody known it could turn out that they are the same person, and nobody refers themselves.
        chains.append(list(self._referral(who, f"{who}'s friend")))
        if self.known:
            other = chance.choice(self.known)
            if chance.random() < 0.4:
                chains.append(list(self._merge(who, other, register.name)))
        self.known.append(who)
        return [register, *self._mixed(chains)]

    def _when(self) -> datetime:
        return FIRST + timedelta(days=self.chance.randrange(DAYS), minutes=self.chance.randrange(1_440))

    def _row(self, who: str, name: str, kind: str) -> Body:
        row = {
            "identifier": identifier(who),
            "source": SYSTEM,
            "source_id": name,
            "occurred_at": self._when().isoformat(),
        }
        if kind == "interactions":
            what, direction = self.chance.choice(TALKS)
            return row | {"department": "sales", "channel": "phone", "kind": what, "direction": direction}
        return row | {"currency": CURRENCY, "amount_minor": self.chance.randrange(1, 60_000)}

    def _facts(self, who: str, number: int) -> Iterator[Command]:
        """Something bought, given back or said; perhaps put right, perhaps taken back."""
        kind = self.chance.choice(("purchases", "purchases", "purchases", "returns", "interactions"))
        name = f"{who} {kind} {number}"
        yield Command(name, f"/v1/{kind}", self._row(who, name, kind), tells=FACTS[kind])
        needs = (name,)
        if self.chance.random() < 0.25:
            right = Command(
                f"{name} corrected",
                f"/v1/{kind}/{{}}/correct",
                {"occurred_at": self._when().isoformat(), "version": 1},
                needs=needs,
                of=name,
            )
            yield right
            needs = (right.name,)
        if self.chance.random() < 0.15:
            yield Command(f"{name} withdrawn", f"/v1/{kind}/{{}}/withdraw", needs=needs, of=name)

    def _lead(self, who: str) -> Iterator[Command]:
        at, name = self._when(), f"{who} lead"
        body: Body = {"system": SYSTEM, "source_id": name, "identifier": identifier(who)}
        body["occurred_at"] = at.isoformat()
        yield Command(name, "/v1/leads", body, tells="leads.lead_captured.v1")
        before = name
        for verb in self.chance.choice(MOVES):
            at += timedelta(days=self.chance.randrange(1, 9))
            body = {"occurred_at": at.isoformat()} | ({"reason": "price"} if verb in ("lose", "disqualify") else {})
            move = Command(f"{name} {verb}", f"/v1/leads/{{}}/{verb}", body, needs=(before,), of=name)
            yield move
            before = move.name
        if self.chance.random() < 0.15:
            yield Command(f"{name} withdrawn", "/v1/leads/{}/withdraw", needs=(before,), of=name)

    def _problem(self, who: str) -> Iterator[Command]:
        at, name = self._when(), f"{who} problem"
        told = {"source": SYSTEM, "source_id": name, "identifier": identifier(who), "category": "delivery"}
        yield Command(name, "/v1/problems", told | {"occurred_at": at.isoformat()}, tells="customers.problem_opened.v1")
        if self.chance.random() < 0.6:
            done = {"occurred_at": (at + timedelta(days=2)).isoformat()}
            yield Command(f"{name} solved", "/v1/problems/{}/solve", done, needs=(name,), of=name)

    def _observation(self, who: str, needed: str) -> Iterator[Command]:
        name, path = f"{who} observed", f"/v1/parties/{party_of(who)}/observations"
        body: Body = {"source": SYSTEM, "source_id": name, "occurred_at": self._when().isoformat()}
        body |= {"aspect": "mood", "rating": self.chance.randint(1, 5)}
        yield Command(name, path, body, needs=(needed,))
        if self.chance.random() < 0.2:
            yield Command(f"{name} withdrawn", "/v1/observations/{}/withdraw", needs=(name,), of=name)

    def _member(self, who: str) -> Iterator[Command]:
        at, name = self._when(), f"{who} joins"
        key: Body = {"community": SYSTEM, "source_id": who}
        yield Command(name, "/v1/members", key | {"joined_at": at.isoformat()}, tells="community.member_joined.v1")
        post = f"{who} writes"
        said: Body = {"member": key, "source": SYSTEM}
        body = said | {"source_id": post, "occurred_at": (at + timedelta(days=1)).isoformat(), "text": "Is it blue?"}
        yield Command(post, "/v1/posts", body, needs=(name,), tells="community.post_published.v1")
        at += timedelta(days=2)
        body = said | {"source_id": f"{who} more", "occurred_at": at.isoformat()}
        match self.chance.randrange(4):
            case 0:
                yield Command(f"{who} answers", "/v1/posts/{}/replies", body | {"text": "Yes."}, needs=(post,), of=post)
            case 1:
                yield Command(
                    f"{who} thanks", "/v1/posts/{}/reactions", body | {"reaction": "thanks"}, needs=(post,), of=post
                )
            case 2:
                yield Command(f"{post} withdrawn", "/v1/posts/{}/withdraw", needs=(post,), of=post)

    def _referral(self, who: str, friend: str) -> Iterator[Command]:
        at, name = self._when(), f"{who} refers"
        body = {"source": SYSTEM, "source_id": name, "identifier": identifier(who), "referred": identifier(friend)}
        yield Command(name, "/v1/referrals", body | {"occurred_at": at.isoformat()}, tells="community.referral_made.v1")
        if self.chance.random() < 0.5:
            done = {"occurred_at": (at + timedelta(days=9)).isoformat()}
            yield Command(f"{name} converted", "/v1/referrals/{}/convert", done, needs=(name,), of=name)

    def _merge(self, who: str, other: str, registered: str) -> Iterator[Command]:
        name = f"{who} is {other}"
        needs = (registered, f"{other} registers")
        yield Command(name, f"/v1/parties/{party_of(who)}/merge", {"party_id": party_of(other)}, needs=needs)
        if self.chance.random() < 0.5:
            path = f"/v1/parties/{party_of(who)}/unmerge"
            yield Command(f"{name} not", path, needs=(name,), also=("merge_id", name))

    def _bulk(self, number: int) -> Command:
        kind = self.chance.choice(("purchases", "purchases", "returns", "interactions", "leads"))
        name = f"bulk {self.seed}-{number} of {kind}"
        rows = []
        for each in range(BULK_ROWS):
            who, row = self.chance.choice(self.known), f"{name} {each}"
            if kind == "leads":
                told = {"system": SYSTEM, "source_id": row, "identifier": identifier(who)}
                rows.append(told | {"occurred_at": self._when().isoformat()})
            else:
                rows.append(self._row(who, row, kind))
        return Command(name, f"/v1/{kind}/bulk", rows=rows, tells=FACTS[kind])


TALKS = (
    ("visit", "inbound"),
    ("inquiry", "inbound"),
    ("support", "inbound"),
    ("complaint", "inbound"),
    ("praise", "inbound"),
    ("campaign", "outbound"),
)
MOVES = ((), ("qualify", "win"), ("win",), ("qualify", "lose"), ("disqualify", "reopen", "qualify"), ("lose", "reopen"))
FACTS = {
    "purchases": "customers.purchase_completed.v1",
    "returns": "customers.purchase_returned.v1",
    "interactions": "customers.interaction_recorded.v1",
    "leads": "leads.lead_captured.v1",
}
"""By which event a fact is told."""
