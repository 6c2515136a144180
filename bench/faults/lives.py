"""Commands about one customer of which nothing depends on what is told of others."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from bench.faults.commands import (
    DAYS,
    FIRST,
    REGISTERED,
    SYSTEM,
    Body,
    Command,
    identifier,
    identity_of,
    identity_text,
    party_of,
)
from bench.product import CURRENCY

LATER = FIRST + timedelta(days=DAYS + 60)
"""After all that members write."""
LEFT = LATER + timedelta(days=1)
JOINED = "community.member_joined.v1"
PURCHASE = "customers.purchase_completed.v1"


def in_community(chance: Random, who: str, joined: str, before: str, at: datetime) -> Iterator[Command]:
    """A member is put right, in a group for a while; leaves late, and may come back."""
    path = "/v1/members/{}"
    if chance.random() < 0.3:
        named = Command(f"{who} shows", path, {"display_name": who}, needs=(before,), of=joined, method="PATCH")
        yield named
        before = named.name
    if chance.random() < 0.3:
        right = {"joined_at": (at - timedelta(days=9)).isoformat()}
        sooner = Command(
            f"{joined} sooner", f"{path}/correct", right, needs=(before,), of=joined, tells=JOINED, about=joined
        )
        yield sooner
        before = sooner.name
    if chance.random() < 0.3:
        circle, key = f"{who} circle", {"community": SYSTEM, "source_id": who}
        yield Command(circle, "/v1/groups", {"community": SYSTEM, "name": circle, "access": "open"}, needs=(joined,))
        closed, joins = {"access": "closed"}, {"member": key, "joined_at": LATER.isoformat()}
        yield Command(f"{circle} closed", "/v1/groups/{}", closed, needs=(circle,), of=circle, method="PATCH")
        inside = Command(f"{circle} joined", "/v1/groups/{}/members", joins, needs=(circle, before), of=circle)
        yield inside
        outside = f"{circle} left"
        gone, leave = {"left_at": LATER.isoformat()}, "/v1/groups/{}/members/{}/leave"
        yield Command(outside, leave, gone, needs=(inside.name,), of=circle, by=joined)
        before = outside
    if chance.random() < 0.3:
        left = Command(f"{who} leaves", f"{path}/leave", {"left_at": LEFT.isoformat()}, needs=(before,), of=joined)
        yield left
        if chance.random() < 0.5:
            back = {"joined_at": (LEFT + timedelta(days=3)).isoformat()}
            yield Command(
                f"{who} is back", f"{path}/rejoin", back, needs=(left.name,), of=joined, tells=JOINED, about=joined
            )


def alone(chance: Random, who: str, *, number: int) -> Iterator[Command]:
    """Somebody with two identifiers, whom nobody else's story touches: what happens to them depends on its order."""
    register = Command(f"{who} registers", "/v1/parties", {"identifiers": [identifier(who)]}, tells=REGISTERED)
    yield register
    match number % 4:
        case 0:
            yield from _with_a_second_identifier(chance, who, register.name)
        case 1:
            yield from _overridden(chance, who, register.name)
        case 2:
            yield from _perhaps_the_same(chance, who, register.name)
        case 3:
            # The owner of a party that is merged may go to the other one: that, too, depends on what comes first.
            yield from _named_and_owned(chance, who, register.name)


def _named_and_owned(chance: Random, who: str, registered: str) -> Iterator[Command]:
    """Somebody gets a name and an owner, who may hand over all that is theirs."""
    party, name, owned = party_of(who), f"{who} is named", f"{who} is owned"
    yield Command(name, f"/v1/parties/{party}/name", {"name": f"Customer {who}"}, needs=(registered,), method="PUT")
    if chance.random() < 0.5:
        seller, heir = f"user_{identity_of(f'{who} seller').hex}", f"user_{identity_of(f'{who} heir').hex}"
        body: Body = {"owner_id": seller, "team_id": None}
        yield Command(owned, f"/v1/parties/{party}/owner", body, needs=(registered,), method="PUT")
        if chance.random() < 0.5:
            given = {"from_owner_id": seller, "to_owner_id": heir}
            yield Command(f"{owned} by another", "/v1/owners/hand-over", given, needs=(owned,))


def _with_a_second_identifier(chance: Random, who: str, registered: str) -> Iterator[Command]:
    other, heir, path = f"{who} too", f"{who} heir", f"/v1/parties/{party_of(who)}/identifiers"
    added = Command(f"{other} added", path, {"identifier": identifier(other)}, needs=(registered,))
    yield added
    bought = f"{other} buys"
    yield _purchase(other, bought, FIRST + timedelta(days=chance.randrange(1, DAYS)), needs=(added.name,))
    path = f"{path}/{identity_text(other)}"
    match chance.randrange(3):
        case 0:
            right = {"value": f"{who} right"}
            yield Command(f"{other} corrected", f"{path}/correct", right, needs=(bought,))
        case 1:
            yield Command(f"{other} released", f"{path}/release", needs=(bought,))
        case 2:
            yield Command(f"{heir} registers", "/v1/parties", {"identifiers": [identifier(heir)]}, tells=REGISTERED)
            goes: Body = {"to": {"identifier": identifier(heir)}, "from_day": "2025-06-01"}
            yield Command(f"{other} goes", f"{path}/hand-over", goes, needs=(bought, f"{heir} registers"))


def _overridden(chance: Random, who: str, registered: str) -> Iterator[Command]:
    bought, name = f"{who} buys", f"{who} is important"
    yield _purchase(who, bought, FIRST + timedelta(days=chance.randrange(1, DAYS)), needs=(registered,))
    field, value = chance.choice((("tier", "top"), ("level", "large"), ("returning", "false")))
    body: Body = {"field": field, "value": value, "why": "A friend of the house."}
    path, unread = f"/v1/standings/{party_of(who)}/overrides", frozenset({"no_standing"})
    yield Command(name, path, body, needs=(bought,), not_yet=unread)
    if chance.random() < 0.5:
        yield Command(f"{name} no more", "/v1/overrides/{}/end", {"why": "We fell out."}, needs=(name,), of=name)


def _perhaps_the_same(chance: Random, who: str, registered: str) -> Iterator[Command]:
    """A lead of another system says who it is, which that system alone cannot know."""
    told, found = f"{who} asks", f"{who} twice"
    named = identifier(who)
    body: Body = {
        "system": "website",
        "source_id": told,
        "identifier": named,
        "email": f"{who.replace(' ', '.')}@example.org",
    }
    body["occurred_at"] = (FIRST + timedelta(days=chance.randrange(1, DAYS))).isoformat()
    yield Command(told, "/v1/leads", body, needs=(registered,), tells="leads.lead_captured.v1")
    verb = chance.choice(("accept", "dismiss"))
    yield Command(
        f"{found}, {verb}",
        f"/v1/duplicates/{{}}/{verb}",
        {"note": "They said so."},
        needs=(told,),
        of=found,
        search=f"/v1/duplicates?party_id={party_of(who)}",
    )


def _purchase(who: str, name: str, at: datetime, *, needs: tuple[str, ...]) -> Command:
    body: Body = {"identifier": identifier(who), "source": SYSTEM, "source_id": name, "occurred_at": at.isoformat()}
    body |= {"currency": CURRENCY, "amount_minor": 4_200}
    return Command(name, "/v1/purchases", body, needs=needs, tells=PURCHASE)
