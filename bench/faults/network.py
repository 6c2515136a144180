"""Connections that are reset, delayed, half-open, and that lead into a hole."""

from dataclasses import dataclass

from bench.faults.ground import GATEWAY, Ground


@dataclass(eq=False)
class Cut:
    """What all of them share: which connections are meant."""

    what: str
    clients: frozenset[str]
    """Names of processes; empty: all that are known."""
    targets: frozenset[str]
    lasts_s: float
    from_beginning: bool = False

    def meant(self, client: str, target: str) -> bool:
        """Whether a connection is one of them. Of those of the driver itself only what its clients open is."""
        if client == "?" and target != GATEWAY:
            return False
        return target in self.targets and (not self.clients or client in self.clients)


class Reset(Cut):
    """They are reset, and new ones too."""

    @property
    def kind(self) -> str:
        """As it is told."""
        return f"reset {self.what}"

    async def begin(self, ground: Ground) -> None:
        """Reset them."""
        ground.wires.reset(self.meant)

    async def end(self, ground: Ground) -> None:
        """Let new ones live."""
        ground.wires.heal(self.meant)


class Delayed(Cut):
    """What is sent arrives later."""

    @property
    def kind(self) -> str:
        """As it is told."""
        return f"delayed {self.what}"

    async def begin(self, ground: Ground) -> None:
        """Hold back what passes."""
        ground.wires.delay(self.meant, DELAY_S)

    async def end(self, ground: Ground) -> None:
        """Let it pass."""
        ground.wires.heal(self.meant)


class Holed(Cut):
    """Nothing arrives, and nobody is told."""

    @property
    def kind(self) -> str:
        """As it is told."""
        return f"black hole {self.what}"

    async def begin(self, ground: Ground) -> None:
        """Hold everything back."""
        ground.wires.hole(self.meant)

    async def end(self, ground: Ground) -> None:
        """Let it pass."""
        ground.wires.heal(self.meant)


class HalfOpen(Cut):
    """The other side is gone for good, and who opened it is not told; new ones are as they should be."""

    @property
    def kind(self) -> str:
        """As it is told."""
        return f"half-open {self.what}"

    async def begin(self, ground: Ground) -> None:
        """Take the other side away."""
        ground.wires.lose_targets(self.meant)

    async def end(self, ground: Ground) -> None:
        """Nothing is left to be done."""


DELAY_S = 0.3
