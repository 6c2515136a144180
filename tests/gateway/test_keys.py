import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from chassis.auth import Unauthorized
from gateway import app as gateway_app
from gateway.domain.keys import ExpiryPassed, LastAdminKey, Life, Standing, check_admin_left, check_expiry, same_hash
from gateway.queries import keyring as keyring_module
from gateway.queries.keyring import Keyring, note_uses

from .conftest import Door, serving

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_key_is_good_until_it_is_revoked_or_expires() -> None:
    assert Life(None, None, None).standing(NOON) is Standing.GOOD
    assert Life(None, NOON + HOUR, None).standing(NOON) is Standing.GOOD
    assert Life(None, NOON, None).standing(NOON) is Standing.EXPIRED
    assert Life(NOON, NOON, None).standing(NOON) is Standing.REVOKED


def test_the_secret_before_is_good_for_its_grace_and_no_longer_than_its_key() -> None:
    assert Life(None, None, NOON + HOUR).standing(NOON, previous=True) is Standing.GOOD
    assert Life(None, None, NOON).standing(NOON, previous=True) is Standing.ROTATED
    assert Life(None, None, None).standing(NOON, previous=True) is Standing.ROTATED
    assert Life(NOON, None, NOON + HOUR).standing(NOON, previous=True) is Standing.REVOKED


def test_a_key_cannot_expire_in_the_past() -> None:
    check_expiry(None, NOON)
    check_expiry(NOON + HOUR, NOON)
    with pytest.raises(ExpiryPassed):
        check_expiry(NOON, NOON)


def test_one_admin_key_always_lasts() -> None:
    check_admin_left(["reader"], [])
    check_admin_left(["admin"], ["another"])
    with pytest.raises(LastAdminKey):
        check_admin_left(["admin", "reader"], [])


def test_hashes_are_compared_whole() -> None:
    assert same_hash(b"a" * 32, b"a" * 32)
    assert not same_hash(b"a" * 32, b"a" * 31 + b"b")
    assert not same_hash(b"a" * 32, None)


async def make(door: Door, **wanted: Any) -> dict[str, Any]:
    answer = await door.client.post("/v1/keys", json={"name": "Shop", "scopes": ["reader"], **wanted})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def opens(client: httpx.AsyncClient, secret: str) -> int:
    return (await client.get("/v1/parties", headers={"Authorization": f"Bearer {secret}"})).status_code


async def refusal(client: httpx.AsyncClient, secret: str) -> str:
    answer = await client.get("/v1/parties", headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    detail: str = answer.json()["detail"]
    return detail


@asynccontextmanager
async def another_gateway() -> AsyncIterator[httpx.AsyncClient]:
    """A second process of the same gateway: an app of its own, on the same database."""
    async with serving(gateway_app.app()) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield client


async def until(client: httpx.AsyncClient, secret: str, status: int) -> None:
    async with asyncio.timeout(60):
        while await opens(client, secret) != status:
            await asyncio.sleep(0.005)


async def test_a_key_tells_everything_but_its_secret(door: Door) -> None:
    made = await make(door, name="Till 3", scopes=["reader", "ingest"], limit={"per_s": 5, "burst": 9})
    secret = made.pop("secret")
    shown = (await door.client.get(f"/v1/keys/{made['id']}")).json()
    assert shown == made
    assert (shown["last_four"], shown["limit"], shown["own_limit"]) == (secret[-4:], {"per_s": 5, "burst": 9}, True)
    assert (shown["name"], shown["scopes"], shown["current"]) == ("Till 3", ["ingest", "reader"], False)
    listed = (await door.client.get("/v1/keys")).json()["data"]
    assert [key["name"] for key in listed if key["current"]] == ["admin"]
    assert secret not in str(listed)
    assert (await door.client.get(f"/v1/keys/key_{'0' * 32}")).json()["code"] == "key_not_found"


async def test_a_key_opens_nothing_after_its_expiry(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await make(door, expires_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    assert await opens(door.client, made["secret"]) == 200
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "P1D")
    assert await refusal(door.client, made["secret"]) == "This API key has expired."
    rotated = await door.client.post(f"/v1/keys/{made['id']}/rotate")
    assert (rotated.status_code, rotated.json()["code"]) == (409, "key_ended")
    longer = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    await door.client.patch(f"/v1/keys/{made['id']}", json={"expires_at": longer})
    await until(door.client, made["secret"], 200)


async def test_an_expiry_in_the_past_is_refused(door: Door) -> None:
    answer = await door.client.post(
        "/v1/keys", json={"name": "x", "scopes": ["reader"], "expires_at": "2020-01-01T00:00:00Z"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "expiry_passed")


@pytest.mark.parametrize("role", ["owner", "manager", "agent"])
async def test_a_key_has_no_role_of_people(door: Door, role: str) -> None:
    answer = await door.client.post("/v1/keys", json={"name": "x", "scopes": ["reader", role]})
    assert (answer.status_code, answer.json()["code"]) == (422, "not_for_keys")
    assert answer.json()["allowed"] == ["admin", "operator", "analyst", "ingest", "reader"]


async def test_a_key_is_changed_in_what_is_said_and_nothing_else(door: Door) -> None:
    made = await make(door, limit={"per_s": 5, "burst": 9})
    path = f"/v1/keys/{made['id']}"
    renamed = (await door.client.patch(path, json={"name": "Web"})).json()
    assert (renamed["name"], renamed["own_limit"], renamed["expires_at"]) == ("Web", True, None)
    of_its_role = (await door.client.patch(path, json={"limit": None})).json()
    assert (of_its_role["limit"], of_its_role["own_limit"]) == ({"per_s": 200, "burst": 400}, False)
    assert (await door.client.patch(path, json={"name": None})).status_code == 422
    assert (await door.client.patch(path, json={"scopes": ["admin"]})).status_code == 422
    assert (await door.client.patch(path, json={"name": "a\x00b"})).status_code == 422


async def test_a_rotated_key_has_a_new_secret_and_the_old_one_ends_at_once(door: Door) -> None:
    made = await make(door)
    assert await opens(door.client, made["secret"]) == 200
    rotated = (await door.client.post(f"/v1/keys/{made['id']}/rotate")).json()
    await until(door.client, made["secret"], 401)
    assert await opens(door.client, rotated["secret"]) == 200
    assert (rotated["id"], rotated["last_four"]) == (made["id"], rotated["secret"][-4:])
    assert rotated["previous_until"] is None


async def test_only_the_secret_before_the_last_one_has_its_grace(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await make(door)
    path = f"/v1/keys/{first['id']}/rotate"
    second = (await door.client.post(path, json={"grace_s": 3600})).json()
    assert await opens(door.client, first["secret"]) == 200
    third = (await door.client.post(path, json={"grace_s": 3600})).json()
    await until(door.client, first["secret"], 401)
    assert [await opens(door.client, each["secret"]) for each in (second, third)] == [200, 200]
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "3601")
    assert await refusal(door.client, second["secret"]) == "This secret was replaced by a newer one of the same key."
    assert await opens(door.client, third["secret"]) == 200
    week = await door.client.post(path, json={"grace_s": 7 * 86_400 + 1})
    assert (week.status_code, week.json()["errors"][0]["pointer"]) == (422, "#/grace_s")


async def test_a_revoked_key_does_not_come_back(door: Door) -> None:
    made = await make(door)
    revoked = (await door.client.post(f"/v1/keys/{made['id']}/revoke")).json()["revoked_at"]
    assert (await door.client.post(f"/v1/keys/{made['id']}/revoke")).json()["revoked_at"] == revoked
    assert await refusal(door.client, made["secret"]) == "This API key was revoked."
    for change in (
        door.client.post(f"/v1/keys/{made['id']}/rotate"),
        door.client.patch(f"/v1/keys/{made['id']}", json={"name": "again"}),
    ):
        answer = await change
        assert (answer.status_code, answer.json()["code"]) == (409, "key_ended")


async def test_the_last_admin_key_that_lasts_cannot_be_given_an_end(door: Door) -> None:
    [own] = [key for key in (await door.client.get("/v1/keys")).json()["data"] if key["current"]]
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    await make(door, scopes=["admin"], expires_at=soon)
    for change in (
        door.client.patch(f"/v1/keys/{own['id']}", json={"expires_at": soon}),
        door.client.post(f"/v1/keys/{own['id']}/revoke"),
    ):
        answer = await change
        assert (answer.status_code, answer.json()["code"]) == (409, "last_admin_key")
    await make(door, scopes=["admin"])
    assert (await door.client.patch(f"/v1/keys/{own['id']}", json={"expires_at": soon})).status_code == 200


async def test_of_two_admins_who_revoke_each_other_one_stays(door: Door) -> None:
    [own] = [key for key in (await door.client.get("/v1/keys")).json()["data"] if key["current"]]
    other = await make(door, scopes=["admin"])
    theirs = {"Authorization": f"Bearer {other['secret']}"}
    answers = await asyncio.gather(
        door.client.post(f"/v1/keys/{other['id']}/revoke"),
        door.client.post(f"/v1/keys/{own['id']}/revoke", headers=theirs),
    )
    assert sorted(answer.status_code for answer in answers) in ([200, 401], [200, 409])


async def test_a_revoked_key_opens_no_other_process_of_the_gateway(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "KNOWN_S", 3_600.0)
    made = await make(door)
    async with another_gateway() as other:
        assert [await opens(each, made["secret"]) for each in (door.client, other)] == [200, 200]
        await door.client.post(f"/v1/keys/{made['id']}/revoke")
        await until(other, made["secret"], 401)
        await until(door.client, made["secret"], 401)


async def test_a_process_that_hears_nothing_believes_a_key_for_a_moment_only(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, deaf = await make(door), Keyring()
    database = door.app.state.database
    monkeypatch.setattr(keyring_module, "KNOWN_S", 3_600.0)
    assert (await deaf.holder(database, made["secret"])).caller.key_id == made["id"]
    await door.client.post(f"/v1/keys/{made['id']}/revoke")
    assert await deaf.holder(database, made["secret"])
    deaf.doubt()
    with pytest.raises(Unauthorized):
        await deaf.holder(database, made["secret"])
    assert not deaf.seen(made["secret"])


async def test_a_key_read_before_a_change_is_not_believed_after_it(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "KNOWN_S", 3_600.0)
    made, ring = await make(door), Keyring()
    read = keyring_module.key_of

    async def changed_meanwhile(*asked: Any) -> Any:
        row = await read(*asked)
        ring.doubt()
        return row

    monkeypatch.setattr(keyring_module, "key_of", changed_meanwhile)
    await ring.holder(door.app.state.database, made["secret"])
    monkeypatch.setattr(keyring_module, "key_of", read)
    await door.client.post(f"/v1/keys/{made['id']}/revoke")
    with pytest.raises(Unauthorized):
        await ring.holder(door.app.state.database, made["secret"])


async def test_the_last_use_of_a_key_is_noted_without_making_anybody_ask_anew(door: Door) -> None:
    made = await make(door)
    assert made["last_used_at"] is None
    assert await opens(door.client, made["secret"]) == 200
    ring: Keyring = door.app.state.keyring
    changes = ring._changes
    async with door.app.state.database.transaction() as session:
        await note_uses(session, dict(ring.used), {})
    shown = (await door.client.get(f"/v1/keys/{made['id']}")).json()
    assert datetime.fromisoformat(shown["last_used_at"]) <= datetime.now(UTC)
    assert ring._changes == changes
