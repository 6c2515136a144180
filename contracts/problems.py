"""Problems: what is wrong, said once, where it is known (RFC 9457)."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

BOUNDS = frozenset(
    {
        "ge",
        "gt",
        "le",
        "lt",
        "multiple_of",
        "min_length",
        "max_length",
        "max_digits",
        "decimal_places",
        "expected",
        "expected_tags",
        "expected_schemes",
        "example",
    }
)
"""What a place of a body may be, as pydantic names it; the rest of what it tells may hold what was sent."""


def bounds(context: Mapping[str, Any]) -> dict[str, Any]:
    """Of all that is known of a place that does not match its schema, what would match."""
    return {name: value for name, value in context.items() if name in BOUNDS}


class Problem(Exception):
    """Something is wrong that the caller can read about. A subclass is named for what is wrong."""

    status: ClassVar[int] = 400

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions
        """Members that tell the caller the way out, such as the allowed values."""

    @classmethod
    def code(cls) -> str:
        """The machine name: `IllegalMove` is `illegal_move`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def title(cls) -> str:
        """The human name: `IllegalMove` is `Illegal move`."""
        return cls.code().replace("_", " ").capitalize()


class NotFound(Problem):
    """There is no such thing, or the caller may not know of it."""

    status = 404


class Conflict(Problem):
    """The request and what is stored contradict each other."""

    status = 409


class Invalid(Problem):
    """The request has the right form and cannot be carried out as it is."""

    status = 422


class Unavailable(Problem):
    """It cannot be done at this moment; the same request may go through later."""

    status = 503
