"""Of which of many parties a rule holds."""

from collections.abc import Mapping

import numpy as np

from contracts.customers import PartyKind
from contracts.scoring import Band, Posture, Stage, Tier
from services.scoring.domain.likelihood import Whole
from services.scoring.domain.rounding import Holds
from services.scoring.domain.rules import All, AnyOf, Comparison, Not, Rule

PLACES: Mapping[str, list[str]] = {
    "kind": list(PartyKind), "stage": list(Stage), "tier": list(Tier), "satisfaction": list(Band),
    "loyalty": list(Band), "posture": list(Posture),
}  # fmt: skip
"""The codes of a field, each at the place that stands for it."""


def hold(rule: Rule, said: Mapping[str, Whole]) -> Holds:
    """Whether a rule holds of each. `said` gives each field as whole numbers, codes by their places."""
    match rule:
        case All():
            return np.asarray(np.all([hold(part, said) for part in rule.all], axis=0))
        case AnyOf():
            return np.asarray(np.any([hold(part, said) for part in rule.any], axis=0))
        case Not():
            return ~hold(rule.not_, said)
    return _compared(rule, said[rule.field])


def _compared(leaf: Comparison, said: Whole) -> Holds:
    if leaf.field in PLACES:
        values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        return np.isin(said, [PLACES[leaf.field].index(str(value)) for value in values])
    value = int(str(leaf.value))
    return said == value if leaf.op == "eq" else said >= value if leaf.op == "gte" else said < value
