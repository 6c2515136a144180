"""What clients tell the product while it is broken: every kind of command, made up from a seed without an end."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from bench.faults.commands import DAYS, FIRST, REGISTERED, SYSTEM, Body, Command, identifier, identity_of, party_of
from bench.faults.housekeeping import housekeeping
from bench.faults.lives import alone, in_community
from bench.product import CURRENCY

BULK_ROWS = 12
ROUND_EACH = 40
"""After so many customers what concerns the whole installation is changed again."""


class Plan:
    """An endless story, the same for the same seed: one customer after the other with all that comes of them."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.seed = seed
        self.known: list[str] = []

    def __iter__(self) -> Iterator[Command]:
        number, rounds = 0, housekeeping(self.seed)
        while True:
            lives = [self._life(f"c{self.seed}-{number + each}") for each in range(4)]
            if number % ROUND_EACH == 0:
                lives.append(next(rounds))
            number += 4
            yield from self._mixed(lives)
            yield self._bulk(number)

    def _mixed(self, lives: list[list[Command]]) -> Iterator[Command]:
        """Several lives at the same time, each in its order."""
        while lives := [life for life in lives if life]:
            yield self.chance.choice(lives).pop(0)

    def _life(self, who: str) -> list[Command]:
        chance = self.chance
        register = Command(f"{who} registers", "/v1/parties", {"identifiers": [identifier(who)]}, tells=REGISTERED)
        chains = [list(self._facts(who, number)) for number in range(chance.randint(2, 5))]
        chains.append(list(self._lead(who)))
        chains.append(list(self._problem(who)))
        chains.append(list(self._member(who)))
        chains.append(list(self._observation(who, register.name)))
        # Of somebody known it could turn out that they are the same person, and nobody refers themselves.
        chains.append(list(self._referral(who, f"{who}'s friend")))
        chains.append(list(alone(self.chance, f"{who} else", number=len(self.known))))
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
        if kind == "purchases" and self.chance.random() < 0.2:
            back = {"source": SYSTEM, "source_id": f"{name} back", "amount_minor": 1}
            back["occurred_at"] = (FIRST + timedelta(days=DAYS + 1)).isoformat()
            path = "/v1/purchases/{}/returns"
            yield Command(f"{name} back", path, back, needs=needs, of=name, tells=FACTS["returns"])
            return
        if self.chance.random() < 0.25:
            right = Command(
                f"{name} corrected",
                f"/v1/{kind}/{{}}/correct",
                {"occurred_at": self._when().isoformat(), "version": 1},
                needs=needs,
                of=name,
                tells=FACTS[kind],
                about=name,
            )
            yield right
            needs = (right.name,)
        if self.chance.random() < 0.15:
            yield Command(
                f"{name} withdrawn",
                f"/v1/{kind}/{{}}/withdraw",
                needs=needs,
                of=name,
                tells="customers.fact_withdrawn.v1",
                about=name,
            )

    def _lead(self, who: str) -> Iterator[Command]:
        at, name = self._when(), f"{who} lead"
        body: Body = {"system": SYSTEM, "source_id": name, "identifier": identifier(who)}
        body["occurred_at"] = at.isoformat()
        yield Command(name, "/v1/leads", body, tells="leads.lead_captured.v1")
        before = name
        for verb in self.chance.choice(MOVES):
            at += timedelta(days=self.chance.randrange(1, 9))
            body = {"occurred_at": at.isoformat()} | ({"reason": "price"} if verb in ("lose", "disqualify") else {})
            type = f"leads.lead_{PAST[verb]}.v1"
            path = f"/v1/leads/{{}}/{verb}"
            move = Command(f"{name} {verb}", path, body, needs=(before,), of=name, tells=type, about=name)
            yield move
            before = move.name
        match self.chance.randrange(6):
            case 0:
                undone = Command(f"{name} undone", "/v1/leads/{}/undo", needs=(before,), of=name)
                if before != name:
                    yield undone
                    before = undone.name
            case 1:
                seller = {"owner_id": f"user_{identity_of(who).hex}"}
                type = "leads.lead_assigned.v1"
                path = "/v1/leads/{}/assign"
                given = Command(f"{name} assigned", path, seller, needs=(before,), of=name, tells=type, about=name)
                yield given
                before = given.name
            case 2:
                note = {"note": "Calls back."}
                noted = Command(f"{name} noted", "/v1/leads/{}", note, needs=(before,), of=name, method="PATCH")
                yield noted
                before = noted.name
        if self.chance.random() < 0.15:
            yield Command(f"{name} withdrawn", "/v1/leads/{}/withdraw", needs=(before,), of=name)

    def _problem(self, who: str) -> Iterator[Command]:
        at, name = self._when(), f"{who} problem"
        told = {"source": SYSTEM, "source_id": name, "identifier": identifier(who), "category": "delivery"}
        yield Command(name, "/v1/problems", told | {"occurred_at": at.isoformat()}, tells=OPENED)
        if self.chance.random() < 0.6:
            done = {"occurred_at": (at + timedelta(days=2)).isoformat()}
            yield Command(
                f"{name} solved", "/v1/problems/{}/solve", done, needs=(name,), of=name, tells=SOLVED, about=name
            )
            if self.chance.random() < 0.4:
                again, path = {"occurred_at": (at + timedelta(days=3)).isoformat()}, "/v1/problems/{}/reopen"
                yield Command(
                    f"{name} again", path, again, needs=(f"{name} solved",), of=name, tells=OPENED, about=name
                )
        elif self.chance.random() < 0.3:
            yield Command(f"{name} withdrawn", "/v1/problems/{}/withdraw", needs=(name,), of=name)

    def _observation(self, who: str, needed: str) -> Iterator[Command]:
        name, path = f"{who} observed", f"/v1/parties/{party_of(who)}/observations"
        body: Body = {"source": SYSTEM, "source_id": name, "occurred_at": self._when().isoformat()}
        body |= {"aspect": "mood", "rating": self.chance.randint(1, 5)}
        yield Command(name, path, body, needs=(needed,))
        match self.chance.randrange(5):
            case 0:
                yield Command(f"{name} withdrawn", "/v1/observations/{}/withdraw", needs=(name,), of=name)
            case 1:
                right, path = {"rating": self.chance.randint(1, 5)}, "/v1/observations/{}/correct"
                yield Command(f"{name} corrected", path, right, needs=(name,), of=name)

    def _member(self, who: str) -> Iterator[Command]:
        at, name = self._when(), f"{who} joins"
        key: Body = {"community": SYSTEM, "source_id": who}
        yield Command(name, "/v1/members", key | {"joined_at": at.isoformat()}, tells="community.member_joined.v1")
        before = name
        if self.chance.random() < 0.5:
            # What a member writes is told anew when it turns out who it is: that comes first.
            who_it_is, path = {"identifier": identifier(who)}, "/v1/members/{}/link"
            yield Command(f"{name} as {who}", path, who_it_is, needs=(name,), of=name)
            before = f"{name} as {who}"
        post = f"{who} writes"
        said: Body = {"member": key, "source": SYSTEM}
        body = said | {"source_id": post, "occurred_at": (at + timedelta(days=1)).isoformat(), "text": "Is it blue?"}
        yield Command(post, "/v1/posts", body, needs=(before,), tells="community.post_published.v1")
        at += timedelta(days=2)
        body = said | {"source_id": f"{who} more", "occurred_at": at.isoformat()}
        match self.chance.randrange(5):
            case 0:
                yield Command(f"{who} answers", "/v1/posts/{}/replies", body | {"text": "Yes."}, needs=(post,), of=post)
            case 1:
                thanks, path = f"{who} thanks", "/v1/posts/{}/reactions"
                yield Command(thanks, path, body | {"reaction": "thanks"}, needs=(post,), of=post)
                path, right = f"{path}/{{}}", {"reaction": "like"}
                liked = Command(f"{who} likes", f"{path}/correct", right, needs=(thanks,), of=post, by=thanks)
                yield liked
                if self.chance.random() < 0.5:
                    back = f"{who} likes no more"
                    yield Command(back, f"{path}/withdraw", needs=(liked.name,), of=post, by=thanks)
            case 2:
                yield Command(f"{post} withdrawn", "/v1/posts/{}/withdraw", needs=(post,), of=post)
            case 3:
                words = {"text": "Is it green?"}
                yield Command(f"{post} anew", "/v1/posts/{}", words, needs=(post,), of=post, method="PATCH")
        yield from in_community(self.chance, who, name, before, at)

    def _referral(self, who: str, friend: str) -> Iterator[Command]:
        at, name = self._when(), f"{who} refers"
        body = {"source": SYSTEM, "source_id": name, "identifier": identifier(who), "occurred_at": at.isoformat()}
        who_it_is: Body = {"identifier": identifier(friend), "occurred_at": (at + timedelta(days=1)).isoformat()}
        match self.chance.randrange(5):
            case 0:
                yield Command(name, "/v1/referrals", body)
                path = "/v1/referrals/redeem"
                yield Command(f"{name} redeemed", path, who_it_is, needs=(name,), also=("code", f"{name} code"))
                before = f"{name} redeemed"
            case 1:
                yield Command(name, "/v1/referrals", body)
                yield Command(f"{name} named", "/v1/referrals/{}/name", who_it_is, needs=(name,), of=name)
                before = f"{name} named"
            case 2:
                yield Command(name, "/v1/referrals", body)
                yield Command(f"{name} expired", "/v1/referrals/{}/expire", needs=(name,), of=name)
                return
            case _:
                told, type = body | {"referred": identifier(friend)}, "community.referral_made.v1"
                yield Command(name, "/v1/referrals", told, tells=type)
                before = name
        if self.chance.random() < 0.5:
            done = {"occurred_at": (at + timedelta(days=9)).isoformat()}
            type, path = "community.referral_converted.v1", "/v1/referrals/{}/convert"
            yield Command(f"{name} converted", path, done, needs=(before,), of=name, tells=type, about=name)
        elif self.chance.random() < 0.3:
            yield Command(f"{name} withdrawn", "/v1/referrals/{}/withdraw", needs=(before,), of=name)

    def _merge(self, who: str, other: str, registered: str) -> Iterator[Command]:
        name = f"{who} is {other}"
        needs = (registered, f"{other} registers")
        yield Command(name, f"/v1/parties/{party_of(who)}/merge", {"party_id": party_of(other)}, needs=needs)
        if self.chance.random() < 0.5:
            path = f"/v1/parties/{party_of(who)}/unmerge"
            yield Command(f"{name} not", path, needs=(name,), also=("merge_id", name))

    def _bulk(self, number: int) -> Command:
        kind = self.chance.choice(("purchases", "purchases", "returns", "interactions", "leads", "posts"))
        name = f"bulk {self.seed}-{number} of {kind}"
        rows, needs = list[Body](), list[str]()
        for each in range(BULK_ROWS):
            who, row = self.chance.choice(self.known), f"{name} {each}"
            if kind == "posts":
                key, at = {"community": SYSTEM, "source_id": who}, FIRST + timedelta(days=DAYS + 30)
                told = {"member": key, "source": SYSTEM, "source_id": row, "text": "So it is."}
                rows.append(told | {"occurred_at": at.isoformat()})
                needs.append(f"{who} writes")
            elif kind == "leads":
                told = {"system": SYSTEM, "source_id": row, "identifier": identifier(who)}
                rows.append(told | {"occurred_at": self._when().isoformat()})
            else:
                rows.append(self._row(who, row, kind))
        return Command(name, f"/v1/{kind}/bulk", rows=rows, needs=tuple(needs), tells=FACTS[kind])


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
    "posts": "community.post_published.v1",
}
"""By which event a fact is told."""
OPENED, SOLVED = "customers.problem_opened.v1", "customers.problem_solved.v1"
PAST = {"qualify": "qualified", "win": "won", "lose": "lost", "disqualify": "disqualified", "reopen": "reopened"}
