"""The account of a run: each fault, each recovery and the verdict, written down as it goes."""

import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any, TypeVar

from bench.faults.judge import Verdict

SUMMED_UP = (
    "faults",
    "commands",
    "lost",
    "doubled",
    "out_of_order",
    "verify_disagreements",
    "digest_equal",
    "recovery_s",
)

T = TypeVar("T")
Say = Callable[[str], None]
Keep = Callable[["Outcome"], None]


@dataclass(frozen=True)
class Broken:
    """One fault, as it is written down."""

    number: int
    kind: str
    what: str
    at_s: float
    """Since the start of the run."""
    recovery_s: float | None
    """None where the product was not itself again."""
    took_s: float
    """From its beginning to the next one, but for the rest between them."""


@dataclass
class Outcome:
    """What came of it, so far."""

    faults: int = 0
    commands: int = 0
    attempts: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    judged: bool = False
    """Whether all was judged; before that the account is of faults and recoveries alone."""
    failed: list[str] = field(default_factory=list)
    """What the driver itself could not do."""
    broken: list[Broken] = field(default_factory=list)
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    repeated_on_kafka: int = 0
    events_told: int = 0
    took_s: float = 0.0
    """From the first process to the verdict."""
    within: float = 1.0
    limits: Mapping[str, float] = field(default_factory=dict)
    """What is promised, of those kinds of which anything is."""
    disks: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether all was done and judged, nothing is wrong and nothing was late."""
        return self.judged and not self.failed and self.verdict.good and not self.late()

    def late(self) -> dict[str, float]:
        """Kinds whose longest recovery took more than they may, and that recovery."""
        longest = {kind: max(took) for kind, took in self.recovery_s.items()}
        return {kind: took for kind, took in longest.items() if took > self.within * self.limits.get(kind, inf)}

    def summary(self) -> dict[str, Any]:
        """What `--json` prints: what was broken, told and found, and how long each kind took at the median and at most.

        Whether it is good is the exit code's to say: it also counts what is only in `document`.
        """
        told = self.document()
        took = {kind: {name: each[name] for name in ("median", "max")} for kind, each in told["recovery_s"].items()}
        return {name: told[name] for name in SUMMED_UP} | {"recovery_s": took}

    def document(self) -> dict[str, Any]:
        """All of it, for people and for files. Before it is judged no digest is equal to another."""
        verdict = self.verdict
        return {
            "faults": self.faults,
            "commands": self.commands,
            "lost": len(verdict.lost),
            "doubled": len(verdict.doubled),
            "out_of_order": len(verdict.out_of_order),
            "verify_disagreements": verdict.verify_disagreements,
            "digest_equal": self.judged and verdict.digest_equal,
            "recovery_s": {
                kind: {
                    "median": round(statistics.median(took), 2),
                    "max": round(max(took), 2),
                    "times": len(took),
                    "limit": self.limits.get(kind),
                }
                for kind, took in sorted(self.recovery_s.items())
            },
            "judged": self.judged,
            "failed": self.failed,
            "late": {kind: round(took, 2) for kind, took in self.late().items()},
            "within": self.within,
            "took_s": round(self.took_s, 1),
            "state_differs": len(verdict.state_differs),
            "stuck": len(verdict.stuck),
            "refused": len(verdict.refused),
            "unexpected_dead_letters": len(verdict.unexpected_letters),
            "attempts": self.attempts,
            "repeated_on_kafka": self.repeated_on_kafka,
            "events_told": self.events_told,
            "full_disk": "a file system in memory of a mount namespace" if self.disks else "left out",
            "left_out": list(self.left_out),
        }

    def account(self) -> dict[str, Any]:
        """The same with each fault."""
        return self.document() | {"broken": [asdict(each) for each in self.broken]}


@dataclass
class Account:
    """Writes down what comes of it as it goes."""

    outcome: Outcome
    began: float
    say: Say
    keep: Keep
    unjudged: list[str] = field(default_factory=list)
    """Steps of the judgement that failed."""

    def kept(self) -> None:
        """Write it down."""
        self.outcome.took_s = time.monotonic() - self.began
        self.keep(self.outcome)

    def tell(self, text: str) -> None:
        """Say something, with the minutes and seconds since the start."""
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        self.say(f"{minutes}:{seconds:02} {text}")

    def failed(self, what: str, why: Exception) -> None:
        """That the driver could not do something."""
        told = f"{what}: {type(why).__name__}: {why}"
        self.outcome.failed.append(told)
        self.tell(f"FAILED {told}")

    async def step(self, what: str, doing: Awaitable[T]) -> T | None:
        """Do something of which the run goes on though it fails; then None."""
        try:
            return await doing
        # Of whatever kind: an hour of faults is not thrown away for one thing that cannot be done.
        except Exception as why:
            self.failed(what, why)
            return None
        finally:
            self.kept()

    async def judge(self, what: str, doing: Awaitable[T]) -> T | None:
        """The same for a step of the judgement, which is not whole without it."""
        before = len(self.outcome.failed)
        found = await self.step(what, doing)
        self.unjudged += self.outcome.failed[before:]
        return found
