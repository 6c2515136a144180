"""Paths and their patterns as OpenAPI has them: `/v1/notes/{note_id}`, where a step in braces stands for any."""

from collections.abc import Mapping
from typing import Any


def fits(pattern: str, path: str) -> bool:
    """Whether a path is one of those that a pattern stands for."""
    steps, parts = pattern.split("/"), path.split("/")
    return len(steps) == len(parts) and all(
        step == part or step.startswith("{") for step, part in zip(steps, parts, strict=True)
    )


def methods(document: Mapping[str, Any], path: str) -> list[str]:
    """The methods that a document has for a path, named before templated (OpenAPI 3.1 §4.8.8.2); none without it."""
    found = [
        (pattern.count("{"), operations) for pattern, operations in document["paths"].items() if fits(pattern, path)
    ]
    return sorted(method.upper() for method in min(found, key=lambda each: each[0])[1]) if found else []
