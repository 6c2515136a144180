"""What a report says, in a sentence."""

from services.scoring.domain.reports.association import LEAST_PARTIES, Association, Verdict, proven
from services.scoring.domain.reports.winback import WinBack


def of_association(whole: Association, without_purchases: Association, lag_days: int) -> str:
    """What is shown, and what is not."""
    if whole.rho is None or whole.parties < LEAST_PARTIES:
        return f"Not proven: {whole.parties} customers are too few, or too much alike, to say anything."
    told = f"rho {whole.rho:.2f}, p {whole.p_value}, {whole.parties} customers"
    if whole.verdict is Verdict.NOT_PROVEN:
        return f"Not proven: nothing but chance is needed for what is seen, or it is negligible ({told})."
    way = "more" if whole.verdict is Verdict.GOES_WITH else "less"
    if proven(whole, without_purchases) is Verdict.NOT_PROVEN:
        return (
            f"Not proven: customers with a higher index bought {way} in the {lag_days} days after ({told}), but not"
            " where purchases themselves do not count for it: who bought often goes on buying, satisfied or not."
        )
    return (
        f"Customers with a higher index bought {way} in the {lag_days} days after: a {whole.effect} effect ({told})."
        " This holds without what purchases themselves say of satisfaction."
    )


def of_win_back(programme: WinBack, *, by_lot: bool = False) -> str:
    """Whether those who were contacted came back more often; `by_lot` where lots said who they are, and all is over."""
    found = programme.comparison
    if found is None:
        return "There is nobody to compare: one of the two groups is empty."
    points, between = round(100 * found.difference, 1), f"{round(100 * found.low, 1)} to {round(100 * found.high, 1)}"
    told = f"{points} percentage points ({between}), p {found.p_value}"
    if found.p_value >= 0.05:
        return f"Not proven that contact made a difference: {told}."
    said = f"Those who were contacted came back {'more' if points > 0 else 'less'} often: {told}."
    return f"{said} Lots were drawn, so that it is the programme's doing." if by_lot else said
