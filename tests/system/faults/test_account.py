"""A run goes on over what its driver cannot do, and leaves its account as it goes."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from bench.faults import driver
from bench.faults.account import Account, Outcome
from bench.faults.clients import Journal
from bench.faults.deck import KINDS
from bench.faults.driver import Asked
from bench.faults.ground import Ground
from bench.faults.recovery import Probe, Stuck


@dataclass
class Made:
    """A fault that notes what was done, and cannot always be made."""

    kind: str
    what: str = "it"
    lasts_s: float = 0.0
    from_beginning: bool = True
    fails: str = ""
    done: list[str] = field(default_factory=list)

    async def begin(self, ground: Ground) -> None:
        self.done.append("begun")
        if self.fails == "begin":
            raise OSError("no room")

    async def end(self, ground: Ground) -> None:
        self.done.append("ended")
        if self.fails == "end":
            raise TimeoutError


class Itself:
    """A product that gets over so many faults, and no more."""

    def __init__(self, times: int = 100) -> None:
        self.times = times

    async def itself_again(self) -> float:
        self.times -= 1
        if self.times < 0:
            raise Stuck("nothing can be read")
        return asyncio.get_running_loop().time()

    async def brokers_agree(self) -> None:
        """As nobody breaks them, they do."""


def broken(
    monkeypatch: pytest.MonkeyPatch, faults: dict[str, Made], asked: Asked, product: Itself
) -> tuple[Outcome, list[dict[str, Any]]]:
    """What came of a run, and what was kept after each of its faults."""
    monkeypatch.setattr(driver, "REST_S", (0, 0))
    for kind, fault in faults.items():
        monkeypatch.setitem(cast("dict[str, Any]", KINDS), kind, lambda chance, ground, fault=fault: fault)
    outcome, kept = Outcome(), list[dict[str, Any]]()

    async def run() -> None:
        account = Account(outcome, asyncio.get_running_loop().time(), print, lambda it: kept.append(it.account()))
        nothing, probe = cast("Ground", None), cast("Probe", product)
        await driver.all_broken(asked, list(faults), nothing, probe, Journal(), account)

    asyncio.run(run())
    return outcome, kept


def test_a_fault_that_cannot_be_made_is_ended_and_told_and_the_next_one_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = {"one": Made("one"), "two": Made("two", fails="begin"), "three": Made("three", fails="end")}

    outcome, _ = broken(monkeypatch, faults, Asked(count=6, seed=1), Itself())

    assert faults["two"].done == ["begun", "ended"] * 2
    assert {kind: len(took) for kind, took in outcome.recovery_s.items()} == {"one": 2}
    assert outcome.faults == len(outcome.broken) == 6
    assert sum("two (it): OSError: no room" in each for each in outcome.failed) == 2
    assert not outcome.good


def test_the_account_is_kept_after_each_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    _, kept = broken(monkeypatch, {"one": Made("one")}, Asked(count=3, seed=1), Itself())

    assert [each["faults"] for each in kept] == [1, 2, 3]
    assert [each["recovery_s"]["one"]["times"] for each in kept] == [1, 2, 3]
    assert [each["kind"] for each in kept[-1]["broken"]] == ["one"] * 3
    assert not kept[-1]["judged"]
    json.dumps(kept[-1])


def test_a_product_that_gets_over_nothing_any_more_is_not_broken_further(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, _ = broken(monkeypatch, {"one": Made("one")}, Asked(count=50, seed=1), Itself(times=2))

    assert outcome.faults == 2 + driver.GIVEN_UP_AFTER
    assert len(outcome.verdict.stuck) == driver.GIVEN_UP_AFTER
    assert [each.recovery_s is None for each in outcome.broken] == [False] * 2 + [True] * 3


def test_nothing_more_is_broken_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, _ = broken(monkeypatch, {"one": Made("one")}, Asked(count=50, seed=1, minutes=0), Itself())

    assert outcome.faults == 0


def test_a_program_is_told_what_was_found_and_how_long_each_kind_took_and_nothing_else() -> None:
    outcome = Outcome(faults=3, commands=120, judged=True)
    outcome.verdict.lost.append("acknowledged leads.lead_won.v1 of c1-3 lead")
    outcome.recovery_s["killed worker"] += [2.0, 4.5, 3.0]

    assert outcome.summary() == {
        "faults": 3,
        "commands": 120,
        "lost": 1,
        "doubled": 0,
        "out_of_order": 0,
        "verify_disagreements": 0,
        "digest_equal": True,
        "recovery_s": {"killed worker": {"median": 3.0, "max": 4.5}},
    }


def test_no_digest_is_equal_before_it_is_judged() -> None:
    assert not Outcome().document()["digest_equal"]


def test_only_what_was_judged_and_done_whole_is_good() -> None:
    assert not Outcome().good
    assert Outcome(judged=True).good
    assert not Outcome(judged=True, failed=["Kafka: TimeoutError: "]).good


def test_a_step_that_fails_is_written_down_and_gives_nothing() -> None:
    outcome, kept = Outcome(), list[str]()
    account = Account(outcome, 0.0, print, lambda it: kept.extend(it.failed))

    async def fails() -> int:
        raise ValueError("no JSON")

    assert asyncio.run(account.step("reading", fails())) is None
    assert outcome.failed == ["reading: ValueError: no JSON"]
    assert kept == outcome.failed


def test_a_step_of_the_judgement_that_fails_leaves_it_unjudged_and_any_other_does_not() -> None:
    account = Account(Outcome(), 0.0, print, lambda it: None)

    async def fails() -> None:
        raise ValueError("no JSON")

    asyncio.run(account.step("the logs", fails()))
    assert account.unjudged == []
    asyncio.run(account.judge("Kafka", fails()))
    assert account.unjudged == ["Kafka: ValueError: no JSON"]


@pytest.mark.parametrize(
    ("at", "begins"),
    [
        ("2026-11-27T12:30", "2026-11-27T12:30"),
        ("2026-11-27T02:00", "2026-11-27T02:00"),
        ("2026-11-27T20:00", "2026-11-27T12:00"),
        ("2026-11-27T23:59", "2026-11-27T12:00"),
        ("2026-11-28T00:30", "2026-11-27T12:00"),
    ],
)
def test_no_day_begins_while_all_is_broken_and_no_clock_is_ahead(at: str, begins: str) -> None:
    present = datetime.fromisoformat(at).replace(tzinfo=UTC)

    begun = present + timedelta(seconds=driver.far_from_midnight(present))

    assert begun == datetime.fromisoformat(begins).replace(tzinfo=UTC)
