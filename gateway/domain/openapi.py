"""One OpenAPI document from those of the services."""

import json
from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]

SECURITY: Document = {
    "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer shuke_…`."}
}


def merged(own: Document, services: Mapping[str, Document]) -> Document:
    """The gateway's document with the public paths and the components of the services.

    A component keeps its name unless another one of that name differs; then it takes the service's name in front.
    """
    components: Document = {**own.get("components", {}).get("schemas", {})}
    paths: Document = dict(own["paths"])
    for service, document in services.items():
        schemas = document.get("components", {}).get("schemas", {})
        renamed = {
            name: f"{service.capitalize()}{name}"
            for name, schema in schemas.items()
            if name in components and components[name] != schema
        }
        document = _with_refs(document, renamed)
        schemas = document.get("components", {}).get("schemas", {})
        components |= {renamed.get(name, name): schema for name, schema in schemas.items()}
        for path, operations in document["paths"].items():
            if path.startswith("/v1/"):
                paths[path] = {**operations, **paths.get(path, {})}
    return {
        **own,
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(components.items())), "securitySchemes": SECURITY},
        "security": [{"apiKey": []}],
    }


def _with_refs(document: Document, renamed: Mapping[str, str]) -> Document:
    text = json.dumps(document)
    for name, new in renamed.items():
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{new}"')
    result: Document = json.loads(text)
    return result
