"""What a fault is: it begins, lasts, ends, and the product is itself again after a time that is measured."""

from typing import Protocol

from bench.faults.ground import Ground


class Fault(Protocol):
    """One thing that breaks."""

    @property
    def kind(self) -> str:
        """Under what its recovery is told."""

    @property
    def what(self) -> str:
        """Which part of the product it meets."""

    @property
    def lasts_s(self) -> float:
        """Seconds from its beginning to its end."""

    @property
    def from_beginning(self) -> bool:
        """Whether the product has to be itself again while it lasts: a kill, or a freeze that others must get over."""

    async def begin(self, ground: Ground) -> None:
        """Break it."""

    async def end(self, ground: Ground) -> None:
        """Stop breaking it; return when nothing stands in the way of recovery any more."""
