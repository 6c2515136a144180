"""How much of a service one process of the gateway may take up, and when it leaves a service alone for a moment."""

from dataclasses import dataclass
from enum import Enum, auto

from contracts.problems import Unavailable

FAILURES = 5
"""Requests in a row that found nobody, or heard nothing in time, after which a service is left alone."""
PAUSE_S = 1
"""Seconds between two requests that try whether it is back."""


class ServiceBusy(Unavailable):
    """As much as the gateway may ask of the service at once is under way, and as much as may waits."""


class Entry(Enum):
    """What becomes of a request at a bulkhead."""

    GOES = auto()
    WAITS = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """How many requests to one service may be under way, and how many may wait behind them."""

    most: int = 256
    waiting_most: int = 256

    def entry(self, underway: int, waiting: int) -> Entry:
        """What becomes of one request more."""
        if underway < self.most:
            return Entry.GOES
        return Entry.WAITS if waiting < self.waiting_most else Entry.REFUSED


@dataclass(slots=True)
class Breaker:
    """Whether a service is asked at all. Instants are seconds of any steady clock.

    It opens after `FAILURES` in a row; then one request in `PAUSE_S` tries, and the first answer closes it. One that
    tries and never tells how it went holds up nobody for longer.
    """

    failures: int = 0
    tries_at: float = 0.0

    def lets_pass(self, at: float) -> bool:
        """Whether a request may go; one that goes while it is open is the one that tries."""
        if self.failures < FAILURES:
            return True
        if at < self.tries_at:
            return False
        self.tries_at = at + PAUSE_S
        return True

    def succeeded(self) -> None:
        """The service answered something."""
        self.failures = 0

    def failed(self, at: float) -> bool:
        """The service could not be reached, or did not answer in time; whether that opened it."""
        self.failures += 1
        if self.failures != FAILURES:
            return False
        self.tries_at = at + PAUSE_S
        return True
