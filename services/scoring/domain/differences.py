"""What differs between two policies, in sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from services.scoring.domain.indexes import Evidence, Index
from services.scoring.domain.policy import Level, Policy, Treatment
from services.scoring.domain.rules import All, AnyOf, Comparison, Not, Rule
from services.scoring.domain.stages import ByDays, ByProbability, Interest, Stages


class Difference(msgspec.Struct, frozen=True):
    """One thing that one policy says otherwise than another."""

    field: str
    """Where in the document (JSON Pointer)."""
    sentence: str


SENTENCES: Mapping[str, str] = {
    "/name": "It is called {now}, instead of {before}.",
    "/horizon_days": "The probability is that of a purchase within {now} days, instead of {before}.",
    "/turnover_days": "Turnover is that of {now} days, instead of {before}; so is the value.",
    "/cuts/top": "Before the first fit, the tier top begins at {now} minor units, instead of {before}.",
    "/cuts/high": "Before the first fit, the tier high begins at {now} minor units, instead of {before}.",
    "/cuts/mid": "Before the first fit, the tier mid begins at {now} minor units, instead of {before}.",
    "/tier_shares/top": "The tier top takes {now} percent of the customers at the next fit, instead of {before}.",
    "/tier_shares/high": "The tier high takes the next {now} percent at the next fit, instead of {before}.",
    "/tier_shares/mid": "The tier mid takes the next {now} percent at the next fit, instead of {before}.",
    "/fewest_repeaters": "A model is fitted from {now} parties that bought again on, instead of {before}.",
    "/problem_limit_days": "A problem is overdue when it is open for more than {now} days, instead of {before}.",
    "/answer_within_days": "An answer is late after more than {now} days, instead of {before}.",
    "/posture/window_days": "Posture compares the last {now} days with as many before them, instead of {before}.",
    "/posture/developing_from": (
        "A relationship develops from {now} times the days with contact or purchase on, instead of {before}."
    ),
    "/posture/conservative_below": (
        "A relationship is conservative below {now} times the days with contact or purchase, instead of {before}."
    ),
    "/profit/margin": "Of net turnover {now} are held to be left after the cost of goods, instead of {before}.",
    "/desire/window_days": "Desire counts the signs of interest of {now} days, instead of {before}.",
    "/desire/half_life_days": "A sign of interest counts half for desire after {now} days, instead of {before}.",
    "/desire/half_points": "A desire of 50 takes {now} points, instead of {before}.",
    "/refresh_days": "Stored values are looked at again at least every {now} days, instead of {before}.",
}
"""Fields that are one number or name."""

OF_DAYS: Mapping[str, str] = {
    "dormant_after_days": (
        "{who} is dormant when more than {now} days have passed since the last purchase day, instead of {before}."
    ),
    "lost_after_days": (
        "{who} is lost when more than {now} days have passed since the last purchase day, instead of {before}."
    ),
}
OF_PROBABILITY: Mapping[str, str] = {
    "fresh_days": "{who} is a customer in any case for {now} days after the last purchase day, instead of {before}.",
    "dormant_below": "{who} is dormant when the probability of buying again is below {now}, instead of {before}.",
    "lost_below": "{who} is lost when the probability of buying again is below {now}, instead of {before}.",
}
OF_INTEREST: Mapping[str, str] = {
    "active_days": (
        "{who} is dormant when more than {now} days have passed since the last sign of interest, instead of {before}."
    ),
    "lost_after_days": (
        "{who} is lost when more than {now} days have passed since the last sign of interest, instead of {before}."
    ),
}
OF_INDEX: Mapping[str, str] = {
    "half_life_days": "Evidence counts half for {who} after {now} days, instead of {before}.",
    "min_evidence": "The band of {who} is unknown where the evidence is below {now}, instead of {before}.",
    "low_below": "The band of {who} is low where the index is below {now}, instead of {before}.",
    "high_from": "The band of {who} is high where the index is at least {now}, instead of {before}.",
}


class Whose(NamedTuple):
    """Whom stages are about, as a sentence begins."""

    field: str
    bought: str
    never: str


EVERYBODY = Whose("/persons", "Whoever bought", "Whoever never bought")
PERSONS = Whose("/persons", "A person who bought", "A person who never bought")
ORGANISATIONS = Whose("/organisations", "An organisation that bought", "An organisation that never bought")


def differences(now: Policy, before: Policy) -> list[Difference]:
    """What the one policy says otherwise than the other, in the order of the document; nothing where they are equal."""
    found = list(_found(now, before))
    told = {difference.field.split("/")[1] for difference in found}
    for name in type(now).model_fields:
        if name not in told and getattr(now, name) != getattr(before, name):
            found.append(Difference(f"/{name}", f"`{name}` is written in another way, which decides the same."))
    order = list(type(now).model_fields)
    return sorted(found, key=lambda difference: order.index(difference.field.split("/")[1]))


def _found(now: Policy, before: Policy) -> Iterator[Difference]:
    for field, sentence in SENTENCES.items():
        yield from _value(field, sentence, _at(now, field), _at(before, field))
    yield from _of_kinds(now, before)
    yield from _levels(now.levels, before.levels)
    yield from _index("satisfaction", now.satisfaction, before.satisfaction)
    yield from _index("loyalty", now.loyalty, before.loyalty)
    yield from _costs(now.profit.cost_minor, before.profit.cost_minor)
    yield from _points(now.desire.points, before.desire.points)
    if now.vip != before.vip:
        yield Difference("/vip", f"A VIP is {_vip(now.vip)}, instead of {_vip(before.vip)}.")
    yield from _treatments(now.treatments, before.treatments)
    for reason in _only(now.follow_up_reasons, before.follow_up_reasons):
        sentence = f"Whoever is lost with the reason {reason} stands on the follow-up list."
        yield Difference("/follow_up_reasons", sentence)
    for reason in _only(before.follow_up_reasons, now.follow_up_reasons):
        sentence = f"Whoever is lost with the reason {reason} stands no longer on the follow-up list."
        yield Difference("/follow_up_reasons", sentence)


def _of_kinds(now: Policy, before: Policy) -> Iterator[Difference]:
    if now.organisations is None and before.organisations is None:
        yield from _stages(EVERYBODY, now.persons, before.persons)
        return
    yield from _stages(PERSONS, now.persons, before.persons)
    if before.organisations is None:
        yield Difference("/organisations", "Organisations have stages of their own, instead of those of persons.")
    elif now.organisations is None:
        yield Difference("/organisations", "Organisations stand as persons do, instead of by stages of their own.")
    yield from _stages(ORGANISATIONS, now.organisations or now.persons, before.organisations or before.persons)


def _stages(whose: Whose, now: Stages, before: Stages) -> Iterator[Difference]:
    field = f"{whose.field}/customers"
    match now.customers, before.customers:
        case ByDays(), ByDays():
            yield from _values(field, OF_DAYS, now.customers, before.customers, whose.bought)
        case ByProbability() as present, ByProbability() as past:
            yield from _values(field, OF_PROBABILITY, present, past, whose.bought)
            who = f"As long as there is no model, {_inside(whose.bought)}"
            yield from _values(f"{field}/without_model", OF_DAYS, present.without_model, past.without_model, who)
        case (ByDays() | ByProbability()) as present, past:
            sentence = f"{whose.bought} stands {_by(present)}, instead of {_by(past)}."
            yield Difference(f"{field}/by", sentence)
    yield from _interest(whose, now.prospects, before.prospects)


def _interest(whose: Whose, now: Interest, before: Interest) -> Iterator[Difference]:
    field = f"{whose.field}/prospects"
    yield from _values(field, OF_INTEREST, now, before, whose.never)
    who = _inside(whose.never)
    for sign in _only(now.signs, before.signs):
        yield Difference(f"{field}/signs", f"{_named(sign)} is a sign of interest of {who}.")
    for sign in _only(before.signs, now.signs):
        yield Difference(f"{field}/signs", f"{_named(sign)} is no longer a sign of interest of {who}.")


def _inside(beginning: str) -> str:
    """How a sentence begins, inside of one."""
    return f"{beginning[0].lower()}{beginning[1:]}"


def _by(customers: ByDays | ByProbability) -> str:
    if isinstance(customers, ByDays):
        return (
            f"by the days since the last purchase day (dormant after {customers.dormant_after_days:,},"
            f" lost after {customers.lost_after_days:,})"
        )
    return (
        f"by the probability of buying again (a customer in any case for {customers.fresh_days:,} days,"
        f" dormant below {_written(customers.dormant_below)}, lost below {_written(customers.lost_below)},"
        f" and without a model {_by(customers.without_model)})"
    )


def _levels(now: Sequence[Level], before: Sequence[Level]) -> Iterator[Difference]:
    present, past = ({level.name: level.from_minor for level in levels} for levels in (now, before))
    for name in _either(present, past):
        if name not in past:
            sentence = f"There is a turnover level {name}, from {present[name]:,} minor units on."
        elif name not in present:
            sentence = f"There is no turnover level {name} any more, which was from {past[name]:,} minor units on."
        elif present[name] != past[name]:
            sentence = f"The turnover level {name} begins at {present[name]:,} minor units, instead of {past[name]:,}."
        else:
            continue
        yield Difference("/levels", sentence)


def _index(name: str, now: Index, before: Index) -> Iterator[Difference]:
    for evidence in Evidence:
        present, past = now.weights.get(evidence), before.weights.get(evidence)
        if present != past:
            sentence = f"{_named(evidence)} counts {_weight(present)} for {name}, instead of {_weight(past)}."
            yield Difference(f"/{name}/weights/{evidence}", sentence)
    yield from _values(f"/{name}", OF_INDEX, now, before, name)


def _weight(weight: float | None) -> str:
    return "not at all" if weight is None else _written(weight)


def _costs(now: Mapping[str, int], before: Mapping[str, int]) -> Iterator[Difference]:
    for kind in _either(now, before):
        if now.get(kind) != before.get(kind):
            present, past = (_money(costs.get(kind)) for costs in (now, before))
            sentence = f"{_named(kind)} costs us {present}, instead of {past}."
            yield Difference(f"/profit/cost_minor/{kind}", sentence)


def _points(now: Mapping[str, int], before: Mapping[str, int]) -> Iterator[Difference]:
    for kind in _either(now, before):
        present, past = now.get(kind, 1), before.get(kind, 1)
        if present != past:
            sentence = f"{_named(kind)} counts {present} for desire, instead of {past}."
            yield Difference(f"/desire/points/{kind}", sentence)


def _money(minor: int | None) -> str:
    return "nothing" if minor is None else f"{minor:,} minor units"


def _treatments(now: Sequence[Treatment], before: Sequence[Treatment]) -> Iterator[Difference]:
    changes = SequenceMatcher(None, [_row(row) for row in before], [_row(row) for row in now], autojunk=False)
    for change, start, end, new_start, new_end in changes.get_opcodes():
        if change == "equal":
            continue
        rows = zip_longest(now[new_start:new_end], before[start:end])
        for place, (come, gone) in enumerate(rows, new_start + 1):
            if gone is None:
                sentence = f"Row {place} of the treatments is: {_row(come)}."
            elif come is None:
                sentence = f"The treatments have no longer the row: {_row(gone)}."
            else:
                sentence = f"Row {place} of the treatments is: {_row(come)}, instead of: {_row(gone)}."
            yield Difference("/treatments", sentence)


def _row(row: Treatment) -> str:
    parts = {"tier": row.tier, "satisfaction": row.satisfaction, "loyalty": row.loyalty}
    fits = " and ".join(f"{name} {' or '.join(codes)}" for name, codes in parts.items() if codes)
    return f"{fits or 'everybody else'} → {row.treatment}"


def _vip(rule: Rule | None) -> str:
    return "nobody" if rule is None else f"whoever has {said(rule)}"


OPERATIONS: Mapping[str, str] = {"eq": "=", "gte": "≥", "lt": "<", "in": "in"}


def said(rule: Rule) -> str:
    """A rule as one line of text."""
    match rule:
        case Comparison():
            value = f"({', '.join(rule.value)})" if isinstance(rule.value, tuple) else rule.value
            return f"{rule.field} {OPERATIONS[rule.op]} {value}"
        case Not():
            return f"not ({said(rule.not_)})"
        case All():
            return " and ".join(_part(part) for part in rule.all)
        case AnyOf():
            return " or ".join(_part(part) for part in rule.any)


def _part(rule: Rule) -> str:
    return f"({said(rule)})" if isinstance(rule, All | AnyOf) else said(rule)


def _values(field: str, sentences: Mapping[str, str], now: object, before: object, who: str) -> Iterator[Difference]:
    for name, sentence in sentences.items():
        yield from _value(f"{field}/{name}", sentence, getattr(now, name), getattr(before, name), who)


def _value(field: str, sentence: str, now: object, before: object, who: str = "") -> Iterator[Difference]:
    if now != before:
        yield Difference(field, sentence.format(who=who, now=_written(now), before=_written(before)))


def _written(value: object) -> str:
    """Every digit of it: two numbers that differ never look the same."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _at(policy: Policy, field: str) -> object:
    value: Any = policy
    for name in field.split("/")[1:]:
        value = getattr(value, name)
    return value


def _named(code: str) -> str:
    return f"`{code}`"


def _only(these: Iterable[str], not_those: Iterable[str]) -> list[str]:
    return [str(code) for code in dict.fromkeys(these) if code not in set(not_those)]


def _either(one: Mapping[str, int], other: Mapping[str, int]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))
