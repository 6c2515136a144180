from types import SimpleNamespace

import pytest

from chassis import auth
from chassis.auth import Caller, Forbidden, Signer, Unauthorized, require

SECRET = "a secret of at least thirty-two characters"


def test_a_signed_caller_is_known_to_whoever_has_the_secret() -> None:
    token = Signer(SECRET).sign("key_1", ["reader", "ingest"])
    assert Signer(SECRET).verify(token) == Caller("key_1", frozenset({"reader", "ingest"}))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", Signer("another secret of thirty-two characters!").sign("k", [])])
def test_anything_else_is_nobody(token: str) -> None:
    with pytest.raises(Unauthorized):
        Signer(SECRET).verify(token)


def test_an_unsigned_token_is_nobody() -> None:
    header, claims, _ = Signer(SECRET).sign("key_1", ["admin"]).split(".")
    with pytest.raises(Unauthorized):
        Signer(SECRET).verify(f"eyJhbGciOiJub25lIn0.{claims}.")
    with pytest.raises(Unauthorized):
        Signer(SECRET).verify(f"{header}.{claims}.")


def test_a_token_is_used_again_and_renewed_at_half_its_life(monkeypatch: pytest.MonkeyPatch) -> None:
    present = 1_000_000.0
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: present))
    signer = Signer(SECRET)
    first = signer.sign("key_1", ["reader"])
    present += 149
    assert signer.sign("key_1", ["reader"]) == first
    present += 2
    assert signer.sign("key_1", ["reader"]) != first
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
