"""Whether it is the data that cannot be handled, or our own fault."""

import time
from collections import deque

FAILING_SHARE = 0.5
"""Above this share of failed events within `WINDOW_S`, the fault is ours and the partition stops."""
FAILING_LEAST = 20
WINDOW_S = 60.0


class Outcomes:
    """What became of the events of one partition within the last minute."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, int, int]] = deque()
        self._failing = False

    def handled(self, count: int) -> None:
        """Note events that took effect."""
        if count:
            self._note(count, 0)
            self._failing = False

    def failed(self) -> str | None:
        """Note one that failed; the reason to stop, which holds until another event takes effect."""
        self._note(0, 1)
        failed = sum(entry[2] for entry in self._past)
        noted = failed + sum(entry[1] for entry in self._past)
        self._failing |= failed >= FAILING_LEAST and failed > FAILING_SHARE * noted
        return f"{failed} of the {noted} events of the last minute failed" if self._failing else None

    def _note(self, handled: int, failed: int) -> None:
        present = time.monotonic()
        self._past.append((present, handled, failed))
        while self._past[0][0] < present - WINDOW_S:
            self._past.popleft()
