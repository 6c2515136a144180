"""Examples of what a schema describes: values that a reader understands, and that fit."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

KNOWN: Mapping[str, Any] = {
    "amount_minor": 4_990,
    "at": "2026-03-02T09:30:00Z",
    "channel": "web",
    "city": "Lyon",
    "code": "not_found",
    "country": "FR",
    "currency": "EUR",
    "cursor": "WyIyMDI2LTAzLTAyIl0",
    "customer": "1042",
    "detail": "There is no such thing.",
    "display_name": "Ann Chen",
    "email": "ann@example.org",
    "file_name": "orders.csv",
    "given_name": "Ann",
    "family_name": "Chen",
    "identifier": {"scheme": "external", "system": "shop", "value": "1042"},
    "language": "en",
    "name": "Ann Chen",
    "next_cursor": None,
    "note": "Asked for the new catalogue.",
    "order_id": "A-1001",
    "phone": "+33142685300",
    "product": "turntable",
    "reason": "assigned",
    "source": "shop",
    "source_id": "A-1001",
    "system": "shop",
    "time_zone": "Europe/Paris",
    "title": "Spring catalogue",
    "why": "Agreed on the phone.",
}
"""Values for properties by their names, taken where they fit."""

DEEPEST = 6
"""Levels after which only what is required is shown."""

_FORMATS = {
    "date-time": "2026-03-02T09:30:00Z",
    "date": "2026-03-02",
    "uuid": "01957a3e-6c00-7000-8000-000000000001",
    "uri": "https://example.org/hook",
    "email": "ann@example.org",
    "binary": "",
    "duration": "P30D",
}


def example(schema: Schema, components: Mapping[str, Schema], name: str = "", depth: int = 0) -> Any:
    """A value that fits a schema (OpenAPI 3.1); `name` is the property that it is the value of."""
    schema = resolved(schema, components)
    for told in ("example", "const", "default"):
        if told in schema and schema[told] is not None:
            return schema[told]
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if isinstance(known := KNOWN.get(name), dict) and known.keys() <= schema.get("properties", {}).keys():
        return known
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _of_choices(schema[choice], components, name, depth)
    if "allOf" in schema:
        parts = [example(part, components, name, depth) for part in schema["allOf"]]
        return {key: value for part in parts for key, value in part.items()} if len(parts) > 1 else parts[0]
    kinds = schema.get("type", "object" if "properties" in schema else None)
    kind = next((each for each in kinds if each != "null"), "null") if isinstance(kinds, list) else kinds
    return _of_kind(kind, schema, components, name, depth)


def resolved(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    """The schema itself where it is a reference to one."""
    while "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    return schema


def _of_choices(choices: Sequence[Schema], components: Mapping[str, Schema], name: str, depth: int) -> Any:
    told = [each for each in choices if each.get("type") != "null"]
    if name in KNOWN and KNOWN[name] is None and len(told) < len(choices):
        return None
    if depth >= DEEPEST:
        # What refers to least ends soonest, also where a schema refers to itself.
        told.sort(key=lambda each: json.dumps(resolved(each, components)).count('"$ref"'))
    return example(told[0], components, name, depth) if told else None


def _of_kind(kind: str | None, schema: Schema, components: Mapping[str, Schema], name: str, depth: int) -> Any:
    match kind:
        case "object":
            return _of_object(schema, components, depth)
        case "array":
            least = schema.get("minItems", 0)
            wanted = max(least, 0 if depth >= DEEPEST else 1)
            if "prefixItems" in schema:
                return [example(each, components, name, depth + 1) for each in schema["prefixItems"]]
            return [example(schema.get("items", {}), components, name, depth + 1) for _ in range(wanted)]
        case "string":
            return _of_string(schema, name)
        case "integer" | "number":
            return _of_number(schema, name, whole=kind == "integer")
        case "boolean":
            return True
        case _:
            return None


def _of_object(schema: Schema, components: Mapping[str, Schema], depth: int) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    shown = {
        name: each
        for name, each in schema.get("properties", {}).items()
        if name in required or (depth < DEEPEST and "default" not in each)
    }
    if {"party_id", "identifier"} <= shown.keys() and not required & {"party_id", "identifier"}:
        # Whom it is about is said in one way or the other.
        del shown["party_id"]
    made = {name: example(each, components, name, depth + 1) for name, each in shown.items()}
    more = schema.get("additionalProperties")
    if not made and isinstance(more, dict) and more:
        key = example(schema.get("propertyNames", {"const": "key"}), components)
        made = {key: example(more, components, str(key), depth + 1)}
    return made


def _of_string(schema: Schema, name: str) -> Any:
    known = KNOWN.get(name)
    if isinstance(known, str) and _is(known, schema):
        return known
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    alternatives = re.fullmatch(r"\^\((\w+)(?:\|\w+)*\)\$", schema.get("pattern", ""))
    for tried in (
        known,
        alternatives and alternatives[1],
        "text",
        "a" * 64,
        "0" * 32,
        "1",
        "en",
        "EUR",
        "2026-W10",
        "source",
    ):
        if isinstance(tried, str) and _is(tried, schema):
            return tried
    return "x" * schema.get("minLength", 1)


def _is(text: str, schema: Schema) -> bool:
    fits = schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 1_000)
    return fits and re.search(schema.get("pattern", ""), text) is not None


def _of_number(schema: Schema, name: str, *, whole: bool) -> float:
    known = KNOWN.get(name, 1 if whole else 0.5)
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + (1 if "exclusiveMinimum" in schema else 0))
    most = schema.get("maximum", schema.get("exclusiveMaximum", 2**53))
    value = min(max(known if isinstance(known, (int, float)) else 1, least), most)
    return int(value) if whole else float(value)
