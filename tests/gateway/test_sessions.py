import asyncio
import base64
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from gateway.console.api import SESSION
from gateway.domain import totp
from gateway.domain.attempts import ACCOUNT, ADDRESS, CODE, device_of, device_token, places
from gateway.domain.sessions import Course, looks_like_session
from gateway.models.users import AppUser
from gateway.queries import keyring as keyring_module
from gateway.queries import neighbours
from gateway.queries.passwords import Passwords
from gateway.queries.sealing import SecondSteps, seal_second_steps
from gateway.queries.signing_in import Entrance
from gateway.queries.users import user_by_email

from .conftest import Door
from .people import OTHER, PASSWORD, Person, person, refused, sign_in
from .test_keys import another_gateway

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RFC_SECRET = b"12345678901234567890"


def test_a_session_ends_when_it_lies_idle_when_it_is_old_and_when_it_is_ended() -> None:
    open_one = Course(NOON, NOON + 30 * HOUR, None, None)
    assert open_one.refusal(NOON + 11 * HOUR, 12 * HOUR) is None
    assert open_one.refusal(NOON + 12 * HOUR, 12 * HOUR)
    assert Course(NOON + 29 * HOUR, NOON + 30 * HOUR, None, None).refusal(NOON + 30 * HOUR, 12 * HOUR)
    assert Course(NOON, NOON + HOUR, NOON, None).refusal(NOON, HOUR)
    assert Course(NOON, NOON + HOUR, None, NOON).refusal(NOON, HOUR)


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(at_s: int, expected: str) -> None:
    """RFC 6238, appendix B, in six digits."""
    assert totp.code(RFC_SECRET, at_s // totp.STEP_S) == expected


def test_a_code_counts_once_and_a_step_early_or_late() -> None:
    present = 1_000
    at_s = present * totp.STEP_S + 7
    for step in (present - 1, present, present + 1):
        assert totp.step_of(RFC_SECRET, totp.code(RFC_SECRET, step), at_s, after=0) == step
        assert totp.step_of(RFC_SECRET, totp.code(RFC_SECRET, step), at_s, after=step) is None
    for step in (present - 2, present + 2):
        assert totp.step_of(RFC_SECRET, totp.code(RFC_SECRET, step), at_s, after=0) is None
    spaced = f"{totp.code(RFC_SECRET, present)[:3]} {totp.code(RFC_SECRET, present)[3:]}"
    assert totp.step_of(RFC_SECRET, spaced, at_s, after=0) == present
    assert totp.step_of(RFC_SECRET, "１２３４５６", at_s, after=0) is None


def test_a_recovery_code_is_used_up() -> None:
    codes = [totp.recovery_code(bytes([each]) * totp.RECOVERY_BYTES) for each in (1, 2)]
    kept = [totp.recovery_hash(each) for each in codes]
    left = totp.without(kept, codes[0].upper().replace("-", " "))
    assert left == kept[1:]
    assert totp.without(left, codes[0]) is None


def test_a_device_is_known_for_its_owner_alone() -> None:
    sara, tom = UUID(int=1), UUID(int=2)
    token = device_token(b"key", sara, bytes(16))
    assert device_of(b"key", sara, token) == bytes(16).hex()
    assert device_of(b"key", tom, token) is None
    assert device_of(b"other", sara, token) is None
    assert device_of(b"key", sara, "shuked_") is None
    assert device_of(b"key", sara, "shuked_é") is None


def test_attempts_from_elsewhere_or_from_a_known_device_have_buckets_of_their_own() -> None:
    here, there = places("sara@example.com", "192.0.2.1", None), places("sara@example.com", "192.0.2.2", None)
    known = places("sara@example.com", "192.0.2.1", "device")
    assert not {place for place, _ in here} & {place for place, _ in there + known}
    assert places("sara@example.com", "2001:db8::1", None) == places("sara@example.com", "2001:db8::2", None)


async def test_a_password_fits_in_whatever_way_it_is_typed_and_no_other_does() -> None:
    passwords = Passwords()
    kept = await passwords.hashed("cafe\u0301 au lait, bitte")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.fits(kept, "caf\u00e9 au lait, bitte")
    assert not await passwords.fits(kept, "cafe au lait, bitte")
    assert not await passwords.fits(None, "cafe au lait, bitte")
    assert not passwords.is_outdated(kept)
    assert Passwords(passes=3).is_outdated(kept)


async def test_nobody_learns_from_the_time_whether_somebody_is_there() -> None:
    passwords = Passwords()
    kept = await passwords.hashed(PASSWORD)

    async def taken(of: str | None) -> float:
        begun = time.process_time()
        await passwords.fits(of, OTHER)
        return time.process_time() - begun

    there, nobody = median([await taken(kept) for _ in range(7)]), median([await taken(None) for _ in range(7)])
    assert 0.5 < there / nobody < 2


async def test_a_session_opens_what_its_person_may_and_tells_when_it_ends(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader", "ingest")
    answer = await sign_in(door.client, sara.email)
    said = answer.json()
    assert looks_like_session(said["token"])
    left = datetime.fromisoformat(said["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29) < left < timedelta(days=31)
    bearer = {"Authorization": f"Bearer {said['token']}"}
    assert (await door.client.get("/v1/parties", headers=bearer)).status_code == 200
    assert door.customers.caller is not None
    caller = door.customers.caller
    assert (caller.key_id, caller.user_id and caller.user_id.hex) == (sara.id, sara.id.removeprefix("user_"))
    assert caller.scopes == {"reader", "ingest"}
    assert (await door.client.get("/v1/keys", headers=bearer)).status_code == 403
    assert said["token"] not in str(await rows(door, "session"))


async def rows(door: Door, table: str) -> list[tuple[object, ...]]:
    async with door.app.state.database.transaction() as session:
        return [tuple(row) for row in (await session.execute(text(f"SELECT * FROM {table}"))).all()]


async def test_whether_somebody_is_there_is_not_told(door: Door) -> None:
    await person(door, "sara@example.com", "reader")
    there = (await sign_in(door.client, "sara@example.com", OTHER)).json()
    for email in ("nobody@example.com", "no address", ""):
        told = (await sign_in(door.client, email, OTHER)).json()
        assert {**told, "request_id": ""} == {**there, "request_id": ""}


async def test_a_password_is_hashed_anew_where_it_was_hashed_more_cheaply(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    entrance: Entrance = door.app.state.entrance
    old, entrance.passwords = entrance.passwords, Passwords(passes=3)
    assert (await sign_in(door.client, sara.email)).status_code == 201
    old.close()
    assert "t=3" in str(await rows(door, "app_user"))
    assert (await sign_in(door.client, sara.email)).status_code == 201


async def alive(client: httpx.AsyncClient, someone: Person) -> bool:
    return (await client.get("/v1/me", headers=someone.bearer)).status_code == 200


async def test_an_idle_session_ends_and_a_used_one_goes_on_to_its_age(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    sara = await person(door, "sara@example.com", "reader")
    for hours in range(0, 24 * 30, 11):
        monkeypatch.setenv("SHUKE_CLOCK_OFFSET", f"PT{hours}H")
        assert await alive(door.client, sara), hours
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "PT720H")
    assert not await alive(door.client, sara)
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "PT721H")
    tom = await person(door, "tom@example.com", "reader")
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "PT733H")
    assert not await alive(door.client, tom)


async def test_a_page_that_is_left_open_does_not_keep_a_session_from_lying_idle(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    sara = await person(door, "sara@example.com", "reader")
    cookie, by_itself = {"Cookie": f"{SESSION}={sara.token}"}, {"X-Unattended": "1"}
    async with httpx.AsyncClient(base_url=door.url, timeout=60) as browser:
        for hours in (5, 11):
            monkeypatch.setenv("SHUKE_CLOCK_OFFSET", f"PT{hours}H")
            assert (await browser.get("/account", headers=cookie | by_itself)).status_code == 200
            async with browser.stream("GET", "/stream", headers=cookie) as stream:
                assert stream.status_code == 200
        monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "PT13H")
        assert (await browser.get("/account", headers=cookie)).status_code == 303


async def test_when_a_session_was_seen_is_written_down(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "USES_S", 0.0)
    sara = await person(door, "sara@example.com", "reader")
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "PT5H")
    assert await alive(door.client, sara)
    async with asyncio.timeout(60):
        while True:
            seen = (await door.client.get(f"/v1/users/{sara.id}")).json()["account"]["last_seen_at"]
            if datetime.fromisoformat(seen) > datetime.now(UTC) + 4 * HOUR:
                break
            await asyncio.sleep(0.05)


async def test_people_see_their_sessions_and_end_them(door: Door) -> None:
    sara, tom = await person(door, "sara@example.com", "reader"), await person(door, "tom@example.com", "reader")
    other = (await sign_in(door.client, sara.email)).json()["token"]
    listed = (await door.client.get("/v1/sessions", headers=sara.bearer)).json()["data"]
    assert [(each["means"], each["current"], each["address"]) for each in listed] == [
        ("password", False, "127.0.0.1"),
        ("invitation", True, "127.0.0.1"),
    ]
    path = f"/v1/sessions/{listed[0]['id']}"
    assert refused(await door.client.delete(path, headers=tom.bearer)) == (404, "session_not_found")
    assert (await door.client.delete(path, headers=sara.bearer)).status_code == 204
    assert (await door.client.delete(path, headers=sara.bearer)).status_code == 204
    gone = await door.client.get("/v1/me", headers={"Authorization": f"Bearer {other}"})
    assert refused(gone) == (401, "unauthorized")
    await sign_in(door.client, sara.email)
    assert (await door.client.post("/v1/sessions/end-others", headers=sara.bearer)).json() == {"ended": 1}
    assert (await door.client.delete("/v1/sessions/current", headers=sara.bearer)).status_code == 204
    assert not await alive(door.client, sara)
    assert await alive(door.client, tom)


async def test_another_process_hears_at_once_that_a_session_was_ended(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that only the word of the other process can have ended it.
    monkeypatch.setattr(keyring_module, "KNOWN_S", 3_600.0)
    sara = await person(door, "sara@example.com", "reader")
    async with another_gateway() as other:
        assert await alive(other, sara)
        assert (await door.client.delete("/v1/sessions/current", headers=sara.bearer)).status_code == 204
        async with asyncio.timeout(60):
            while await alive(other, sara):
                await asyncio.sleep(0.005)


async def test_another_process_hears_at_once_that_somebody_was_disabled(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring_module, "KNOWN_S", 3_600.0)
    sara = await person(door, "sara@example.com", "reader")
    async with another_gateway() as other:
        assert await alive(other, sara)
        await door.client.post(f"/v1/users/{sara.id}/disable")
        async with asyncio.timeout(60):
            while await alive(other, sara):
                await asyncio.sleep(0.005)


async def test_a_new_password_ends_every_session_and_gives_a_new_one(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    wrong = await door.client.post("/v1/me/password", json={"current": OTHER, "new": OTHER}, headers=sara.bearer)
    assert refused(wrong) == (403, "password_refused")
    weak = await door.client.post("/v1/me/password", json={"current": PASSWORD, "new": "sara"}, headers=sara.bearer)
    assert refused(weak) == (422, "weak_password")
    changed = await door.client.post("/v1/me/password", json={"current": PASSWORD, "new": OTHER}, headers=sara.bearer)
    assert changed.status_code == 200
    assert not await alive(door.client, sara)
    sara.token = changed.json()["token"]
    assert await alive(door.client, sara)
    assert refused(await sign_in(door.client, sara.email, PASSWORD)) == (401, "sign_in_failed")


async def test_who_guesses_is_slowed_down_and_its_owner_elsewhere_or_on_a_known_device_is_not(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    sara = await person(door, "sara@example.com", "reader")
    for _ in range(ACCOUNT.burst):
        assert refused(await sign_in(door.client, sara.email, OTHER)) == (401, "sign_in_failed")
    slowed = await sign_in(door.client, sara.email, PASSWORD)
    assert refused(slowed) == (429, "too_many_attempts")
    assert 1 <= int(slowed.headers["Retry-After"]) <= ACCOUNT.each.total_seconds()
    assert (await sign_in(door.client, sara.email, PASSWORD, device=sara.device)).status_code == 201
    forged = sara.device[:-4] + ("AAAA" if sara.device[-4:] != "AAAA" else "BBBB")
    assert refused(await sign_in(door.client, sara.email, PASSWORD, device=forged)) == (429, "too_many_attempts")
    elsewhere = httpx.ASGITransport(door.app, client=("192.0.2.7", 1))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://gateway") as client:
        assert (await sign_in(client, sara.email, PASSWORD)).status_code == 201
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", str(ACCOUNT.each.total_seconds() + 1))
    assert (await sign_in(door.client, sara.email, PASSWORD)).status_code == 201


async def test_an_account_that_nobody_has_is_slowed_down_alike(door: Door) -> None:
    for _ in range(ACCOUNT.burst):
        assert refused(await sign_in(door.client, "nobody@example.com", OTHER)) == (401, "sign_in_failed")
    assert refused(await sign_in(door.client, "nobody@example.com", OTHER)) == (429, "too_many_attempts")


async def test_a_good_sign_in_gives_its_place_back(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    for _ in range(ACCOUNT.burst + 2):
        assert (await sign_in(door.client, sara.email)).status_code == 201


async def test_attempts_at_once_are_all_counted(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    answers = await asyncio.gather(*(sign_in(door.client, sara.email, OTHER) for _ in range(ACCOUNT.burst + 5)))
    assert sorted(answer.status_code for answer in answers) == [401] * ACCOUNT.burst + [429] * 5


def test_an_office_signs_in_in_the_morning_and_a_list_of_leaked_passwords_does_not() -> None:
    assert ADDRESS.burst >= 50
    guesses_a_day = ADDRESS.burst + timedelta(days=1) / ADDRESS.each
    assert guesses_a_day < 20_000
    assert CODE.burst + timedelta(days=1) / CODE.each < 1_500


async def second_step(door: Door, someone: Person) -> tuple[bytes, list[str]]:
    """Set an authenticator app up; its secret and the recovery codes."""
    begun = await door.client.post("/v1/me/second-step", json={"password": PASSWORD}, headers=someone.bearer)
    assert begun.status_code == 201, begun.text
    spelled = begun.json()["secret"]
    assert f"secret={spelled}" in begun.json()["uri"]
    secret = base64.b32decode(spelled + "=" * (-len(spelled) % 8))
    now_code = totp.code(secret, int(time.time()) // totp.STEP_S)
    confirmed = await door.client.post("/v1/me/second-step/confirm", json={"code": now_code}, headers=someone.bearer)
    assert confirmed.status_code == 200, confirmed.text
    codes: list[str] = confirmed.json()["recovery_codes"]
    return secret, codes


async def test_a_second_step_is_asked_for_once_it_is_confirmed_and_each_code_counts_once(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    sara = await person(door, "sara@example.com", "reader")
    wrong = await door.client.post("/v1/me/second-step/confirm", json={"code": "000000"}, headers=sara.bearer)
    assert refused(wrong) == (409, "second_step_off")
    secret, codes = await second_step(door, sara)
    assert refused(await sign_in(door.client, sara.email)) == (401, "code_needed")
    assert refused(await sign_in(door.client, sara.email, OTHER)) == (401, "sign_in_failed")
    used = totp.code(secret, int(time.time()) // totp.STEP_S)
    assert refused(await sign_in(door.client, sara.email, code=used)) == (401, "code_refused")
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "60")
    fresh = totp.code(secret, int(time.time() + 60) // totp.STEP_S)
    assert (await sign_in(door.client, sara.email, code=fresh)).status_code == 201
    assert refused(await sign_in(door.client, sara.email, code=fresh)) == (401, "code_refused")
    assert (await sign_in(door.client, sara.email, code=codes[0])).status_code == 201
    assert refused(await sign_in(door.client, sara.email, code=codes[0])) == (401, "code_refused")
    assert (await door.client.get("/v1/me", headers=sara.bearer)).json()["recovery_codes_left"] == 9


async def test_what_an_app_shares_with_us_is_unreadable_in_the_database_and_sealed_at_the_start_where_it_was_not(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    sara, tom = await person(door, "sara@example.com", "reader"), await person(door, "tom@example.com", "reader")
    secret, codes = await second_step(door, sara)
    other, _ = await second_step(door, tom)
    database, steps = door.app.state.database, door.app.state.entrance.steps

    async def kept(email: str) -> AppUser:
        async with database.transaction() as session:
            found = await user_by_email(session, email)
            assert found is not None
            return found

    row = await kept(sara.email)
    assert row.totp_secret is not None
    assert secret not in row.totp_secret
    assert base64.b32encode(secret) not in row.totp_secret
    assert steps.opened(row.id, row.totp_secret) == secret
    # What is another person's opens nothing here.
    assert steps.opened((await kept(tom.email)).id, row.totp_secret) is None

    async with database.transaction() as session:
        earlier = await user_by_email(session, tom.email)
        assert earlier is not None
        earlier.totp_secret, earlier.totp_pending = other, secret
    async with database.transaction() as session:
        sealed = await seal_second_steps(session, steps)
    async with database.transaction() as session:
        again = await seal_second_steps(session, steps)
    after = await kept(tom.email)
    assert (sealed, again) == (1, 0)
    assert after.totp_secret is not None
    assert after.totp_pending is not None
    assert (steps.opened(after.id, after.totp_secret), other in after.totp_secret) == (other, False)
    assert (steps.opened(after.id, after.totp_pending), secret in after.totp_pending) == (secret, False)
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "60")
    fresh = totp.code(other, int(time.time() + 60) // totp.STEP_S)
    assert (await sign_in(door.client, tom.email, code=fresh)).status_code == 201

    # Under another secret of the installation no code opens anything, and a recovery code still does.
    door.app.state.entrance.steps = SecondSteps("another secret of at least thirty-two characters")
    fresh = totp.code(secret, int(time.time() + 60) // totp.STEP_S)
    assert refused(await sign_in(door.client, sara.email, code=fresh)) == (401, "code_refused")
    assert (await sign_in(door.client, sara.email, code=codes[0])).status_code == 201


async def test_the_code_may_come_after_the_password_with_a_ticket_that_does_not_last(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    sara = await person(door, "sara@example.com", "reader")
    _, codes = await second_step(door, sara)

    async def by_code(ticket: str, code: str) -> httpx.Response:
        return await door.client.post("/v1/sessions/second-step", json={"ticket": ticket, "code": code})

    ticket = (await sign_in(door.client, sara.email)).json()["ticket"]
    assert refused(await by_code(ticket, "000000")) == (401, "code_refused")
    assert (await by_code(ticket, codes[0])).json()["user"]["id"] == sara.id
    for wrong in (ticket[:-3] + "AAA", ticket.swapcase(), "shuket_", "x"):
        assert refused(await by_code(wrong, codes[1])) == (401, "sign_in_failed"), wrong
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "301")
    assert refused(await by_code(ticket, codes[1])) == (401, "sign_in_failed")
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "0")
    await door.client.post("/v1/me/password", json={"current": PASSWORD, "new": OTHER}, headers=sara.bearer)
    assert refused(await by_code(ticket, codes[1])) == (401, "sign_in_failed")


async def test_codes_are_guessed_slowly_from_wherever(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    await second_step(door, sara)
    answers = []
    for number in range(CODE.burst + 1):
        elsewhere = httpx.ASGITransport(door.app, client=(f"192.0.2.{number}", 1))
        async with httpx.AsyncClient(transport=elsewhere, base_url="http://gateway") as client:
            answers.append(refused(await sign_in(client, sara.email, code="abcdef")))
    assert answers == [(401, "code_refused")] * CODE.burst + [(429, "too_many_attempts")]
    known = await sign_in(door.client, sara.email, code="abcdef", device=sara.device)
    assert refused(known) == (401, "code_refused")


async def test_a_second_step_is_taken_away_by_its_owner_with_the_password_or_by_an_admin(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    _, codes = await second_step(door, sara)
    again = await door.client.post("/v1/me/second-step", json={"password": PASSWORD}, headers=sara.bearer)
    assert refused(again) == (409, "second_step_on")
    renewed = await door.client.post(
        "/v1/me/second-step/recovery-codes", json={"password": PASSWORD}, headers=sara.bearer
    )
    assert not set(renewed.json()["recovery_codes"]) & set(codes)
    refusal = await door.client.post("/v1/me/second-step/remove", json={"password": OTHER}, headers=sara.bearer)
    assert refused(refusal) == (403, "password_refused")
    removed = await door.client.post("/v1/me/second-step/remove", json={"password": PASSWORD}, headers=sara.bearer)
    assert removed.status_code == 204
    assert (await sign_in(door.client, sara.email)).status_code == 201
    await second_step(door, sara)
    reset = await door.client.post(f"/v1/users/{sara.id}/reset-second-step")
    assert reset.json()["account"]["second_step"] is False
    assert (await sign_in(door.client, sara.email)).status_code == 201


async def test_a_link_sets_a_password_and_not_aside_the_second_step(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    _, codes = await second_step(door, sara)
    token = (await door.client.post(f"/v1/users/{sara.id}/invite")).json()["token"]
    wanted = {"token": token, "password": OTHER}
    assert refused(await door.client.post("/v1/invitations/accept", json=wanted)) == (401, "code_needed")
    wrong = await door.client.post("/v1/invitations/accept", json={**wanted, "code": "000000"})
    assert refused(wrong) == (401, "code_refused")
    assert (await door.client.post("/v1/invitations/accept", json={**wanted, "code": codes[0]})).status_code == 201


async def test_no_secret_of_a_person_is_kept_in_clear(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    _, codes = await second_step(door, sara)
    kept = "".join([str(await rows(door, table)) for table in ("app_user", "session", "invitation", "idempotency_key")])
    assert not [each for each in (PASSWORD, sara.token, sara.device, *codes) if each in kept]
