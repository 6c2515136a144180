"""What a trial counts of one party."""

from datetime import timedelta

from contracts.scoring import Stage
from services.scoring.domain.policy import ByDays, Policy, Stages
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.trials import Scope, Side, Trial, tried
from tests.scoring.test_domain_standing import DEFAULT, calendar, fact, noon

SHORT = Policy(name="short", persons=Stages(customers=ByDays(dormant_after_days=10, lost_after_days=20)))
TRIAL = Trial(Ruling(SHORT, SHORT.cuts, DEFAULT.rates, DEFAULT.zone), DEFAULT, Scope(first=None, horizon_days=30))
BOUGHT = noon("2026-01-01")


def day_after(days: int) -> str:
    return str((BOUGHT + timedelta(days=days)).date())


def test_who_buys_on_the_very_day_on_which_silence_loses_was_lost_wrongly_and_silent_until_then() -> None:
    bought = calendar(fact(day_after(0)), fact(day_after(21)))
    tally, moves = tried(TRIAL, bought, BOUGHT + timedelta(days=60))

    assert [(str(move.day), move.to_stage, why) for move, why in moves[1:4]] == [
        (day_after(11), Stage.DORMANT_CUSTOMER, "no purchase for 11 days"),
        (day_after(21), Stage.LOST_CUSTOMER, "no purchase for 21 days"),
        (day_after(21), Stage.CUSTOMER, "a purchase"),
    ]
    judged = {key[3]: count for key, count in tally.items() if key[:3] == ("judged", Side.DRAFT, Stage.LOST_CUSTOMER)}
    assert judged == {"moves": 2, "decided": 1, "wrong": 1}
