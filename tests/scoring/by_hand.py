"""Every part of a standing decided again by hand: from the JSON of its reason and from nothing else."""

import math
from datetime import date
from decimal import Decimal
from fractions import Fraction
from operator import eq, ge, lt
from typing import Any

from scipy.special import hyp2f1

Told = dict[str, Any]


def decided(told: Told) -> Told:
    """The standing that a reason gives. Raises `AssertionError` where the reason contradicts itself."""
    set_by_hand = {each["field"]: each["value"] for each in told["overrides"]}
    indexes = {which: index(told[which], told["day"]) for which in ("satisfaction", "loyalty")}
    numbers: Told = {"turnover_minor": turned_over(told), "value_minor": worth(told), "p": probability(told)}
    numbers |= {f"{which}_index": found[0] for which, found in indexes.items()}
    as_set = {
        "turnover_minor": told["turnover"]["as_set"],
        "value_minor": told["tier"]["as_set"],
        "satisfaction_index": told["satisfaction"]["as_set"],
        "loyalty_index": told["loyalty"]["as_set"],
        "p": float(set_by_hand["p"]) if "p" in set_by_hand else None,
    }
    as_set = {field: number for field, number in as_set.items() if number is not None}
    if "turnover_minor" in as_set and (told["model"] is None or told["model"]["p"] is None):
        numbers["value_minor"] = as_set["turnover_minor"]
    counted = numbers | as_set
    value, turnover = counted["value_minor"], counted["turnover_minor"]
    satisfaction, loyalty = (
        band(told[which], as_set.get(f"{which}_index"), found[1]) for which, found in indexes.items()
    )
    follows = {
        "stage": stage(told),
        "tier": tier(told, value),
        "satisfaction": satisfaction,
        "loyalty": loyalty,
        "posture": posture(told["posture"]),
    }
    holds: Told = follows | {field: set_by_hand[field] for field in follows if field in set_by_hand}
    treated = treatment(told["treatment"], holds)
    purchase_days = told["bought"]["x"] + 1 if told["bought"] else 0
    about = holds | {"kind": told["kind"], "turnover_minor": turnover, "value_minor": value}
    vip = is_vip(told["vip"], about | {"purchase_days": purchase_days})
    raised = {
        "high_value": holds["tier"] in ("top", "high"),
        "profit_making": profit(told["profit"], turnover) > 0,
        "returning": purchase_days > 1,
        "satisfied": holds["satisfaction"] == "high",
    }
    level = next((each["name"] for each in told["turnover"]["levels"] if turnover >= each["from_minor"]), None)
    reason = lost(told, holds["stage"])
    potential = told["potential"]["potential"] if told["potential"] else None
    follows |= {"treatment": treated, "vip": str(vip).lower(), "level": level or "", "loss_reason": reason or ""}
    follows["potential"] = potential or ""
    follows |= {field: "" if number is None else f"{Decimal(str(number)):f}" for field, number in numbers.items()}
    follows |= {flag: str(so).lower() for flag, so in raised.items()}
    for each in told["overrides"]:
        assert each["value"] != each["derived"] == follows[each["field"]]
    flags = {flag: set_by_hand.get(flag, follows[flag]) == "true" for flag in raised}
    assert raised == {flag["flag"]: flag["by"]["holds"] for flag in told["flags"]}
    holds |= counted | {f"{which}_evidence": found[2] for which, found in indexes.items()}
    return holds | {
        "level": set_by_hand.get("level", level),
        "treatment": set_by_hand.get("treatment", treated),
        "flags": [flag for flag, so in flags.items() if so],
        "vip": set_by_hand["vip"] == "true" if "vip" in set_by_hand else vip,
        "loss_reason": set_by_hand.get("loss_reason", reason) if reason else None,
        "potential": None if told["bought"] else set_by_hand.get("potential", potential),
    }


def days_between(earlier: str, later: str) -> int:
    return (date.fromisoformat(later) - date.fromisoformat(earlier)).days


def stage(told: Told) -> str:
    """From the days told, the limits told, and the probability."""
    ground = told["stage"]
    bought, sign = ground["last_purchase_day"], ground["last_sign_day"]
    if bought is not None:
        silent = days_between(bought, told["day"])
        if ground["declined_day"] and ground["declined_day"] > bought:
            return "lost_customer"
        if ground["by"] == "days":
            lost, dormant = silent > ground["lost_after_days"], silent > ground["dormant_after_days"]
        else:
            p = probability(told)
            fresh = silent <= ground["fresh_days"]
            lost, dormant = not fresh and p < ground["lost_below"], not fresh and p < ground["dormant_below"]
        return "lost_customer" if lost else "dormant_customer" if dormant else "customer"
    if ground["declared_day"] and (sign is None or ground["declared_day"] >= sign):
        return "lost_prospect"
    if sign is None:
        return "stranger"
    silent = days_between(sign, told["day"])
    if silent > ground["prospect_lost_after_days"]:
        return "lost_prospect"
    return "dormant_prospect" if silent > ground["active_days"] else "prospect"


def lost(told: Told, stands: str) -> str | None:
    """Why whoever stands in a lost stage is lost: by the declaration that decides, else by one since the last act."""
    ground = told["stage"]
    bought, sign = ground["last_purchase_day"] or "", ground["last_sign_day"] or ""
    declared, declined = ground["declared_day"] or "", ground["declined_day"] or ""
    reason = None
    if stands == "lost_prospect":
        reason = ground["declared_reason"] if declared and declared >= sign else "unknown"
    elif stands == "lost_customer":
        reason = ground["declared_reason"] if declared and declared >= bought else "unknown"
        reason = ground["declined_reason"] if declined > bought else reason
    return reason


def alive(model: Told, bought: Told) -> float:
    """Fader, Hardie and Lee (2005), in weeks."""
    x, tx, T = bought["x"], bought["tx_days"] / 7, bought["T_days"] / 7
    if x == 0:
        return 1.0
    odds = model["a"] / (model["b"] + x - 1) * ((model["alpha"] + T) / (model["alpha"] + tx)) ** (model["r"] + x)
    return float(1 / (1 + odds))


def probability(told: Told) -> float | None:
    """P(alive) * (1 - ((alpha + T) / (alpha + T + h))^(r + x)), to six decimals."""
    model, bought = told["model"], told["bought"]
    if not model or not bought:
        return None
    waited, h = model["alpha"] + bought["T_days"] / 7, told["chances"]["horizon_days"] / 7
    p: float = round(alive(model, bought) * (1 - (waited / (waited + h)) ** (model["r"] + bought["x"])), 6)
    assert p == told["chances"]["p"]
    return p


def expected_purchases(model: Told, bought: Told, days: int) -> float:
    """Equation (10) of the paper, in weeks."""
    r, a, b, x = model["r"], model["a"], model["b"], bought["x"]
    waited, t = model["alpha"] + bought["T_days"] / 7, days / 7
    series = hyp2f1(r + x, b + x, a + b + x - 1, t / (waited + t))
    mean = (a + b + x - 1) / (a - 1) * (1 - (waited / (waited + t)) ** (r + x) * series)
    return float(alive(model, bought) * mean)


def worth(told: Told) -> int:
    """Expected purchases times the expected amount of each (Fader, Hardie 2013), or the turnover."""
    model, bought, by = told["model"], told["bought"], told["tier"]["by"]
    if by == "no_purchase":
        assert bought is None
        return told["turnover"]["turnover_minor"] if model is None or model["p"] is None else 0
    if by == "turnover":
        return turned_over(told)
    amount = model["mean_minor"]
    if model["q"] > 1 and bought["paid_days"]:
        p, q, v = model["p"], model["q"], model["v"]
        amount = p * (v + bought["paid_minor"]) / (p * bought["paid_days"] + q - 1)
    purchases = expected_purchases(model, bought, told["chances"]["value_days"])
    assert math.isclose(purchases, told["chances"]["purchases"], rel_tol=1e-6)
    assert math.isclose(amount, told["chances"]["amount_minor"], rel_tol=1e-12)
    value: int = round(purchases * amount)
    return value


def turned_over(told: Told) -> int:
    """The money of the days of the window."""
    ground = told["turnover"]
    days = [each["day"] for each in ground["days"]]
    assert all(ground["start"] <= day <= told["day"] for day in days)
    assert days_between(ground["start"], told["day"]) + 1 == ground["window_days"]
    return int(sum(each["bought_minor"] - each["returned_minor"] for each in ground["days"]))


def tier(told: Told, value: int) -> str:
    """The first cut that the value reaches."""
    cuts = told["tier"]["cuts"]
    if told["bought"] is None:
        return "unproven"
    return next((name for name in ("top", "high", "mid") if value >= cuts[name]), "low")


def index(ground: Told, day: str) -> tuple[float, str, float]:
    """Index, band and amount of evidence, from the contributions."""
    log_odds, evidence = Fraction(0), Fraction(0)
    for each in ground["contributions"]:
        faded = each["faded_count"]
        if each["first_day"] == each["last_day"]:
            age = days_between(each["first_day"], day)
            assert math.isclose(faded, each["count"] * 2 ** (-age / ground["half_life_days"]), rel_tol=1e-12)
        assert math.isclose(each["weight"] * faded, each["log_odds"], rel_tol=1e-12)
        log_odds += Fraction(each["log_odds"])
        evidence += Fraction(faded)
    assert float(log_odds) == ground["log_odds"]
    value = round(round(100 / (1 + math.exp(-ground["log_odds"])), 9), 1)
    amount = round(round(float(evidence), 9), 3)
    return value, "unknown" if amount < ground["min_evidence"] else banded(ground, value), amount


def band(ground: Told, as_set: float | None, follows: str) -> str:
    """The band, also of an index that a person set."""
    return follows if as_set is None else banded(ground, as_set)


def banded(ground: Told, value: float) -> str:
    """Where an index lies."""
    return "low" if value < ground["low_below"] else "high" if value >= ground["high_from"] else "middle"


def posture(ground: Told) -> str:
    """From the two counts."""
    later, earlier = ground["later_days"], ground["earlier_days"]
    if not earlier:
        return "developing" if later else "conservative"
    if later / earlier >= ground["developing_from"]:
        return "developing"
    return "conservative" if later / earlier < ground["conservative_below"] else "steady"


def profit(ground: Told, turnover: int) -> int:
    """The margin of the turnover, half-even, less the costs."""
    margin = round(Fraction(str(ground["margin"])) * turnover)
    assert margin == ground["margin_minor"]
    assert all(each["minor"] == each["count"] * each["each_minor"] for each in ground["costs"])
    return margin - int(sum(each["minor"] for each in ground["costs"]))


def treatment(ground: Told, holds: Told) -> str:
    """The first row that fits; the one that is told is it."""
    fitting = [
        number
        for number, row in enumerate(ground["rows"], 1)
        if all(not row[part] or holds[part] in row[part] for part in ("tier", "satisfaction", "loyalty"))
    ]
    assert fitting[0] == ground["row"] == len(ground["rows"])
    said: str = ground["rows"][fitting[0] - 1]["treatment"]
    assert said == ground["treatment"]
    return said


def is_vip(ground: Told, about: Told) -> bool:
    """The rule, read with the comparisons in their order."""
    if ground["rule"] is None:
        return False
    comparisons = iter(ground["comparisons"])
    vip = _holds(ground["rule"], comparisons, about)
    assert next(comparisons, None) is None
    assert vip == ground["vip"]
    return vip


def _holds(rule: Told, comparisons: Any, about: Told) -> bool:
    if "all" in rule:
        return all([_holds(part, comparisons, about) for part in rule["all"]])
    if "any" in rule:
        return any([_holds(part, comparisons, about) for part in rule["any"]])
    if "not" in rule:
        return not _holds(rule["not"], comparisons, about)
    told = next(comparisons)
    assert (told["field"], told["op"], told["value"]) == (rule["field"], rule["op"], rule["value"])
    said, value = told["said"], rule["value"]
    assert said == about.get(rule["field"], said)
    holds = {"eq": eq, "in": lambda one, many: one in many, "gte": ge, "lt": lt}[rule["op"]](said, value)
    assert holds == told["holds"]
    return bool(holds)
