"""Lists of several services, newest first, joined into one with one cursor."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Row = Mapping[str, Any]
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Part:
    """The next rows of one service, and whether it has more behind them."""

    rows: Sequence[Row]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Joined(Generic[K]):
    """Rows of all, and the last one of each service that is not at its end; None is before its first."""

    rows: list[Row]
    positions: dict[str, K | None]


def joined(
    parts: Mapping[str, Part | None],
    positions: Mapping[str, K | None],
    *,
    limit: int,
    key: Callable[[Row], K],
) -> Joined[K]:
    """The next rows, at most `limit`, highest `key` first.

    A part is None where the service did not answer. Its position stays where it was, so that its rows come later, out
    of order, and none is lost.
    """
    moved = dict(positions)
    queues = {service: deque(part.rows) for service, part in parts.items() if part is not None}
    more = {service for service, part in parts.items() if part is not None and part.rows and part.has_more}
    rows: list[Row] = []
    # A service that has more and sent no more may have the next one.
    while len(rows) < limit and all(queues[service] for service in more):
        heads: dict[str, Any] = {service: key(queue[0]) for service, queue in queues.items() if queue}
        if not heads:
            break
        service = max(heads, key=heads.__getitem__)
        moved[service] = heads[service]
        rows.append(queues[service].popleft())
    for service, queue in queues.items():
        if not queue and service not in more:
            del moved[service]
    return Joined(rows, moved)
