"""The load is the same for the same seed, and nothing comes before what it needs."""

import json
import re
from itertools import islice

from bench.faults.deck import KINDS, LIMITS, ON_DISKS, SEVERAL_BROKERS, dealt
from bench.faults.plan import Plan
from bench.product import ROOT

SOME, MANY = 2_000, 8_000
LEFT_OUT = {
    "It is a question that is asked by POST, and changes nothing.": (
        "compare_with_a_list",
        "judge_win_back",
        "preview_merge",
        "preview_standing_of_merge",
        "preview_unmerge",
        "read_invitation",
        "verify_standing",
        "verify_standings",
    ),
    "It asks or answers secrets, which are not kept to be answered again: a good client does not send it twice.": (
        "accept_invitation",
        "begin_second_step",
        "change_my_password",
        "confirm_second_step",
        "create_key",
        "create_user",
        "create_webhook",
        "finish_oidc",
        "invite_first_person",
        "invite_user",
        "remove_second_step",
        "renew_recovery_codes",
        "rotate_key",
        "rotate_webhook_secret",
        "sign_in",
        "sign_in_by_code",
    ),
    "It draws lots: a quiet installation that is given the same commands draws others.": ("begin_win_back",),
    "It is about a key, a person or a session that one of those makes.": (
        "change_key",
        "change_me",
        "change_user",
        "disable_user",
        "enable_user",
        "end_one_session",
        "end_other_sessions",
        "end_sessions_of_user",
        "reset_second_step",
        "revoke_key",
        "sign_out",
    ),
    "The run has a webhook of its own, whose deliveries are judged.": (
        "change_webhook",
        "delete_webhook",
        "pause_webhook",
        "replay_webhook",
        "resume_webhook",
        "test_webhook",
    ),
    "An operator stops or repeats with it what the run measures.": (
        "begin_drain",
        "discard_dead_letters",
        "end_drain",
        "pass_gap",
        "pause_consumers",
        "replay",
        "requeue_dead_letters",
        "resume_consumers",
        "start_rebuild",
    ),
    "What is fitted depends on what was read by then: no two installations have the same.": (
        "activate_model",
        "cancel_fit",
        "fit_model",
        "fit_tiers",
    ),
    "It brings a file, and is read by a job of its own; tests/customers/test_imports_jobs.py ends and repeats those.": (
        "import_again",
        "start_import",
        "undo_import",
    ),
}
"""Operations that no client of a run sends, by why not."""


def changing() -> dict[tuple[str, str], str]:
    """Operations that may change something, by method and path as a pattern."""
    document = json.loads((ROOT / "contracts/openapi/shuke.json").read_text())
    return {
        (method.upper(), re.sub(r"\{[^}]*\}", "[^/]+", path)): operation["operationId"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in ("post", "put", "patch", "delete")
    }


CHANGING = changing()


def operation_of(method: str, path: str) -> str:
    """The one that answers a command; a path without variables goes before one with them."""
    found = [(pattern, name) for (verb, pattern), name in CHANGING.items() if verb == method]
    fitting = [(pattern, name) for pattern, name in found if re.fullmatch(pattern, path)]
    assert fitting, (method, path)
    return min(fitting, key=lambda each: each[0].count("[^/]+"))[1]


def test_the_same_seed_gives_the_same_commands_and_another_one_others() -> None:
    assert list(islice(Plan(1), SOME)) == list(islice(Plan(1), SOME))
    assert list(islice(Plan(1), SOME)) != list(islice(Plan(2), SOME))


def test_no_command_comes_before_what_it_needs() -> None:
    told: set[str] = set()
    for command in islice(Plan(3), SOME):
        assert told.issuperset(command.needs), command
        found = command.search or command.of.endswith(" planned")
        assert found or not command.of or command.of in told
        assert command.name not in told
        told.add(command.name)


def test_every_operation_that_changes_something_is_among_the_commands() -> None:
    left_out = {operation for operations in LEFT_OUT.values() for operation in operations}
    told = {operation_of(command.method, command.path) for command in islice(Plan(4), MANY)}
    assert set(CHANGING.values()) - left_out == told
    assert left_out <= set(CHANGING.values())


def test_a_whole_deck_has_every_kind_once() -> None:
    makers = [make for _, _, make in islice(dealt(1, list(KINDS)), len(KINDS))]
    assert set(map(id, makers)) == set(map(id, KINDS.values()))


def test_what_is_promised_is_promised_of_kinds_that_there_are() -> None:
    assert KINDS.keys() >= {*LIMITS, *ON_DISKS, *SEVERAL_BROKERS}


def test_nobody_refers_somebody_who_may_be_merged() -> None:
    commands = list(islice(Plan(5), SOME))
    referred = {command.body["referred"]["value"] for command in commands if "referred" in command.body}
    registered = {command.body["identifiers"][0]["value"] for command in commands if "identifiers" in command.body}
    assert referred
    assert not referred & registered
