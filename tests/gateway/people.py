"""People for tests: made as an administrator makes them, and signed in as they sign in."""

from dataclasses import dataclass
from typing import Any

import httpx

from .conftest import Door

PASSWORD = "a heron stands in the reeds"
OTHER = "the reeds stand in a heron"


@dataclass
class Person:
    """Somebody with a session."""

    id: str
    email: str
    token: str
    device: str

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


async def owner(door: Door, email: str = "olga@example.com") -> Person:
    """The first person."""
    link = (await door.client.post("/v1/invitations/first")).json()
    answer = await accept(door.client, link["token"], name="Olga", email=email)
    assert answer.status_code == 201, answer.text
    return of(answer.json())


async def person(door: Door, email: str, *roles: str, asking: dict[str, str] | None = None, **more: Any) -> Person:
    """Somebody with roles, made by whoever asks."""
    wanted = {"name": email.partition("@")[0].title(), "email": email, "roles": list(roles), **more}
    made = await door.client.post("/v1/users", json=wanted, headers=asking)
    assert made.status_code == 201, made.text
    answer = await accept(door.client, made.json()["invitation"]["token"])
    assert answer.status_code == 201, answer.text
    return of(answer.json())


async def accept(client: httpx.AsyncClient, token: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
    return await client.post("/v1/invitations/accept", json={"token": token, "password": password, **more})


async def sign_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
    return await client.post("/v1/sessions", json={"email": email, "password": password, **more})


def of(said: dict[str, Any]) -> Person:
    """Who has just signed in."""
    return Person(said["user"]["id"], said["user"]["email"], said["token"], said["device"])


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
