"""Who is who in a story: registered, merged, linked, seen together, handed over; and whose all is in the end."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import NamedTuple
from uuid import UUID

from tests.system.doings import Did, Step, Withdraw, lead, member, problem
from tests.system.oracle import Holdings
from tests.system.product import party_of

MOST_CLAIMS = 3
"""An identifier that more came with than these is shared, and makes nobody one."""
ROLE = "info@", "info+"
"""How addresses begin that are a role's."""
OWNERS = tuple(UUID(int=number) for number in (1, 2, 3))

Edge = tuple[UUID, UUID]
"""Two parties, the smaller id first."""
When = Callable[[Random], datetime]


@dataclass(frozen=True)
class Register(Step):
    customer: str = ""


@dataclass(frozen=True)
class Merge(Step):
    one: str = ""
    other: str = ""


@dataclass(frozen=True)
class Unmerge(Step):
    merge: str = ""
    one: str = ""


@dataclass(frozen=True)
class Link(Step):
    """Which customer a member is; none where it is nobody known."""

    member: str = ""
    of: str = ""
    """The step that made the member known."""
    to: str | None = None


@dataclass(frozen=True)
class HandOver(Step):
    """A phone is another one's from a day on."""

    phone: str = ""
    to: str = ""
    from_day: date = date(2024, 1, 1)


@dataclass(frozen=True)
class Own(Step):
    """Who takes care of a customer."""

    customer: str = ""
    owner: UUID = OWNERS[0]


class Whose(NamedTuple):
    """Whose everything is after all steps, however they were ordered."""

    holdings: Holdings
    automatic: frozenset[Edge]
    """Parties that are one for nothing but what was seen together."""
    shared: Mapping[UUID, int]
    """Identifiers that too many came with, and how many."""
    survivors: Mapping[UUID, UUID]
    """Of everybody who is connected with anybody the one that all of them are."""
    owners: Mapping[UUID, UUID]
    """Who takes care of whom: whoever was said to, else whoever does of the first of those that are one with it."""


def whose(steps: Sequence[Step]) -> Whose:
    """By the definitions alone."""
    merges = {step.name: _edge(party_of(step.one), party_of(step.other)) for step in steps if isinstance(step, Merge)}
    apart = {merges.pop(step.merge) for step in steps if isinstance(step, Unmerge)}
    apart |= {_edge(party_of(step.phone), party_of(step.to)) for step in steps if isinstance(step, HandOver)}
    links = {step.member: step for step in steps if isinstance(step, Link)}
    linked = {_edge(party_of(link.member), party_of(link.to)) for link in links.values() if link.to}
    named: defaultdict[UUID, list[tuple[UUID, date | None]]] = defaultdict(list)
    for step in steps:
        if isinstance(step, HandOver):
            named[party_of(step.phone)] += [(party_of(step.phone), None), (party_of(step.to), step.from_day)]
    together = set(_together(steps))
    shared = _shared(together)
    held = {
        frozenset({party_of(email), _holder(named, party_of(phone), day)})
        for email, phone, day in together
        if not shared.keys() & {party_of(email), party_of(phone)} and not email.startswith(ROLE)
    }
    by_people = _survivors({*merges.values(), *linked})
    two = {frozenset(by_people.get(party, party) for party in pair) for pair in apart}
    automatic = {
        _edge(*pair)
        for pair in held
        if len(pair) == 2 and frozenset(by_people.get(party, party) for party in pair) not in two
    }
    survivors = _survivors({*merges.values(), *linked, *automatic})
    holdings = {identity: [(root, None)] for identity, root in survivors.items()} | {
        identity: [(survivors.get(party, party), since) for party, since in held] for identity, held in named.items()
    }
    return Whose(holdings, frozenset(automatic), shared, survivors, _owners(steps, survivors))


def _owners(steps: Sequence[Step], survivors: Mapping[UUID, UUID]) -> dict[UUID, UUID]:
    owners = {party_of(step.customer): step.owner for step in steps if isinstance(step, Own)}
    heirs = {survivors.get(party, party): owner for party, owner in sorted(owners.items(), reverse=True)}
    return {party: owners.get(party, heir) for party, heir in heirs.items()}


def _together(steps: Sequence[Step]) -> Iterator[tuple[str, str, date]]:
    gone = {step.told for step in steps if isinstance(step, Withdraw)}
    for step in steps:
        if isinstance(step, Did) and step.beside and step.name not in gone:
            yield step.customer, step.beside, step.at.date()


def _shared(together: Iterable[tuple[str, str, date]]) -> dict[UUID, int]:
    came_with: defaultdict[UUID, set[str]] = defaultdict(set)
    for email, phone, _ in together:
        came_with[party_of(email)].add(phone)
        came_with[party_of(phone)].add(email)
    return {identity: len(others) for identity, others in came_with.items() if len(others) > MOST_CLAIMS}


def _holder(named: Holdings, identity: UUID, day: date) -> UUID:
    return [identity, *(party for party, since in named.get(identity, ()) if since and since <= day)][-1]


def _survivors(edges: Iterable[Edge]) -> dict[UUID, UUID]:
    best = {party: party for edge in edges for party in edge}
    for one, other in edges:
        kept, gone = sorted((best[one], best[other]))
        best = {party: kept if root == gone else root for party, root in best.items()}
    return best


def _edge(one: UUID, other: UUID) -> Edge:
    return (one, other) if one < other else (other, one)


def chains(chance: Random, names: Sequence[str]) -> Iterator[Step]:
    """Chains of up to five, the merges made and some undone in any order."""
    for start in range(0, len(names) - 4, 5):
        for one, other in pairwise(names[start : start + 5]):
            merge = Merge(f"merge {one} {other}", (f"register {one}", f"register {other}"), one, other)
            yield merge
            if chance.random() < 0.5:
                yield Unmerge(f"unmerge {one} {other}", (merge.name,), merge.name, one)


def linked(chance: Random, name: str, customers: Sequence[str], when: When) -> Iterator[Step]:
    """A member of a forum who is linked, perhaps to another customer after that, perhaps to nobody in the end."""
    does = [*member(chance, name, when(chance))]
    yield from does
    before = does[0].name
    for number, to in enumerate(chance.sample([*customers, None], chance.randrange(1, 4))):
        link = Link(f"link {name} {number}", (before,), name, does[0].name, to)
        yield link
        before = link.name


def owned(chance: Random, customer: str) -> Iterator[Own]:
    """Somebody registered who is given to an owner, and perhaps to another one."""
    needs = (f"register {customer}",)
    for number in range(chance.randrange(1, 3)):
        own = Own(f"own {customer} {number}", needs, customer, chance.choice(OWNERS))
        yield own
        needs = (own.name,)


@dataclass(frozen=True)
class Household:
    """People who left their e-mail addresses and phones in leads, each with the other."""

    emails: Sequence[str]
    phones: Sequence[str]
    steps: Sequence[Step]
    given: tuple[str, ...]
    """The steps that gave them to owners."""
    parted: bool

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.emails, *self.phones)


def household(chance: Random, name: str, number: str, when: When, currency: str) -> Household:
    """Some have more addresses to a phone than one person has; some addresses are a role's, some look alike.

    Of some a person said that they are two after all; some were given to owners before anybody knew that they are one.
    """
    emails = [f"{name}-{each}@home.example" for each in range(chance.choice((1, 2, 3, 6)))]
    if chance.random() < 0.2:
        emails[0] = f"info@{name}.example"
    emails += [emails[-1].replace("@", f"+news{each}@") for each in range(chance.choice((0, 0, 1, 2, 5)))]
    phones = [f"+4930{number}{each}" for each in range(chance.choice((1, 1, 2)))]
    known = [*phones, *(email for email in emails if "+news" in email or chance.random() < 0.5)]
    steps: list[Step] = [Register(f"register {each}", customer=each) for each in known]
    parted = emails[0] in known and chance.random() < 0.3
    given = [] if parted else [own for each in known[:2] if chance.random() < 0.5 for own in owned(chance, each)]
    steps += given
    needs = tuple(own.name for own in given)
    for each in range(len(emails) + chance.randrange(3)):
        email = emails[each % len(emails)]
        steps += lead(chance, email, each, when(chance), currency, phone=chance.choice(phones), needs=needs)
    if parted:
        both = f"register {emails[0]}", f"register {phones[0]}"
        merge = Merge(f"merge {emails[0]} {phones[0]}", both, emails[0], phones[0])
        steps += [merge, Unmerge(f"unmerge {emails[0]} {phones[0]}", (merge.name,), merge.name, emails[0])]
    return Household(emails, phones, steps, needs, parted)


def handed_over(chance: Random, one: Household, other: Household, when: When, currency: str) -> Iterator[Step]:
    """A number of one household is another one's from a day on; the first one is still named with it after that."""
    phone, to = chance.choice(one.phones), chance.choice(other.emails)
    day = when(chance).date()
    yield HandOver(f"hand over {phone}", (f"register {phone}", *other.given), phone, to, day)
    at = when(chance)
    while at.date() < day:
        at += timedelta(days=200)
    yield from lead(chance, one.emails[0], len(one.emails) + 9, at, currency, phone=phone, needs=one.given)
    yield from problem(chance, phone, 0, at)
