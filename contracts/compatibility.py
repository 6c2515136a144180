"""Within a version of an event only optional fields with a default are added. Anything else is another event."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

Schema = Mapping[str, Any]

WORDS = {"description", "title", "$schema", "$defs"}
"""Members of a schema that no reader decides by, or that are followed where they are used."""

FOLLOWED = {"properties", "required", "items", "anyOf"}


def breaks(before: Schema, after: Schema) -> list[str]:
    """What of a later schema would surprise those who read or wrote by the earlier one, each with its place."""
    return list(_differences("#", before, after, before.get("$defs", {}), after.get("$defs", {})))


def _differences(place: str, before: Any, after: Any, names_before: Schema, names_after: Schema) -> Iterator[str]:
    if before is None or after is None:
        yield f"{place} is {'new' if before is None else 'gone'}"
        return
    before, after = _resolved(before, names_before), _resolved(after, names_after)
    for rule in sorted((before.keys() | after.keys()) - WORDS - FOLLOWED):
        if (was := before.get(rule)) != (is_ := after.get(rule)):
            yield f"{place}: {rule} was {was}, is {is_}"
    fields_before, fields_after = before.get("properties", {}), after.get("properties", {})
    required_before, required_after = set(before.get("required", ())), set(after.get("required", ()))
    for name in sorted(fields_before.keys() | fields_after.keys()):
        inner = f"{place}/{name}"
        if name in fields_before:
            if name in fields_after and (name in required_before) != (name in required_after):
                yield f"{inner}: was {'' if name in required_before else 'not '}required"
            yield from _differences(inner, fields_before[name], fields_after.get(name), names_before, names_after)
        elif name in required_after:
            yield f"{inner} is new and required"
        elif "default" not in _resolved(fields_after[name], names_after):
            yield f"{inner} is new and has no default"
    if "items" in before or "items" in after:
        yield from _differences(f"{place}/*", before.get("items"), after.get("items"), names_before, names_after)
    for one, other in zip_longest(before.get("anyOf", ()), after.get("anyOf", ())):
        yield from _differences(place, one, other, names_before, names_after)


def _resolved(schema: Schema, names: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    rest = {rule: value for rule, value in schema.items() if rule != "$ref"}
    return {**_resolved(names[schema["$ref"].rpartition("/")[2]], names), **rest}
