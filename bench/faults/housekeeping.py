"""What is changed about the whole installation while customers go on, round by round."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

from bench.faults.commands import FIRST, Body, Command

FAR = "2099-01-01T00:00:00+00:00"
"""When nothing of a run is there any more."""
RULES: Body = {"strong": ["email", "external", "phone"], "most_claims": 3}
NOT_TRIED = frozenset({"illegal_policy_move"})


def housekeeping(seed: int) -> Iterator[list[Command]]:
    """Rounds without an end, each after the one before it: the last of them decides in every installation."""
    last: tuple[str, ...] = ()
    for number in count(1):
        commands = list(_round(f"round-{seed}-{number}", number, last))
        last = (commands[-1].name,)
        yield commands


def _round(name: str, number: int, last: tuple[str, ...]) -> Iterator[Command]:
    told = _Chain(last)
    rules = RULES | {"role_addresses": [f"nobody{number}"]}
    yield told(f"{name} duplicates", "/v1/duplicates/rules", rules, method="PUT")
    points = {"name": "known", "when": {"field": "source", "op": "is", "value": "nowhere"}, "points": 1}
    rubric = {"name": name, "criteria": [points], "cuts": {"a": 60, "b": 30, "c": 10}}
    yield told(f"{name} rubric", "/v1/leads/rubric", rubric, method="PUT")
    day = (FIRST + timedelta(days=number)).date().isoformat()
    rates = [{"day": day, "currency": "ISK", "rate": "0.0067"}]
    yield told(f"{name} rates", "/v1/rates", {"rates": rates})
    yield from _team_and_view(name, told)
    yield from _policies(name, told)


def _team_and_view(name: str, told: "_Chain") -> Iterator[Command]:
    team, view = f"{name} team", f"{name} view"
    yield told(team, "/v1/teams", {"name": team})
    yield told(f"{team} renamed", "/v1/teams/{}", {"name": f"{team} two"}, of=team, method="PATCH")
    yield told(f"{team} removed", "/v1/teams/{}", of=team, method="DELETE")
    yield told(view, "/v1/views", {"list": "parties", "name": view, "query": "tier=top"})
    yield told(f"{view} forgotten", "/v1/views/{}", of=view, method="DELETE")


def _policies(name: str, told: "_Chain") -> Iterator[Command]:
    """One that is put away, and one that is tried, approved, planned, not planned any more, and decides at once."""
    away, policy, path = f"{name} policy put away", f"{name} policy", "/v1/policies/{}"
    days = {"from": "2026-01-01", "until": "2026-03-01"}
    yield told(away, "/v1/policies", {"document": {"name": away.replace(" ", "-")}})
    yield told(f"{away} tried", f"{path}/trials", days, of=away)
    yield told(f"{away} tried enough", "/v1/trials/{}", of=f"{away} tried", method="DELETE")
    yield told(f"{away} retired", f"{path}/retire", of=away)
    yield told(policy, "/v1/policies", {"document": {"name": policy.replace(" ", "-")}})
    yield told(f"{policy} tried", f"{path}/trials", days, of=policy)
    yield told(f"{policy} approved", f"{path}/approve", of=policy, not_yet=NOT_TRIED)
    planned = f"{policy} later"
    yield told(planned, f"{path}/activate", {"active_from": FAR}, of=policy)
    yield told(f"{planned} not", "/v1/activations/{}", of=f"{planned} planned", method="DELETE")
    yield told(f"{policy} now", f"{path}/activate", of=policy)


class _Chain:
    """Commands of which each needs the one before it."""

    def __init__(self, last: tuple[str, ...]) -> None:
        self.last = last

    def __call__(self, name: str, path: str, body: Body | None = None, **more: Any) -> Command:
        command = Command(name, path, body or {}, needs=self.last, **more)
        self.last = (name,)
        return command
