"""What goes away: operations that nobody should build upon any more, since when, until when, and what is instead."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from chassis.paths import PathIndex

PAGE = "https://docs.example.org/integrate#what-goes-away"


@dataclass(frozen=True, slots=True)
class Retiring:
    """How an operation goes."""

    since: datetime
    """From when on it is deprecated; it may lie ahead."""
    until: datetime | None = None
    """When it stops answering; None while that is not decided."""
    instead: str | None = None
    """The path that takes its place."""

    def __post_init__(self) -> None:
        if self.until is not None and self.until < self.since:
            # RFC 9745 §4.
            raise ValueError("What is retired was deprecated before.")

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What each answer says: Deprecation (RFC 9745 §2), Sunset (RFC 8594 §3), and links to read on."""
        links = [f'<{PAGE}>; rel="deprecation"; type="text/html"']
        if self.instead is not None:
            links.append(f'<{self.instead}>; rel="successor-version"')
        told = [(b"deprecation", b"@%d" % self.since.timestamp())]
        if self.until is not None:
            told.append((b"sunset", format_datetime(self.until.astimezone(UTC), usegmt=True).encode()))
        return (*told, *((b"link", link.encode()) for link in links))


RETIRING: dict[tuple[str, str], Retiring] = {}
"""Operations that go away, by method and path as in `rights.OPERATIONS`. This is the only place that says so."""


class Retirements:
    """Finds what an answer has to say of its operation."""

    def __init__(self, retiring: Mapping[tuple[str, str], Retiring] = RETIRING) -> None:
        self._retiring = dict(retiring)
        methods = {method for method, _ in self._retiring}
        self._known = {
            asked: PathIndex((path, row.headers()) for (method, path), row in self._retiring.items() if method == asked)
            for asked in methods
        }

    def headers(self, method: str, path: str) -> tuple[tuple[bytes, bytes], ...]:
        """The headers of an operation that goes away; none of any other."""
        if not self._known:
            return ()
        index = self._known.get("GET" if method == "HEAD" else method)
        found = index.fitting(path) if index is not None else []
        return found[0] if found else ()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._retiring)
