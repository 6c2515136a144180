"""Drafts: a part of a policy document, laid over a whole one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from contracts.problems import bounds
from services.scoring.domain.lives import BadPolicy
from services.scoring.domain.policy import Policy

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEEPEST = 20
"""Objects and lists inside each other; a rule as deep as it may be needs fewer."""
MOST = 5_000
"""Members and elements in all; the longest table of treatments beside the longest rule needs fewer."""
TOLD = 100
"""So many errors are told."""
WHOLE = frozenset({"vip"})
"""Fields whose value is one thing, a rule: laid over another it takes its place."""
UNQUOTED: Mapping[str, str] = {"union_tag_invalid": "The tag is not an expected one"}
"""What is said of an error whose message would repeat what was sent."""


def drafted(base: Policy, part: Mapping[str, Any]) -> Policy:
    """The policy that a part makes of a base. Raises `BadPolicy` with a pointer for whatever is wrong."""
    _measure(part)
    # Also what the document leaves out, being the default: a part of it is laid over it all the same.
    parts = {name: value.model_dump(mode="json") for name, value in base if isinstance(value, BaseModel)}
    whole = laid_over(parts | base.model_dump(mode="json"), part)
    try:
        return Policy.model_validate(whole)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        errors = [_told(each, whole) for each in found[:TOLD]]
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


def _measure(part: Any) -> None:
    """Refuse what no policy can be before it is looked at more closely. Raises `BadPolicy`."""
    depth, count, layer = 0, 0, [part]
    while layer:
        depth += 1
        inside = [below for each in layer for below in (each.values() if isinstance(each, Mapping) else each)]
        count += len(inside)
        if depth > DEEPEST:
            raise BadPolicy("The document nests deeper than any policy.", deepest=DEEPEST)
        if count > MOST:
            raise BadPolicy("The document says more than any policy.", most=MOST)
        layer = [below for below in inside if isinstance(below, Mapping | list)]


def _told(error: "ErrorDetails", document: Any) -> dict[str, Any]:
    """What is said of a place that is wrong; never what was sent there."""
    detail = UNQUOTED.get(error["type"], error["msg"])
    told = {"pointer": _pointer(error, document), "code": error["type"], "detail": detail}
    return told | bounds(error.get("ctx", {}))


def _pointer(error: "ErrorDetails", document: Any) -> str:
    """Where in the document; without the names of shapes that were tried, which no document has."""
    steps, here = [], document
    for number, step in enumerate(error["loc"], 1):
        if isinstance(here, Mapping) and step in here:
            here = here[str(step)]
        elif isinstance(here, list) and isinstance(step, int):
            here = here[step] if step < len(here) else None
        elif not (error["type"] == "missing" and number == len(error["loc"])):
            continue
        steps.append(str(step).replace("~", "~0").replace("/", "~1"))
    return "/".join(["#/document", *steps])
