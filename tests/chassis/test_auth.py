import time
from types import SimpleNamespace
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from chassis import auth
from chassis.auth import Caller, Forbidden, Reach, Signer, Unauthorized, require

SECRET = "a secret of at least thirty-two characters"


def test_a_signed_caller_is_known_to_whoever_has_the_secret() -> None:
    token = Signer(SECRET).sign(Caller("key_1", frozenset({"reader", "ingest"})))
    assert Signer(SECRET).verify(token) == Caller("key_1", frozenset({"reader", "ingest"}))


def test_a_signed_caller_keeps_who_it_is_how_far_it_reaches_and_whether_it_sees_contact_data() -> None:
    asking = Caller("user_1", frozenset({"agent"}), UUID(int=7), UUID(int=8), Reach.TEAM, contact=False)
    assert Signer(SECRET).verify(Signer(SECRET).sign(asking)) == asking


def test_a_token_from_before_there_was_reach_is_valid_and_reaches_everything() -> None:
    claims = {"sub": "key_1", "scopes": ["reader"], "exp": int(time.time()) + 60}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
    assert Signer(SECRET).verify(token) == Caller("key_1", frozenset({"reader"}), None, None, Reach.ALL, contact=True)


@pytest.mark.parametrize(
    "said", [{"reach": "far"}, {"reach": 3}, {"user": "x"}, {"team": 1}, {"contact": "no"}, {"scopes": None}]
)
def test_a_token_that_says_what_nobody_says_is_nobody(said: dict[str, object]) -> None:
    claims = {"sub": "key_1", "scopes": [], "exp": int(time.time()) + 60, **said}
    with pytest.raises(Unauthorized):
        Signer(SECRET).verify(jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET)))


STRANGER = Signer("another secret of thirty-two characters!").sign(Caller("k", frozenset()))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", STRANGER])
def test_anything_else_is_nobody(token: str) -> None:
    with pytest.raises(Unauthorized):
        Signer(SECRET).verify(token)


def test_an_unsigned_token_is_nobody() -> None:
    header, claims, _ = Signer(SECRET).sign(Caller("key_1", frozenset({"admin"}))).split(".")
    with pytest.raises(Unauthorized):
        Signer(SECRET).verify(f"eyJhbGciOiJub25lIn0.{claims}.")
    with pytest.raises(Unauthorized):
        Signer(SECRET).verify(f"{header}.{claims}.")


def test_a_token_is_used_again_and_renewed_at_half_its_life(monkeypatch: pytest.MonkeyPatch) -> None:
    present = 1_000_000.0
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: present))
    signer = Signer(SECRET)
    first = signer.sign(Caller("key_1", frozenset({"reader"})))
    present += 149
    assert signer.sign(Caller("key_1", frozenset({"reader"}))) == first
    present += 2
    assert signer.sign(Caller("key_1", frozenset({"reader"}))) != first
    signer.verify(first)
    present += 150
    with pytest.raises(Unauthorized):
        signer.verify(first)
    with pytest.raises(Unauthorized):
        Signer(SECRET).verify(first)


async def test_a_scope_lets_through_who_has_it() -> None:
    allowed = require("operator")
    await allowed(Caller("key_1", frozenset({"operator"})))
    with pytest.raises(Forbidden):
        await allowed(Caller("key_1", frozenset({"reader"})))
