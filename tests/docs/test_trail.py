"""Whatever the document lets a reading show of somebody is traced: a new operation cannot be forgotten."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from chassis.contact import is_said_to_reach
from gateway.domain.audit import NO_READS, READ_OPERATIONS, READS, Kind, kind_of
from gateway.domain.rights import area_of, changes

DOCUMENT: dict[str, Any] = json.loads(Path("contracts/openapi/shuke.json").read_text())
SERVICES = ("community", "customers", "leads", "scoring")
FREE_TEXT = {name for service in SERVICES for name in import_module(f"services.{service}.app").FREE_TEXT}
RULE = "rules and figures, which are about no party"
COLLEAGUE = "people who work with the product, and themselves"
NOBODY_SHOWN = {
    **dict.fromkeys(("activations", "fits", "models", "policies"), RULE),
    **dict.fromkeys(("lag", "topics", "status", "drain"), "where events are, by number"),
    **dict.fromkeys(("me", "sessions", "users", "invitations"), COLLEAGUE),
    "stream": "events, of which tests of contracts hold that they name nobody",
}
"""Areas whose readings have such members and yet show no party's contact data, each with the reason."""
NOBODY_SHOWN_BY = {("GET", "/v1/imports/kinds"): "kinds of files and their fields"}
"""Readings of other areas likewise."""


def readings(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What changes nothing, whatever its method: method, path, operation."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            area = area_of(path)
            assert area is not None, path
            if method == "get" or not changes(method.upper(), path, area):
                yield method.upper(), path, operation


def members(document: dict[str, Any], schema: Any, seen: set[str]) -> Iterator[str]:
    """Names of the members of a value, however deep; `identifier` and `anything` for what has no such name."""
    if isinstance(schema, list):
        for each in schema:
            yield from members(document, each, seen)
    elif "$ref" in (schema or {}):
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            seen.add(name)
            yield from members(document, document["components"]["schemas"][name], seen)
    elif not schema:
        yield "anything"
    else:
        known = schema.get("properties", {})
        if known.keys() >= {"scheme", "value"}:
            yield "identifier"
        if schema.get("type") == "object" and not known and schema.get("additionalProperties", True) in (True, {}):
            yield "anything"
        for name, each in known.items():
            yield name
            yield from members(document, each, seen)
        for part in ("items", "anyOf", "oneOf", "allOf", "prefixItems", "additionalProperties"):
            if isinstance(schema.get(part), (dict, list)):
                yield from members(document, schema[part], seen)


def shown(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    """What a good answer may have of somebody."""
    found: set[str] = set()
    for status, answer in operation["responses"].items():
        if status == "200":
            content = answer.get("content", {})
            for media in content.values():
                found |= set(members(document, media.get("schema"), set()))
            if not content:
                found.add("anything")
    return {
        name for name in found if name in FREE_TEXT | {"identifier", "anything", "payload"} or is_said_to_reach(name)
    }


def untraced(document: dict[str, Any]) -> list[str]:
    """Readings that may show somebody, and leave no row."""
    return [
        f"{method} {path}: {', '.join(sorted(may_show))}"
        for method, path, operation in readings(document)
        if (may_show := shown(document, operation))
        and kind_of(method, path) is None
        and path.split("/")[2] not in NOBODY_SHOWN
        and (method, path) not in NOBODY_SHOWN_BY
    ]


def test_every_reading_that_may_show_contact_data_or_free_text_is_traced() -> None:
    assert untraced(DOCUMENT) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"note": {"type": "string"}}},
        {"type": "array", "items": {"anyOf": [{"type": "null"}, {"type": "object", "additionalProperties": True}]}},
        {"type": "object", "properties": {"data": {"type": "array", "items": {"$ref": "#/components/schemas/Who"}}}},
        {"type": "object", "additionalProperties": {"properties": {"telephone": {"type": "string"}}}},
    ],
)
def test_a_new_reading_with_such_members_is_found_however_deep_they_are(schema: dict[str, Any]) -> None:
    who = {"properties": {"scheme": {"type": "string"}, "value": {"type": "string"}}}
    answers = {"200": {"content": {"application/json": {"schema": schema}}}}
    document = {
        "paths": {"/v1/referrals/new": {"get": {"responses": answers}}},
        "components": {"schemas": {"Who": who}},
    }
    assert [each.partition(":")[0] for each in untraced(document)] == ["GET /v1/referrals/new"]


def test_what_is_traced_or_said_to_show_nobody_is_there() -> None:
    known = {(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert (READ_OPERATIONS | NO_READS | NOBODY_SHOWN_BY.keys()) - known == set()
    areas = {path.split("/")[2] for _, path in known}
    assert (READS | NOBODY_SHOWN.keys()) - areas == set()
    needed = {path.split("/")[2] for _, path, operation in readings(DOCUMENT) if shown(DOCUMENT, operation)}
    assert NOBODY_SHOWN.keys() - needed == set()


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/posts/post_1", "/v1/posts", "/v1/overrides/override_1", "/v1/standings/party_1/overrides"),
        *("/v1/dead-letters", "/v1/dead-letters/1"),
        *("/v1/imports", "/v1/imports/import_1", "/v1/imports/import_1/rejects"),
    ],
)
def test_texts_and_rows_that_somebody_else_wrote_are_traced_when_read(path: str) -> None:
    assert kind_of("GET", path) is Kind.READ
    assert kind_of("HEAD", path) is Kind.READ


def test_kinds_of_imports_are_about_nobody() -> None:
    assert kind_of("GET", "/v1/imports/kinds") is None
