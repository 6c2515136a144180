"""Problems on the wire: application/problem+json for whatever goes wrong (RFC 9457)."""

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from chassis.db import database_is_away
from chassis.paths import methods
from chassis.telemetry import request_id
from contracts.problems import Problem, Unavailable, bounds

PROBLEMS_URL = "https://docs.example.org/problems#"
RETRY_AFTER_S = 1
"""What a caller is told to wait where the problem says nothing else."""

TITLES = {408: "Request timeout", 413: "Content too large"}
"""Where the names in Python's own list differ from one version to the next."""

GIVEN_UP = "There was an error parsing the body"
UNPARSED = "The body cannot be read: it nests too deep, has a number that is too long, or is no UTF-8."
"""What the framework says of a body that it gives up on, and what is meant by that."""

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "code", "title", "status", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "code": {"type": "string", "description": "The machine name of what is wrong."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "Where in the body (JSON Pointer); `#/query/limit` is a parameter.",
                    },
                    "code": {
                        "type": "string",
                        "description": "The machine name of the rule; its bounds stand beside it, such as `ge`.",
                    },
                    "detail": {"type": "string"},
                },
                "additionalProperties": True,
            },
        },
    },
    "additionalProperties": True,
}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What is wrong (RFC 9457)",
        "content": {"application/problem+json": {"schema": PROBLEM_SCHEMA}},
    }
}
"""For `responses=` of a router: every operation may end in a problem."""


class BadRequest(Problem):
    """The body cannot be read as what it is said to be."""


class RequestTimeout(Problem):
    """The rest of the request did not come in time."""

    status = 408


class ContentTooLarge(Problem):
    """The body has more bytes than this operation takes."""

    status = 413


class UnsupportedMediaType(Problem):
    """The body is no JSON, or nobody says that it is."""

    status = 415


class InvalidRequest(Problem):
    """Body or parameters do not match the schema."""

    status = 422


FORM: tuple[type[Problem], ...] = (InvalidRequest,)
"""How a request with parameters may end before its operation begins."""
BODY: tuple[type[Problem], ...] = (BadRequest, RequestTimeout, ContentTooLarge, UnsupportedMediaType, InvalidRequest)
"""Likewise one with a body."""


def problem_document(status: int, code: str, title: str, detail: str | None = None, **members: Any) -> bytes:
    """A problem as JSON (RFC 9457)."""
    document = {"type": PROBLEMS_URL + code.replace("_", "-"), "code": code, "title": title, "status": status}
    if detail:
        document["detail"] = detail
    return msgspec.json.encode({**document, **members}, enc_hook=str)


def problem_response(status: int, code: str, title: str, detail: str | None = None, **extensions: Any) -> Response:
    """A problem document (RFC 9457). `retry_after_s` becomes the header Retry-After."""
    response = Response(
        problem_document(status, code, title, detail, **extensions, request_id=request_id()),
        status_code=status,
        media_type="application/problem+json",
    )
    retry_after_s = extensions.get("retry_after_s", RETRY_AFTER_S if status == 503 else None)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def render_problem(request: Request, problem: Problem) -> Response:
    """A problem that the code named."""
    return problem_response(problem.status, problem.code(), problem.title(), problem.detail, **problem.extensions)


async def render_http_exception(request: Request, error: HTTPException) -> Response:
    """What the framework found wrong: no such path, no such method, a body too large or unreadable."""
    title = TITLES.get(error.status_code) or HTTPStatus(error.status_code).phrase.capitalize()
    said = UNPARSED if error.detail == GIVEN_UP else error.detail
    detail = said if said.lower() != title.lower() else None
    response = problem_response(error.status_code, title.lower().replace(" ", "_"), title, detail)
    response.headers.update(error.headers or {})
    if error.status_code == 405 and (known := methods(_document(request), request.scope["path"])):
        # Of several routes with one path, the framework tells the methods of the first.
        response.headers["Allow"] = ", ".join(known)
    if error.status_code in (408, 413):
        # The rest of the body was not read: nothing more can be understood on this connection.
        response.headers["Connection"] = "close"
    return response


def _document(request: Request) -> dict[str, Any]:
    """What the app says of its routes; to make it anew holds up everybody for most of a second."""
    known: dict[str, Any] | None = getattr(request.app.state, "document", None)
    return request.app.openapi() if known is None else known


async def render_invalid_request(request: Request, error: RequestValidationError) -> Response:
    """Where the request does not match the schema, and why; never the rejected input."""
    found = error.errors()
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != "application/json" and any(each["loc"] == ("body",) and each["type"] in UNREAD for each in found):
        detail = "Send the body as JSON, with Content-Type: application/json."
        return await render_problem(request, UnsupportedMediaType(detail))
    errors = [_invalid(each) for each in found]
    return await render_problem(request, InvalidRequest("The request does not match.", errors=errors))


UNREAD = frozenset({"model_attributes_type", "model_type", "dict_type", "list_type"})
"""What is found wrong with a body as a whole, which is not read as JSON where nobody says that it is."""


def _invalid(found: Any) -> dict[str, Any]:
    place, *path = found["loc"]
    # These two messages quote the input; every other one speaks only of what was expected.
    detail = {"uuid_parsing": "Input should be a UUID", "union_tag_invalid": "The tag is not an expected one"}.get(
        found["type"], found["msg"]
    )
    # Parameters are pointed at as members of a document with the members `path`, `query` and `header`.
    places = [*([] if place == "body" else [place]), *([] if found["type"] == "json_invalid" else path)]
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in places]
    told = {"pointer": "/".join(["#", *steps]), "code": found["type"], "detail": detail}
    return told | bounds(found.get("ctx", {}))


def unexpected(request: Request, error: Exception) -> Response:
    """What nobody named: a database that is away is 503, everything else our fault and 500."""
    if database_is_away(error):
        return problem_response(503, Unavailable.code(), Unavailable.title(), "The database does not answer just now.")
    return problem_response(500, "internal_error", "Internal error", "This is our fault; it has been logged.")


RENDERERS: dict[Any, Any] = {
    Problem: render_problem,
    HTTPException: render_http_exception,
    RequestValidationError: render_invalid_request,
}
"""For `exception_handlers=` of an app. The rest, unnamed, reaches `telemetry.Edge` and `unexpected`."""
