"""Drafts: a part of a policy document, laid over a whole one."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from services.scoring.domain.lives import BadPolicy
from services.scoring.domain.policy import Policy

DEEPEST = 20
"""Objects and lists inside each other; a rule as deep as it may be needs fewer."""
WHOLE = frozenset({"vip"})
"""Fields whose value is one thing, a rule: laid over another it takes its place."""
UNQUOTED: Mapping[str, str] = {"union_tag_invalid": "The tag is not an expected one"}
"""What is said of an error whose message would repeat what was sent."""


def drafted(base: Policy, part: Mapping[str, Any]) -> Policy:
    """The policy that a part makes of a base. Raises `BadPolicy` with a pointer for whatever is wrong."""
    if _depth(part) > DEEPEST:
        raise BadPolicy("The document nests deeper than any policy.", deepest=DEEPEST)
    try:
        return Policy.model_validate(laid_over(base.model_dump(mode="json"), part))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        errors = [
            {"pointer": _pointer(each["loc"]), "detail": UNQUOTED.get(each["type"], each["msg"])} for each in found
        ]
        raise BadPolicy("The document, laid over its base, is no policy.", errors=errors) from None


def laid_over(base: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON document with a part of one laid over it: objects member by member, anything else as a whole.

    A member that is null is taken out, so that its default holds (JSON Merge Patch, RFC 7396). An object that decides
    `by` something else than the one below takes its place.
    """
    merged = dict(base)
    for name, value in part.items():
        below = merged.get(name)
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping) and name not in WHOLE:
            goes_on = isinstance(below, Mapping) and value.get("by", below.get("by")) == below.get("by")
            merged[name] = laid_over(below if goes_on and isinstance(below, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def _depth(part: Any) -> int:
    """How deep a document is, as far as it matters."""
    depth, layer = 0, [part]
    while layer and depth <= DEEPEST:
        depth += 1
        inside = (each.values() if isinstance(each, Mapping) else each for each in layer)
        layer = [below for values in inside for below in values if isinstance(below, Mapping | list)]
    return depth


def _pointer(place: Sequence[int | str]) -> str:
    return "/".join(["#/document", *(str(step).replace("~", "~0").replace("/", "~1") for step in place)])
