"""How promising a lead is: criteria with points, and the cut points of the grades, as data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from contracts.event import Slug
from contracts.leads import Grade
from contracts.problems import NotFound
from contracts.versions import Version

DEEPEST = 8
"""Conditions inside conditions."""
MOST_CONDITIONS = 500
"""Of one rubric: each lead is put to all of them."""
ATTRIBUTE = "attributes."


class RubricNotFound(NotFound):
    """No rubric with this content was ever activated."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What of a lead is put to the test."""

    source: str
    medium: str | None = None
    campaign: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def value(self, field: str) -> str | None:
        """What stands in a field; none where nothing does."""
        if field.startswith(ATTRIBUTE):
            return self.attributes.get(field.removeprefix(ATTRIBUTE)) or None
        told: str | None = getattr(self, field)
        return told


class Op(StrEnum):
    """How a field is compared. Case and space around a text make no difference."""

    IS = "is"
    IN = "in"
    """Is one of several."""
    CONTAINS = "contains"
    AT_LEAST = "at_least"
    """A number, and not below the value."""
    AT_MOST = "at_most"
    """A number, and not above the value."""
    KNOWN = "known"
    """Something stands there. It takes no value."""


Text = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]+$")]
Number = Annotated[int, Field(strict=True, gt=-(2**53), lt=2**53)]
Fraction = Annotated[float, Field(strict=True, allow_inf_nan=False)]


FieldName = Annotated[str, Field(pattern=r"^(source|medium|campaign|attributes\.[^\x00-\x1f\x7f]{1,64})$")]


class Part(BaseModel):
    """A part of a rubric: immutable, nothing undeclared accepted."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, serialize_by_alias=True, hide_input_in_errors=True
    )


class Comparison(Part):
    """One field compared with a value."""

    field: Annotated[
        str, Field(max_length=75, pattern=r"^(source|medium|campaign|attributes\.[^\x00-\x1f\x7f]{1,64})$")
    ]
    """`source`, `medium`, `campaign`, or `attributes.` and the name of an attribute."""
    op: Op
    value: Number | Fraction | Text | Annotated[tuple[Text, ...], Field(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _of_the_kind_that_the_op_takes(self) -> Self:
        match self.op:
            case Op.IS | Op.CONTAINS:
                fits = isinstance(self.value, str)
            case Op.IN:
                fits = isinstance(self.value, tuple)
            case Op.AT_LEAST | Op.AT_MOST:
                fits = isinstance(self.value, int | float)
            case Op.KNOWN:
                fits = self.value is None
        if not fits:
            raise ValueError(f"the value is not what {self.op} compares with")
        return self

    @cached_property
    def _wanted(self) -> frozenset[str]:
        texts = (self.value,) if isinstance(self.value, str) else self.value
        return frozenset(map(_plain, texts)) if isinstance(texts, tuple) else frozenset()

    def met(self, lead: Seen) -> bool:
        """Whether a lead passes."""
        told = lead.value(self.field)
        if told is None:
            return False
        match self.op, self.value:
            case ((Op.IS | Op.IN), _):
                return _plain(told) in self._wanted
            case Op.CONTAINS, _:
                return any(text in _plain(told) for text in self._wanted)
            case Op.AT_LEAST, int() | float() as bound:
                return (number := _number(told)) is not None and number >= bound
            case Op.AT_MOST, int() | float() as bound:
                return (number := _number(told)) is not None and number <= bound
        return True


class All(Part):
    """Every one of several conditions."""

    all: Annotated[tuple["Condition", ...], Field(min_length=1, max_length=100)]

    def met(self, lead: Seen) -> bool:
        """Whether a lead passes."""
        return all(condition.met(lead) for condition in self.all)


class AnyOf(Part):
    """At least one of several conditions."""

    any: Annotated[tuple["Condition", ...], Field(min_length=1, max_length=100)]

    def met(self, lead: Seen) -> bool:
        """Whether a lead passes."""
        return any(condition.met(lead) for condition in self.any)


class Not(Part):
    """The contrary of a condition."""

    not_: Annotated["Condition", Field(alias="not")]

    def met(self, lead: Seen) -> bool:
        """Whether a lead passes."""
        return not self.not_.met(lead)


def _form(value: Any) -> str:
    """Which form a condition has; one that has none is read as a comparison, which says what is missing."""
    match value:
        case All():
            return "all"
        case AnyOf():
            return "any"
        case Not():
            return "not"
        case Mapping():
            return next((name for name in ("all", "any", "not") if name in value), "comparison")
    return "comparison"


Condition: TypeAlias = Annotated[
    Annotated[All, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")]
    | Annotated[Comparison, Tag("comparison")],
    Discriminator(_form),
]
"""A tree of `all`, `any`, `not` and comparisons."""


class Criterion(Part):
    """Something agreed on that makes a lead more or less promising."""

    name: Slug
    when: Condition
    points: Annotated[int, Field(strict=True, ge=-10_000, le=10_000)]
    """What it adds where it is met; below zero it takes away."""


class CutPoints(Part):
    """The fewest points of each grade; D has the rest."""

    a: Annotated[int, Field(strict=True, ge=-(10**7), le=10**7)]
    b: Annotated[int, Field(strict=True, ge=-(10**7), le=10**7)]
    c: Annotated[int, Field(strict=True, ge=-(10**7), le=10**7)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.a > self.b > self.c:
            raise ValueError("a needs more points than b, and b more than c")
        return self

    def grade(self, points: int) -> Grade:
        """The grade of a sum of points."""
        if points >= self.a:
            return Grade.A
        if points >= self.b:
            return Grade.B
        return Grade.C if points >= self.c else Grade.D


class Rubric(Version):
    """Agreed criteria with points, and the cut points of the grades."""

    model_config = ConfigDict(serialize_by_alias=True, hide_input_in_errors=True)

    name: Slug
    criteria: Annotated[tuple[Criterion, ...], Field(max_length=200)]
    cuts: CutPoints

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        names = [criterion.name for criterion in self.criteria]
        if len(set(names)) < len(names):
            raise ValueError("two criteria have one name")
        depths = [depth for criterion in self.criteria for depth in _depths(criterion.when, 1)]
        if max(depths, default=0) > DEEPEST:
            raise ValueError(f"conditions stand at most {DEEPEST} deep")
        if len(depths) > MOST_CONDITIONS:
            raise ValueError(f"a rubric has at most {MOST_CONDITIONS} conditions")
        return self


@dataclass(frozen=True, slots=True)
class Graded:
    """What a rubric says of a lead, and why."""

    grade: Grade
    points: int
    met: tuple[str, ...]
    """The criteria that it meets, in the order of the rubric."""


def grade(rubric: Rubric, lead: Seen) -> Graded:
    """How promising a lead is by a rubric."""
    met = [criterion for criterion in rubric.criteria if criterion.when.met(lead)]
    points = sum(criterion.points for criterion in met)
    return Graded(rubric.cuts.grade(points), points, tuple(criterion.name for criterion in met))


def _depths(condition: Condition, depth: int) -> Iterator[int]:
    yield depth
    match condition:
        case All(all=below) | AnyOf(any=below):
            for each in below:
                yield from _depths(each, depth + 1)
        case Not(not_=below):
            yield from _depths(below, depth + 1)


def _plain(text: str) -> str:
    return text.strip().casefold()


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _one_of(field: str, *texts: str) -> Comparison:
    return Comparison(field=field, op=Op.IN, value=texts)


def _known(field: str) -> Comparison:
    return Comparison(field=field, op=Op.KNOWN)


FIRST = Rubric(
    name="first-1",
    criteria=(
        Criterion(
            name="recommended",
            when=AnyOf(
                any=(
                    _one_of("medium", "referral", "reference", "recommendation", "word-of-mouth"),
                    _one_of("source", "referral", "reference", "recommendation", "partner"),
                )
            ),
            points=30,
        ),
        Criterion(
            name="asked-us",
            when=AnyOf(
                any=(
                    _one_of("source", "website", "web", "direct", "direct-traffic", "phone", "chat", "store"),
                    _one_of("medium", "direct", "form", "call", "chat"),
                )
            ),
            points=20,
        ),
        Criterion(
            name="found-us",
            when=AnyOf(
                any=(
                    _one_of("source", "google", "search", "organic-search", "fair", "event"),
                    _one_of("medium", "organic", "search", "event"),
                )
            ),
            points=15,
        ),
        Criterion(name="campaign-answered", when=_known("campaign"), points=10),
        Criterion(name="budget-named", when=_known("attributes.budget"), points=15),
        Criterion(name="company-named", when=_known("attributes.company"), points=10),
        Criterion(
            name="larger-company", when=Comparison(field="attributes.employees", op=Op.AT_LEAST, value=50), points=10
        ),
        Criterion(
            name="list-bought",
            when=All(
                all=(
                    _one_of("medium", "list", "purchased", "cold"),
                    Not.model_validate({"not": _known("attributes.budget")}),
                )
            ),
            points=-20,
        ),
    ),
    cuts=CutPoints(a=50, b=30, c=15),
)
"""Holds until a rubric of the company's own is activated: whoever comes recommended or asks comes first."""
