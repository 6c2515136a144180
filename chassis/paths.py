"""Paths and their patterns as OpenAPI has them: `/v1/notes/{note_id}`, where a step in braces stands for any."""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def fits(pattern: str, path: str) -> bool:
    """Whether a path is one of those that a pattern stands for."""
    steps, parts = pattern.split("/"), path.split("/")
    return len(steps) == len(parts) and all(
        step == part or step.startswith("{") for step, part in zip(steps, parts, strict=True)
    )


class PathIndex(Generic[T]):
    """What belongs to patterns, found by a path without a look at each of them."""

    def __init__(self, patterns: Iterable[tuple[str, T]]) -> None:
        tables: dict[tuple[int, ...], dict[Any, list[T]]] = {}
        for pattern, belongs in patterns:
            steps = pattern.split("/")
            # The step before the first slash is empty, and so never in braces.
            named = tuple(place for place, step in enumerate(steps) if not step.startswith("{"))
            of_place = tables.setdefault((len(steps), *named), {})
            of_place.setdefault(itemgetter(*named)(steps), []).append(belongs)
        self._tables: dict[int, list[tuple[Callable[[list[str]], Any], dict[Any, list[T]]]]] = {}
        for (steps_of_path, *places), known in sorted(tables.items(), key=lambda table: -len(table[0])):
            self._tables.setdefault(steps_of_path, []).append((itemgetter(*places), known))

    def fitting(self, path: str) -> list[T]:
        """What belongs to the patterns that a path fits: named steps before those in braces (OpenAPI 3.1 §4.8.8.2)."""
        parts = path.split("/")
        found: list[T] = []
        for named, known in self._tables.get(len(parts), ()):
            if here := known.get(named(parts)):
                found += here
        return found


def methods(document: Mapping[str, Any], path: str) -> list[str]:
    """The methods of a path by a document, named before templated (OpenAPI 3.1 §4.8.8.2); none without it."""
    found = [
        (pattern.count("{"), operations) for pattern, operations in document["paths"].items() if fits(pattern, path)
    ]
    return sorted(answered(min(found, key=lambda each: each[0])[1])) if found else []


def answered(operations: Iterable[str]) -> frozenset[str]:
    """The methods that the operations of a path in a document answer: where there is GET there is HEAD."""
    named = frozenset(method.upper() for method in operations)
    return named | {"HEAD"} if "GET" in named else named
