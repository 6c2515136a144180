"""The OpenAPI document of an app: names for clients, the problems of each operation, examples that fit."""

import json
import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from chassis import idempotency
from chassis.examples import example, resolved
from chassis.http import TransactionalRoute
from chassis.joining import JoinedRoute
from chassis.problems import BODY, FORM, PROBLEM_SCHEMA, PROBLEMS_URL
from chassis.raised import problems
from contracts.problems import Problem

Document = dict[str, Any]

PROBLEM = "Problem"
METHODS = frozenset({"get", "put", "post", "delete", "patch"})
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "description": "The same request again under the same key within 24 hours gets the first answer.",
}
_REF = "#/components/schemas/"

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def read_openapi(request: Request) -> Document:
    """The document of this service."""
    return committed(request.app)


def committed(app: FastAPI) -> Document:
    """The document of an app as it is committed under `contracts/openapi`; one that is not there is made.

    To find all that an operation may end in takes seconds, so what is made here goes without.
    """
    if not hasattr(app.state, "document"):
        file = files("contracts") / "openapi" / f"{app.state.name}.json"
        app.state.document = json.loads(file.read_text("utf-8")) if file.is_file() else document(app, analysed=False)
    told: Document = app.state.document
    return told


def document(app: FastAPI, *, analysed: bool = True) -> Document:
    """The document of an app as it is told to whoever builds a client; the problems of its routes take seconds."""
    told = named(deepcopy(app.openapi()))
    components = told.setdefault("components", {}).setdefault("schemas", {})
    components[PROBLEM] = PROBLEM_SCHEMA
    found = [each.original_route for each in iter_route_contexts(app.routes)]
    # Operations are named after their functions (`chassis.app`); pages may have functions of the same names.
    routes = {route.name: route for route in found if isinstance(route, APIRoute) and route.include_in_schema}
    for operation in operations(told):
        route = routes.get(operation["operationId"])
        if route is not None and keeps_responses(route):
            operation["parameters"] = [*operation.get("parameters", ()), IDEMPOTENCY_KEY]
        operation["responses"]["default"] = _refusal("What else may be wrong (RFC 9457)")
        refuse(told, operation, raised_by(route) if analysed and route is not None else ())
        refuse(told, operation, BODY if "requestBody" in operation else FORM if operation.get("parameters") else ())
        _show(operation, components)
    return told


def operations(document: Document) -> Iterator[Document]:
    """The operations of a document."""
    for path in document["paths"].values():
        yield from (operation for method, operation in path.items() if method in METHODS)


def named(document: Document) -> Document:
    """The document with names of schemas that are good names of classes, each the title of its schema.

    A list of things is `ThingPage`; of several schemas with one name each has its module's in front.
    """
    schemas = document.get("components", {}).get("schemas", {})
    names = {name: _name(name) for name in schemas}
    text = json.dumps(_plain({key: value for key, value in document.items() if key != "info"}))
    for name, new in names.items():
        text = text.replace(f'"{_REF}{name}"', f'"{_REF}{new}"')
    result: Document = {"info": document["info"], **json.loads(text)}
    if schemas:
        found = result["components"]["schemas"]
        result["components"]["schemas"] = {
            new: {"title": new, **found[name]} for name, new in sorted(names.items(), key=lambda each: each[1])
        }
    return result


def raised_by(route: APIRoute) -> frozenset[type[Problem]]:
    """The problems that a route may end in, its dependencies counted."""
    calls = [*_calls(route.dependant), *([idempotency.once] if keeps_responses(route) else [])]
    return frozenset(problem for call in calls for problem in problems(call))


def keeps_responses(route: APIRoute) -> bool:
    """Whether the route gives the first answer again to a request that comes again under its Idempotency-Key."""
    keeps = isinstance(route, JoinedRoute) or (isinstance(route, TransactionalRoute) and route.keeps_responses)
    return keeps and "POST" in (route.methods or ())


def refuse(document: Document, operation: Document, raised: Iterable[type[Problem]]) -> None:
    """Add to an operation of a document that it may end in problems, beside those told already.

    Each has an example, which stands once, under `components`.
    """
    shown = document.setdefault("components", {}).setdefault("examples", {})
    for problem in sorted(raised, key=lambda each: (each.status, each.code())):
        code = problem.code()
        shown[code] = {"summary": _summary(problem), "value": _problem(problem)}
        told = operation["responses"].setdefault(str(problem.status), _refusal(""))
        content = told["content"].setdefault("application/problem+json", {"schema": {"$ref": f"{_REF}{PROBLEM}"}})
        examples = content.setdefault("examples", {})
        examples[code] = {"$ref": f"#/components/examples/{code}"}
        told["description"] = ", ".join(sorted(examples))


def _name(name: str) -> str:
    *modules, last = name.split("__")
    if len(modules) > 1:
        last = "".join(part.capitalize() for part in modules[-1].split("_")) + last
    if listed := re.fullmatch(r"Page_(\w+)_", last):
        last = f"{listed[1]}Page"
    return re.sub(r"\W|_(?=\W|$)", "", last)


def _plain(value: Any) -> Any:
    """Without what generators of clients stumble over.

    Titles that the framework makes of names of fields tell nothing that the names do not. A default that is an object
    is an example of what stands there if nothing is said. What stands in a path is never null.
    """
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    # A property may have one of these names: then it is a schema and no value of this one.
    told = {key: _plain(each) for key, each in value.items() if key != "title" or not isinstance(each, str)}
    if isinstance(told.get("default"), dict) and told.keys() & {"anyOf", "oneOf", "$ref", "type"}:
        told["examples"] = [told.pop("default")]
    if told.get("in") == "path" and "anyOf" in told.get("schema", {}):
        [told["schema"]] = [each for each in told["schema"]["anyOf"] if each.get("type") != "null"]
    return told


def _calls(dependant: Dependant) -> Iterator[Any]:
    if dependant.call is not None:
        yield dependant.call
    for each in dependant.dependencies:
        yield from _calls(each)


def _refusal(description: str) -> Document:
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": f"{_REF}{PROBLEM}"}}},
    }


def _summary(problem: type[Problem]) -> str:
    return (problem.__doc__ or problem.title()).partition("\n")[0]


def _problem(problem: type[Problem]) -> Document:
    code = problem.code()
    return {
        "type": PROBLEMS_URL + code.replace("_", "-"),
        "code": code,
        "title": problem.title(),
        "status": problem.status,
        "request_id": "0195a7c0c0de7000800000000000cafe",
    }


def _show(operation: Document, components: Document) -> None:
    """Put an example beside each body that is JSON."""
    bodies = [operation.get("requestBody", {}).get("content", {})]
    bodies += [said.get("content", {}) for status, said in operation["responses"].items() if status.startswith("2")]
    for content in bodies:
        body = content.get("application/json")
        if body and "example" not in body and "examples" not in body and resolved(body.get("schema", {}), components):
            body["example"] = example(body["schema"], components)
