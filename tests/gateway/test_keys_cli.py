import asyncio
import json
import os
import sys
from pathlib import Path

from .conftest import Door


async def shuke(*words: str, **variables: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.cli",
        "keys",
        *words,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode().strip(), err.decode().strip()


async def test_keys_are_made_rotated_and_revoked_by_the_command(door: Door, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "endpoints.json").write_text(json.dumps({"url": door.url}))
    kept = tmp_path / "admin.key"
    kept.write_text(door.keys["admin"] + "\n")
    folder = ("--data", str(tmp_path))

    async def status(secret: str) -> int:
        answer = await door.client.get("/v1/parties", headers={"Authorization": f"Bearer {secret}"})
        return answer.status_code

    code, secret, told = await shuke("create", "Till 3", "--scope", "reader", "--limit", "5/9", *folder)
    assert (code, await status(secret)) == (0, 200), told
    assert "Till 3" in told
    assert "5/9 requests, never used" in told
    _, shown, _ = await shuke("list", *folder)
    ids = {line.split(" ", 1)[1]: line.split(" ", 1)[0] for line in shown.splitlines() if line.startswith("key_")}
    assert secret not in shown
    code, rotated, told = await shuke("rotate", ids["admin (this one)"], *folder)
    assert (code, kept.read_text().strip()) == (0, rotated), told
    assert rotated != door.keys["admin"]
    code, shown, _ = await shuke("revoke", ids["Till 3"], *folder)
    assert code == 0
    assert "was revoked" in shown
    assert await status(rotated) == 200
    async with asyncio.timeout(60):
        while await status(secret) != 401:
            await asyncio.sleep(0.01)
    code, _, told = await shuke("revoke", ids["admin (this one)"], *folder)
    assert code == 1
    assert "last_admin_key" in told


async def test_a_limit_that_is_none_is_misuse() -> None:
    code, _, told = await shuke("create", "x", "--scope", "reader", "--limit", "fast")
    assert code == 2
    assert "100/200" in told
