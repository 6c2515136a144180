"""What a trial counts of one party."""

from datetime import timedelta

import msgspec

from contracts.scoring import Stage
from services.scoring.domain.facts import Kind
from services.scoring.domain.policy import Policy
from services.scoring.domain.ruling import Ruling
from services.scoring.domain.stages import ByDays, Interest, Stages
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


def test_who_becomes_known_as_an_organisation_is_told_so_where_other_days_count_for_these() -> None:
    weeks = Stages(customers=ByDays(dormant_after_days=7, lost_after_days=14))
    policy = Policy(name="organised", persons=Stages(customers=ByDays()), organisations=weeks)
    trial = Trial(Ruling(policy, policy.cuts, DEFAULT.rates, DEFAULT.zone), DEFAULT, Scope(None, 30))
    registered = msgspec.structs.replace(fact(day_after(20), Kind.REGISTERED), detail="organisation")
    bought = calendar(fact(day_after(0)), registered, fact(day_after(40)))

    _, moves = tried(trial, bought, BOUGHT + timedelta(days=60))

    assert [(str(move.day), move.to_stage, why) for move, why in moves] == [
        (day_after(0), Stage.CUSTOMER, "a purchase"),
        (day_after(20), Stage.LOST_CUSTOMER, "known to be an organisation"),
        (day_after(40), Stage.CUSTOMER, "a purchase"),
        (day_after(48), Stage.DORMANT_CUSTOMER, "no purchase for 8 days"),
        (day_after(55), Stage.LOST_CUSTOMER, "no purchase for 15 days"),
    ]


def test_what_an_organisation_shows_interest_by_is_told_by_its_own_rules() -> None:
    visits = Stages(prospects=Interest(active_days=7, lost_after_days=14, signs=("visited",)))
    policy = Policy(name="organised", organisations=visits)
    trial = Trial(Ruling(policy, policy.cuts, DEFAULT.rates, DEFAULT.zone), DEFAULT, Scope(None, 30))
    registered = msgspec.structs.replace(fact(day_after(0), Kind.REGISTERED), detail="organisation")
    seen = calendar(registered, fact(day_after(1), Kind.VISITED), fact(day_after(5), Kind.INQUIRED))

    _, moves = tried(trial, seen, BOUGHT + timedelta(days=60))

    assert [(str(move.day), move.to_stage, why) for move, why in moves[1:]] == [
        (day_after(1), Stage.PROSPECT, "a sign of interest"),
        (day_after(9), Stage.DORMANT_PROSPECT, "no sign of interest for 8 days"),
        (day_after(16), Stage.LOST_PROSPECT, "no sign of interest for 15 days"),
    ]
