import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from .conftest import Door


async def shuke(*words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.cli",
        "webhooks",
        *words,
        env={**os.environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode().strip(), err.decode().strip()


@pytest.fixture
def folder(door: Door, tmp_path: Path) -> tuple[str, str]:
    """The options that lead a command to the product."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "endpoints.json").write_text(json.dumps({"url": door.url}))
    (tmp_path / "admin.key").write_text(door.keys["operator"] + "\n")
    return "--data", str(tmp_path)


async def test_a_webhook_is_made_tried_paused_resumed_and_told_again_by_the_command(
    door: Door, folder: tuple[str, str]
) -> None:
    filters = ("--type", "scoring.standing_changed.v1", "--stage", "customer", "--tier", "top", "--historic")
    code, secret, told = await shuke("create", "https://example.com/hooks", *filters, *folder)
    assert (code, secret[:6]) == (0, "whsec_"), told
    _, shown, _ = await shuke("list", *folder)
    id = shown.split()[0]
    assert secret not in shown
    assert shown.splitlines() == [
        f"{id} active https://example.com/hooks",
        "    scoring.standing_changed.v1; customer; top; also what is long past",
    ]
    made = (await door.client.get(f"/v1/webhooks/{id}")).json()
    assert (made["types"], made["stages"], made["tiers"]) == (["scoring.standing_changed.v1"], ["customer"], ["top"])

    assert (await shuke("test", id, *folder))[0] == 0
    _, waiting, _ = await shuke("deliveries", id, "--state", "waiting", *folder)
    _, delivered, _ = await shuke("deliveries", id, "--state", "delivered", *folder)
    assert "webhook.test 0 waiting\n    0 attempts, next 20" in waiting
    assert delivered == ""

    assert f"{id} paused" in (await shuke("pause", id, *folder))[1]
    code, _, refused = await shuke("test", id, *folder)
    assert (code, "webhook_ended" in refused) == (1, True)
    assert f"{id} active" in (await shuke("resume", id, *folder))[1]

    assert (await shuke("replay", id, "--after", "0", *folder))[0] == 0
    assert (await shuke("replay", id, "--since", "2026-01-01", *folder))[0] == 0


async def test_a_webhook_is_changed_given_a_new_secret_and_deleted_by_the_command(
    door: Door, folder: tuple[str, str]
) -> None:
    _, first, told = await shuke("create", "https://example.com/hooks", "--name", "News", "--tier", "top", *folder)
    id = told.split()[0]

    changed = await shuke(
        "change", id, "--url", "https://example.com/new", "--every", "tier", "--stage", "customer", *folder
    )
    code, second, _ = await shuke("rotate", id, "--grace", "60", *folder)
    shown = (await door.client.get(f"/v1/webhooks/{id}")).json()
    nothing = await shuke("change", id, *folder)
    both = await shuke("change", id, "--tier", "top", "--every", "tier", *folder)
    unsure = await shuke("delete", id, *folder)
    gone = await shuke("delete", id, "--yes", *folder)

    assert changed[1] == f"{id} active https://example.com/new (News)\n    customer"
    assert (shown["url"], shown["name"], shown["tiers"], shown["stages"]) == (
        "https://example.com/new", "News", None, ["customer"],
    )  # fmt: skip
    assert (code, second[:6], second != first) == (0, "whsec_", True)
    assert shown["previous_until"]
    assert (nothing[0], both[0], unsure[0]) == (2, 2, 1)
    assert gone == (0, f"{id} is gone.", "")
    assert (await door.client.get(f"/v1/webhooks/{id}")).status_code == 404


async def test_a_replay_from_nowhere_or_from_two_places_is_misuse(folder: tuple[str, str]) -> None:
    for places in ((), ("--after", "1", "--since", "2026-01-01")):
        code, _, told = await shuke("replay", "webhook_1", *places, *folder)
        assert (code, told) == (2, "Name either --after or --since.")


async def test_a_webhook_that_may_not_go_there_is_not_made_and_the_reason_is_told(folder: tuple[str, str]) -> None:
    code, secret, told = await shuke("create", "https://10.1.2.3/hooks", *folder)
    assert (code, secret) == (1, "")
    assert "forbidden_target" in told
