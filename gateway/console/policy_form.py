"""A policy as a form: a field for what is changed often, JSON for the rest."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from contracts.money import MINOR_DIGITS

Document = Mapping[str, Any]


class PolicyField(NamedTuple):
    """A place in the document that has a field of its own."""

    path: str
    """As in a JSON Pointer without its first slash."""
    unit: str
    """`days`, `share` (of one), `times`, `points`, `pieces`, `money` (kept in minor units) or `text`."""

    @property
    def name(self) -> str:
        """The name of the field in the form, and the end of the key of its messages."""
        return self.path.replace("/", "__")


def _fields(unit: str, *paths: str) -> list[PolicyField]:
    return [PolicyField(path, unit) for path in paths]


BY_PROBABILITY = _fields("days", "persons/customers/fresh_days") + _fields(
    "share", "persons/customers/dormant_below", "persons/customers/lost_below"
)
WITHOUT_MODEL = _fields(
    "days",
    "persons/customers/without_model/dormant_after_days",
    "persons/customers/without_model/lost_after_days",
)
BY_DAYS = _fields("days", "persons/customers/dormant_after_days", "persons/customers/lost_after_days")

GROUPS: Mapping[str, list[PolicyField]] = {
    "general": _fields("text", "name") + _fields("days", "horizon_days", "turnover_days", "refresh_days"),
    "customers": [*BY_PROBABILITY, *WITHOUT_MODEL, *BY_DAYS],
    "prospects": _fields("days", "persons/prospects/active_days", "persons/prospects/lost_after_days"),
    "tiers": _fields("money", "cuts/top", "cuts/high", "cuts/mid"),
    "service": _fields("days", "problem_limit_days", "answer_within_days"),
    "satisfaction": _fields("days", "satisfaction/half_life_days")
    + _fields("points", "satisfaction/low_below", "satisfaction/high_from")
    + _fields("pieces", "satisfaction/min_evidence"),
    "loyalty": _fields("days", "loyalty/half_life_days")
    + _fields("points", "loyalty/low_below", "loyalty/high_from")
    + _fields("pieces", "loyalty/min_evidence"),
    "posture": _fields("days", "posture/window_days")
    + _fields("times", "posture/developing_from", "posture/conservative_below"),
    "profit": _fields("share", "profit/margin"),
}
"""Fields by what they are about, in the order of the form."""

FIELDS = {field.path: field for group in GROUPS.values() for field in group}


def groups_of(document: Document) -> Mapping[str, list[PolicyField]]:
    """The fields that this document has: stages go by probability or by days alone."""
    return {
        name: [field for field in fields if value_at(document, field.path) is not None]
        for name, fields in GROUPS.items()
    }


MOST = 10**18
"""A number in a policy is smaller than this."""


def value_at(document: Any, path: str) -> Any:
    """What stands at a place; None where nothing does."""
    for part in path.split("/"):
        if not isinstance(document, Mapping) or part not in document:
            return None
        document = document[part]
    return document


def shown(field: PolicyField, value: Any, currency: str | None) -> str:
    """A value as it stands in its field."""
    if field.unit != "money" or not isinstance(value, int):
        return "" if value is None else str(value)
    return f"{Decimal(value).scaleb(-_digits(currency)):f}"


def rest_of(document: Document) -> str:
    """The document as JSON, without what has a field."""
    rest = json.loads(json.dumps(document))
    for path in FIELDS:
        *parents, last = path.split("/")
        holder = value_at(rest, "/".join(parents)) if parents else rest
        if isinstance(holder, dict):
            holder.pop(last, None)
    return json.dumps(_without_empty(rest), indent=2, ensure_ascii=False)


def written(form: Mapping[str, Any], currency: str | None) -> dict[str, Any]:
    """The document that a form says. Raises `ValueError` where the rest is no JSON object."""
    try:
        rest = msgspec.json.decode(str(form.get("rest", "")) or "{}")
    except RecursionError:
        raise ValueError("The rest is nested too deeply.") from None
    if not isinstance(rest, dict):
        raise ValueError("The rest is one JSON object.")
    document: dict[str, Any] = rest
    for field in FIELDS.values():
        if field.name in form:
            _put(document, field.path.split("/"), _read(field, str(form[field.name]).strip(), currency))
    by = form.get("by")
    if by:
        _put(document, ["persons", "customers", "by"], by)
        if form.get("was_by") not in (None, by):
            # Thresholds of the other way mean nothing here: those of this way begin with their defaults.
            _put(document, ["persons", "customers"], {"by": by})
    return document


def _put(document: dict[str, Any], parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        below = document.setdefault(part, {})
        if not isinstance(below, dict):
            return
        document = below
    document[parts[-1]] = value


def _read(field: PolicyField, text: str, currency: str | None) -> Any:
    """A number as JSON has it; what is none is sent as it is, and refused in its place."""
    if field.unit == "text":
        return text
    try:
        number = Decimal(text).scaleb(_digits(currency) if field.unit == "money" else 0)
        if abs(number) >= MOST:
            return text
        return int(number) if number == number.to_integral_value() else float(number)
    except ArithmeticError:
        return text


def _digits(currency: str | None) -> int:
    return MINOR_DIGITS.get(currency or "", 2)


def limits(schema: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """What the JSON Schema of a policy says of a place, as `default` and `minimum`; empty where it is not there."""
    found: Any = schema
    for part in path.split("/"):
        found = next((each["properties"][part] for each in _shapes(schema, found) if part in each["properties"]), {})
    return found if isinstance(found, Mapping) else {}


def _shapes(schema: Mapping[str, Any], node: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(node, Mapping):
        return
    if "properties" in node:
        yield node
    if "$ref" in node:
        yield from _shapes(schema, schema["$defs"][node["$ref"].rpartition("/")[2]])
    for way in ("anyOf", "oneOf"):
        for each in node.get(way, ()):
            yield from _shapes(schema, each)


def _without_empty(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    cleaned = {name: _without_empty(each) for name, each in value.items()}
    return {name: each for name, each in cleaned.items() if each != {} or value[name] == {}}
