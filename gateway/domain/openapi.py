"""One OpenAPI document from those of the services."""

import json
from collections.abc import Callable, Mapping
from typing import Any

Document = dict[str, Any]

SECURITY: Document = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer shuke_…`."}
}


def merged(own: Document, services: Mapping[str, Document]) -> Document:
    """The gateway's document with the public paths and the components of the services.

    A component keeps its name unless another one of that name differs; then it takes the service's name in front. What
    several services answer under one path is described together, and by the gateway where it has a say itself.
    """
    components: Document = {**own.get("components", {}).get("schemas", {})}
    examples = dict(own.get("components", {}).get("examples", {}))
    paths: Document = {}
    for service, document in services.items():
        examples |= document.get("components", {}).get("examples", {})
        schemas = document.get("components", {}).get("schemas", {})
        renamed = {
            name: f"{service.capitalize()}{name}"
            for name, schema in schemas.items()
            if name in components and components[name] != schema
        }
        document = _with_refs(document, renamed)
        schemas = document.get("components", {}).get("schemas", {})
        components |= {name: schema for name, schema in schemas.items() if name not in renamed}
        components |= {new: {**schemas[name], "title": new} for name, new in renamed.items()}
        for path, operations in document["paths"].items():
            if path.startswith("/v1/"):
                told = {method: _told_again(operation) for method, operation in operations.items()}
                paths[path] = _each(_together, paths.get(path, {}), told)
    for path, operations in own["paths"].items():
        paths[path] = _each(_ruled, paths.get(path, {}), operations)
    return {
        **own,
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "examples": dict(sorted(examples.items())),
            "securitySchemes": SECURITY,
        },
        "security": [{"apiKey": []}],
    }


def _each(joined: Callable[[Document, Document], Document], one: Document, other: Document) -> Document:
    both = {method: joined(one[method], other[method]) for method in one.keys() & other.keys()}
    return {**one, **other, **both}


def _told_again(operation: Document) -> Document:
    """What makes something answers 200 in the place of 201 where the same was told before: nothing was made."""
    responses = operation["responses"]
    if "201" not in responses or "200" in responses:
        return operation
    return {**operation, "responses": {**responses, "200": {**responses["201"], "description": "It was there before"}}}


def _together(one: Document, other: Document) -> Document:
    """An operation that two services have: its body and answers are those of the one or of the other."""
    result = {**one, "responses": _contents(_either, one["responses"], other["responses"])}
    if "requestBody" in one and "requestBody" in other:
        result |= _contents(_either, {"requestBody": one["requestBody"]}, {"requestBody": other["requestBody"]})
    return result


def _ruled(theirs: Document, own: Document) -> Document:
    """An operation of services that the gateway carries out: what it does not say itself they say."""
    said = {(each["in"], each["name"]) for each in own.get("parameters", ())}
    theirs_too = [each for each in theirs.get("parameters", ()) if (each["in"], each["name"]) not in said]
    parameters = [*own.get("parameters", ()), *theirs_too]
    result = {**theirs, **own, "responses": _contents(_first, own["responses"], theirs["responses"])}
    return result | ({"parameters": parameters} if parameters else {})


def _contents(choice: Callable[[Document, Document], Document], one: Document, other: Document) -> Document:
    result = {**other, **one}
    for name in one.keys() & other.keys():
        mine, yours = one[name].get("content", {}), other[name].get("content", {})
        both = {media: _medium(choice, mine[media], yours[media]) for media in mine.keys() & yours.keys()}
        if content := {**yours, **mine, **both}:
            result[name] = {**other[name], **one[name], "content": content}
    return result


def _medium(choice: Callable[[Document, Document], Document], mine: Document, yours: Document) -> Document:
    """One kind of content of both; each has its own problems, and all of them are told."""
    examples = {**yours.get("examples", {}), **mine.get("examples", {})}
    joined = {**yours, **mine, "schema": choice(mine.get("schema", {}), yours.get("schema", {}))}
    return joined | ({"examples": examples} if examples else {})


def _either(one: Document, other: Document) -> Document:
    choices = one["anyOf"] if one.keys() == {"anyOf"} else [one]
    return one if other in choices else {"anyOf": [*choices, other]}


def _first(one: Document, other: Document) -> Document:
    return one or other


def _with_refs(document: Document, renamed: Mapping[str, str]) -> Document:
    text = json.dumps(document)
    for name, new in renamed.items():
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{new}"')
    result: Document = json.loads(text)
    return result
