"""Rules as the second implementation reads them."""

from collections.abc import Iterator, Mapping

from services.scoring.domain.rules import All, AnyOf, Comparison, Not, Rule


def holds(rule: Rule, about: Mapping[str, str | int]) -> bool:
    """Whether a rule holds of whoever is said to be so."""
    match rule:
        case All():
            return False not in [holds(part, about) for part in rule.all]
        case AnyOf():
            return True in [holds(part, about) for part in rule.any]
        case Not():
            return not holds(rule.not_, about)
    said, wanted = about[rule.field], rule.value
    if isinstance(wanted, tuple):
        return any(said == one for one in wanted)
    if isinstance(said, str) or isinstance(wanted, str) or rule.op == "eq":
        return said == wanted
    return said >= wanted if rule.op == "gte" else said < wanted


def amounts(rule: Rule | None) -> Iterator[int]:
    """The amounts that a rule holds the value against; what equals one is on two sides."""
    match rule:
        case All():
            for part in rule.all:
                yield from amounts(part)
        case AnyOf():
            for part in rule.any:
                yield from amounts(part)
        case Not():
            yield from amounts(rule.not_)
        case Comparison(field="value_minor", value=int(amount)):
            yield from (amount, amount + 1)
