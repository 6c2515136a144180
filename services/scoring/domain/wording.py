"""Numbers as every language writes them, and what is worth a word."""

from contracts.money import major
from contracts.scoring import Band
from services.scoring.domain.overrides import Field
from services.scoring.domain.reasons.indexes import IndexGround


def amount(minor: int, currency: str) -> str:
    """Major units, with all decimals of the currency."""
    return str(major(minor, currency))


def number(value: float) -> str:
    """Two decimals."""
    return f"{value:.2f}"


def percent(share: float | None, *limits: float | None) -> str:
    """To a tenth of a percent; to six decimals of the share where that would hide on which side of a limit it lies."""
    if share is None:
        return "0%"
    tenth = round(share, 3)
    hides = any(limit is not None and (tenth < limit) != (share < limit) for limit in limits)
    return f"{round(100 * (share if hides else tenth), 4):g}%"


def counted(field: str, value: float | str, currency: str | None) -> str:
    """A number of a standing (`NUMBERS`): money in major units, a probability in percent."""
    if field.endswith("_minor"):
        return str(value) if currency is None else f"{amount(int(value), currency)} {currency}"
    return f"{round(100 * float(value), 4):g}%" if field == Field.P else f"{float(value):g}"


def decisive(ground: IndexGround) -> tuple[str, int] | None:
    """The kind of evidence that does most for a low or a high band, and how often it counts; None in between."""
    if ground.band not in (Band.LOW, Band.HIGH) or not ground.contributions:
        return None
    sums: dict[str, float] = {}
    for each in ground.contributions:
        sums[each.evidence] = sums.get(each.evidence, 0.0) + each.log_odds
    most = (min if ground.band is Band.LOW else max)(sums, key=lambda what: (sums[what], what))
    return most, sum(each.count for each in ground.contributions if each.evidence == most)
