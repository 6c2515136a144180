"""Rules: a bounded tree of all, any, not and comparisons of a field with a value."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from contracts.customers import PartyKind
from contracts.scoring import Band, Posture, Stage, Tier
from contracts.versions import EachOnce, Version

DEPTH = 5
"""So deep a rule may be."""
LEAVES = 50
"""So many comparisons it may have."""

CHOICES: Mapping[str, frozenset[str]] = {
    "kind": frozenset(PartyKind),
    "stage": frozenset(Stage),
    "tier": frozenset(Tier),
    "satisfaction": frozenset(Band),
    "loyalty": frozenset(Band),
    "posture": frozenset(Posture),
}
"""Fields with a code, and the codes."""
NUMBERS = frozenset({"turnover_minor", "value_minor", "spend_minor", "purchase_days"})
"""Fields with a whole number; money is in minor units of the reporting currency."""
MOVING = frozenset({"turnover_minor", "value_minor"})
"""Those that move from day to day."""

_OPERATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda said, value: bool(said == value),
    "in": lambda said, value: said in value,
    "gte": lambda said, value: bool(said >= value),
    "lt": lambda said, value: bool(said < value),
}


class Comparison(Version):
    """One field held against a value."""

    field: Annotated[str, Field(max_length=40)]
    """`kind`, `stage`, `tier`, `satisfaction`, `loyalty`, `posture` (codes; the two indexes by their band), or
    `turnover_minor`, `value_minor`, `spend_minor`, `purchase_days` (whole numbers)."""
    op: Literal["eq", "in", "gte", "lt"]
    """Codes are compared by `eq` and `in`, numbers by `eq`, `gte` and `lt`."""
    value: Annotated[int, Field(ge=-(2**53), le=2**53)] | str | Annotated[tuple[str, ...], EachOnce]
    """A code, several codes with `in`, or a whole number."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.field in NUMBERS:
            if self.op == "in" or not isinstance(self.value, int):
                raise ValueError(f"{self.field} is a whole number and is compared by eq, gte or lt")
            return self
        if self.field not in CHOICES:
            raise ValueError(f"a field is one of {', '.join(sorted(CHOICES.keys() | NUMBERS))}")
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if self.op not in ("eq", "in") or (self.op == "in") != isinstance(self.value, tuple):
            raise ValueError(f"{self.field} is compared by eq with one code or by in with several")
        if not values or not CHOICES[self.field].issuperset(map(str, values)):
            raise ValueError(f"{self.field} is one of {', '.join(sorted(CHOICES[self.field]))}")
        return self

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether it is so; a field that is None is never so."""
        said = facts[self.field]
        return said is not None and _OPERATIONS[self.op](said, self.value)


class All(Version):
    """Every one of its parts holds."""

    all: Annotated[tuple["Rule", ...], Field(min_length=1, max_length=LEAVES)]
    """Its parts."""

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether it is so."""
        return all(part.holds(facts) for part in self.all)


class AnyOf(Version):
    """At least one of its parts holds."""

    any: Annotated[tuple["Rule", ...], Field(min_length=1, max_length=LEAVES)]
    """Its parts."""

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether it is so."""
        return any(part.holds(facts) for part in self.any)


class Not(Version):
    """Its part does not hold."""

    not_: Annotated["Rule", Field(alias="not", serialization_alias="not")]
    """Its part."""

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Whether it is so."""
        return not self.not_.holds(facts)


def _shape(rule: Any) -> str:
    """What a rule is by what it says, so that something wrong in it is told of that alone."""
    match rule:
        case All() | {"all": _}:
            return "all"
        case AnyOf() | {"any": _}:
            return "any"
        case Not() | {"not": _}:
            return "not"
    return "comparison"


Rule: TypeAlias = Annotated[
    Annotated[Comparison, Tag("comparison")]
    | Annotated[All, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[Not, Tag("not")],
    Discriminator(_shape),
]
for _model in (All, AnyOf, Not):
    _model.model_rebuild()


def comparisons(rule: Rule, depth: int = 1) -> list[Comparison]:
    """The comparisons of a rule, left to right. Raises `ValueError` where it is too deep or too long."""
    if depth > DEPTH:
        raise ValueError(f"a rule is at most {DEPTH} levels deep")
    match rule:
        case Comparison():
            return [rule]
        case Not():
            found = comparisons(rule.not_, depth + 1)
        case All():
            found = [leaf for part in rule.all for leaf in comparisons(part, depth + 1)]
        case AnyOf():
            found = [leaf for part in rule.any for leaf in comparisons(part, depth + 1)]
    if len(found) > LEAVES:
        raise ValueError(f"a rule has at most {LEAVES} comparisons")
    return found
