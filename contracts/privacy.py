"""No personal data on the bus: nothing in an event may hold free text, for a log cannot forget."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

FORMATS = {"uuid", "date", "date-time"}
"""Formats in which nobody can be named. `email` is a format too."""

PERSONAL = ("ada@example.org", "Ada Lovelace", "+442079460123", "12 St James's Square, London", "林美麗")
"""Text that no pattern may let through."""

SCALARS = {"integer", "number", "boolean", "null"}


def open_places(schema: Schema) -> list[str]:
    """Where free text could stand in what a schema describes, nested definitions included."""
    return list(_open("#", schema, schema.get("$defs", {})))


def _open(place: str, schema: Any, names: Schema) -> Iterator[str]:
    match schema:
        case {"$ref": str(ref)}:
            yield from _open(place, names[ref.rpartition("/")[2]], names)
        case {"enum": _} | {"const": _}:
            pass
        case {"anyOf": list(choices)}:
            for choice in choices:
                yield from _open(place, choice, names)
        case {"type": "string"}:
            if schema.get("format") not in FORMATS and not _closed(schema.get("pattern")):
                yield place
        case {"type": "array", "items": items}:
            yield from _open(f"{place}/*", items, names)
        case {"type": "object", "properties": fields} if not schema.get("additionalProperties"):
            for name, field in fields.items():
                yield from _open(f"{place}/{name}", field, names)
        case {"type": str(kind)} if kind in SCALARS:
            pass
        case _:
            # A mapping with keys of any kind, `Any`, or a form that this walk does not know.
            yield place


def _closed(pattern: str | None) -> bool:
    return pattern is not None and not any(re.search(pattern, text) for text in PERSONAL)
