"""The load is the same for the same seed, and nothing comes before what it needs."""

from itertools import islice

from bench.faults.commands import Plan
from bench.faults.deck import KINDS, LIMITS, ON_DISKS, SEVERAL_BROKERS, dealt

SOME = 2_000


def test_the_same_seed_gives_the_same_commands_and_another_one_others() -> None:
    assert list(islice(Plan(1), SOME)) == list(islice(Plan(1), SOME))
    assert list(islice(Plan(1), SOME)) != list(islice(Plan(2), SOME))


def test_no_command_comes_before_what_it_needs() -> None:
    told: set[str] = set()
    for command in islice(Plan(3), SOME):
        assert told.issuperset(command.needs), command
        assert not command.of or command.of in told
        assert command.name not in told
        told.add(command.name)


def test_every_kind_of_command_comes_single_or_in_bulk() -> None:
    paths = {(command.path.split("/")[2], command.path.rpartition("/")[2]) for command in islice(Plan(4), SOME)}
    last = {word for _, word in paths}
    areas = {area for area, _ in paths}
    assert areas >= {"parties", "purchases", "returns", "interactions", "leads", "problems", "members", "posts"}
    assert areas >= {"referrals", "observations"}
    assert last >= {"bulk", "correct", "withdraw", "merge", "unmerge", "observations", "solve", "convert", "qualify"}


def test_a_whole_deck_has_every_kind_once() -> None:
    makers = [make for _, make in islice(dealt(1, list(KINDS)), len(KINDS))]
    assert set(map(id, makers)) == set(map(id, KINDS.values()))


def test_what_is_promised_is_promised_of_kinds_that_there_are() -> None:
    assert KINDS.keys() >= {*LIMITS, *ON_DISKS, *SEVERAL_BROKERS}


def test_nobody_refers_somebody_who_may_be_merged() -> None:
    commands = list(islice(Plan(5), SOME))
    referred = {command.body["referred"]["value"] for command in commands if "referred" in command.body}
    registered = {command.body["identifiers"][0]["value"] for command in commands if "identifiers" in command.body}
    assert referred
    assert not referred & registered
