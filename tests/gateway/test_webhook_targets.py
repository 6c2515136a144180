from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from gateway.domain.webhooks import (
    Allowed,
    Endurance,
    ForbiddenTarget,
    check_addresses,
    check_url,
    is_public,
    pause_s,
    secret_bytes,
    signature,
    warning_of,
)
from gateway.handlers.delivering import Checked

NOTHING = Allowed()


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hooks",
        "ftp://example.com",
        "https://user:secret@example.com",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://224.0.0.1/",
        "https://0.0.0.0/",
        "https://255.255.255.255/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://2130706433/",
        "https://[fec0::1]/",
        "https:///nowhere",
        "https://example.com:99999/",
    ],
)
def test_where_a_webhook_may_not_go_is_refused_at_once(url: str) -> None:
    with pytest.raises(ForbiddenTarget):
        check_url(url, NOTHING)


def test_what_is_listed_may_be_called_and_nothing_else_inside() -> None:
    allowed = Allowed.parse("crm.intern, 10.1.0.0/16")

    check_url("http://10.1.2.3/hooks", allowed)
    check_url("http://crm.intern/hooks", allowed)
    check_url("https://example.com/hooks", NOTHING)
    with pytest.raises(ForbiddenTarget):
        check_url("https://10.2.0.1/hooks", allowed)
    with pytest.raises(ForbiddenTarget):
        check_addresses("https", "example.com", [ip_address("93.184.216.34"), ip_address("10.2.0.1")], allowed)
    assert is_public(ip_address("93.184.216.34"))


async def test_a_name_that_leads_inside_is_not_called_whatever_it_led_to_before() -> None:
    with pytest.raises(ForbiddenTarget):
        await Checked(NOTHING).resolve("localhost", 443)
    found = await Checked(Allowed.parse("localhost")).resolve("localhost", 443)
    assert {each["host"] for each in found} <= {"127.0.0.1", "::1"}


def test_tries_come_later_and_later_and_never_before_what_the_receiver_asked_for() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    pauses = [pause_s(attempts, 0.5, None, at) for attempts in range(1, 12)]

    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (5, 28_800)
    assert pause_s(1, 0.5, "90", at) == 90
    assert pause_s(1, 0.5, "Thu, 01 Jan 2026 00:02:00 GMT", at) == 120
    assert pause_s(1, 0.5, "tomorrow", at) == 5


def test_a_receiver_is_given_up_only_after_enough_tries_over_a_long_enough_time() -> None:
    since, endurance = datetime(2026, 1, 1, tzinfo=UTC), Endurance()

    assert endurance.ends(10, since, since + timedelta(hours=72))
    assert not endurance.ends(9, since, since + timedelta(hours=80))
    assert not endurance.ends(5_000, since, since + timedelta(hours=71))


def test_a_receiver_that_has_failed_for_a_day_is_warned_of() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)

    assert warning_of(0, None, since) is None
    assert warning_of(9, since, since + timedelta(hours=23)) is None
    assert "nothing since 2026-01-01 00:00 UTC" in (warning_of(10, since, since + timedelta(hours=24)) or "")


def test_a_signature_is_that_of_the_reference_library() -> None:
    """What `standardwebhooks` 1.0 for Python gives for the same secret, id, time and body."""
    secret = secret_bytes("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")

    signed = signature(secret, "event_1", 1_767_225_600, b'{"sequence":1}')

    assert signed == "v1,NVwsnqXo7kG8ujdOWCHVgYU2v2ztXP8/UGSPQyOVL3c="
