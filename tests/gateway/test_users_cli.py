import asyncio
import os
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.domain.invitations import NobodyToInvite
from gateway.queries.invitations import create_owner_link

from .conftest import Door
from .people import OTHER, accept, person, refused, sign_in


async def shuke(door: Door, *words: str, **variables: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.cli",
        "users",
        *words,
        env={**os.environ, "SHUKE_URL": door.url, "SHUKE_KEY": door.keys["admin"], **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode().strip(), err.decode().strip()


def token(link: str) -> str:
    return parse_qs(urlsplit(link).query)["token"][0]


async def test_people_are_invited_disabled_and_enabled_by_the_command(door: Door) -> None:
    code, link, told = await shuke(door, "invite")
    assert (code, link.startswith(f"{door.url}/invitation?token=")) == (0, True), told
    assert (await accept(door.client, token(link), name="Olga", email="olga@example.com")).status_code == 201
    code, _, told = await shuke(door, "invite")
    assert (code, "first_person_there" in told) == (1, True)
    code, link, told = await shuke(door, "invite", "tom@example.com", "--name", "Tom", "--role", "manager")
    assert (code, "Tom <tom@example.com>" in told) == (0, True), told
    assert (await accept(door.client, token(link))).status_code == 201
    code, again, _ = await shuke(door, "invite", "TOM@example.com")
    assert (code, (await accept(door.client, token(again), OTHER)).status_code) == (0, 201)
    code, shown, _ = await shuke(door, "disable", "tom@example.com")
    assert (code, "manager, disabled" in shown) == (0, True)
    assert refused(await sign_in(door.client, "tom@example.com", OTHER)) == (403, "user_disabled")
    code, shown, _ = await shuke(door, "enable", shown.split(" ", 1)[0])
    assert (code, "signs in by a password" in shown) == (0, True)
    code, shown, _ = await shuke(door, "list")
    assert [line.split("<")[1] for line in shown.splitlines() if "<" in line] == [
        "olga@example.com>",
        "tom@example.com>",
    ]
    code, _, told = await shuke(door, "reset-totp", "nobody@example.com")
    assert (code, told) == (1, "Nobody has the address nobody@example.com. `shuke users list` lists everybody.")


async def test_an_owner_whom_nobody_could_let_in_comes_in_past_the_api(door: Door) -> None:
    url = str(door.app.state.settings.database_url)
    code, path, told = await shuke(door, "owner-link", GATEWAY_DATABASE_URL=url)
    assert (code, path.startswith("/invitation?token=")) == (0, True), told
    await accept(door.client, token(path), name="Olga", email="olga@example.com")
    with pytest.raises(NobodyToInvite):
        await create_owner_link(url)
    await person(door, "tom@example.com", "admin")
    for email in ("tom@example.com", "nobody", "nobody@example.com"):
        with pytest.raises(NobodyToInvite):
            await create_owner_link(url, email)
    path = await create_owner_link(url, "Olga@example.com")
    assert (await accept(door.client, token(path), OTHER)).status_code == 201
