"""Many rows in one request: one JSON object per line, each with an outcome of its own."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from chassis.fields import Shown
from contracts.problems import Invalid, Problem
from contracts.telling import Outcome, Status

LARGEST_BULK = 10_000
"""Rows of one bulk request; they are recorded in one transaction."""

Read = TypeVar("Read", bound=BaseModel)
Told = TypeVar("Told")


class TooManyRows(Invalid):
    """A bulk request is one transaction, so the number of its rows has a limit."""


class InvalidRow(Invalid):
    """A line is not the JSON object that it should be."""


class RowOutcome(Shown):
    """What became of a row of a bulk request; a service adds the id of what now stands for it."""

    row: int
    """Counted from 1 over the lines that are not empty."""
    status: Status
    reason: str | None = None
    detail: str | None = None


Row = TypeVar("Row", bound=RowOutcome)


class BulkOutcome(Shown, Generic[Row]):
    """What became of each row, and how many of each."""

    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    data: list[Row]


NDJSON = "application/x-ndjson"


def body_of(shape: type[BaseModel]) -> dict[str, object]:
    """How the body of a bulk route looks in the OpenAPI document."""
    schema = {"type": "string", "description": f"One {shape.__name__} in JSON per line, up to {LARGEST_BULK} lines."}
    return {"requestBody": {"required": True, "content": {NDJSON: {"schema": schema}}}}


async def rows(request: Request, shape: type[Read], domain: Callable[[Read], Told]) -> list[Told | Problem]:
    """The lines of the body that are not empty, each as a domain value or as what is wrong with it."""
    lines = [line for line in (await request.body()).split(b"\n") if line.strip()]
    if len(lines) > LARGEST_BULK:
        raise TooManyRows(f"A bulk request has at most {LARGEST_BULK} rows.", limit=LARGEST_BULK)
    return [_row(line, shape, domain) for line in lines]


def _row(line: bytes, shape: type[Read], domain: Callable[[Read], Told]) -> Told | Problem:
    try:
        return domain(shape.model_validate_json(line))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return InvalidRow("/".join(["#", *map(str, found["loc"])]) + f": {found['msg']}")
    except Problem as problem:
        return problem


def outcomes(read: Sequence[object | Problem], recorded: Sequence[Outcome]) -> list[Outcome]:
    """The outcome of every line: those recorded in order, rejected where it could not be read."""
    in_order = iter(recorded)
    return [Outcome(Status.REJECTED, problem=row) if isinstance(row, Problem) else next(in_order) for row in read]


def told(outcomes: Sequence[Outcome], name: str) -> dict[str, object]:
    """The answer: `name` is the member that has the id."""
    counted = Counter(outcome.status for outcome in outcomes)
    return {
        **{status.value: counted[status] for status in Status},
        "data": [
            {
                "row": place,
                "status": outcome.status,
                name: outcome.id,
                "reason": outcome.reason,
                "detail": outcome.problem.detail if outcome.problem else None,
            }
            for place, outcome in enumerate(outcomes, 1)
        ],
    }
