import asyncio
import os
import sys

import pytest

from .conftest import Door

ASKED = {
    "as_of": "2026-01-31",
    "known_at": "2026-02-01T12:00:00+02:00",
    "policy": "a" * 64,
    "model": "b" * 64,
    "horizon_days": "90",
}
OPTIONS = [word for name, value in ASKED.items() for word in (f"--{name.replace('_', '-')}", value)]


async def shuke(*words: str, **variables: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.cli",
        *words,
        env={**os.environ, "COLUMNS": "200", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode().strip(), err.decode().strip()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("digest",), "d" * 64),
        (("standings", "summary"), "1,234"),
        (("export", "standings"), f"party_{0:032x},first-0000,customer,0.50,3"),
    ],
)
async def test_standings_are_asked_for_by_both_clocks_and_under_other_versions(
    door: Door, words: tuple[str, ...], shown: str
) -> None:
    product = {"SHUKE_URL": door.url, "SHUKE_KEY": door.keys["admin"]}

    code, out, told = await shuke(*words, *OPTIONS, **product)
    asked, plain = door.scoring.query, (await shuke(*words, **product))[0]

    assert (code, plain) == (0, 0), told
    assert shown in out
    assert (asked, door.scoring.query) == (ASKED, {})


@pytest.mark.parametrize(
    ("option", "value", "way"),
    [
        ("--known-at", "2026-02-01T12:00:00", "say the offset too"),
        ("--known-at", "yesterday", "write a time such as"),
        ("--policy", "days 1", "or its name"),
        ("--model", "3", "at least the first 4 digits"),
        ("--horizon-days", "0", "--horizon-days"),
    ],
)
async def test_what_is_no_time_no_version_and_no_horizon_is_misuse(option: str, value: str, way: str) -> None:
    code, _, told = await shuke("digest", option, value)

    assert code == 2
    assert way in told


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("policy", "list"), {"limit": "100"}),
        (("policy", "list", "--state", "draft"), {"limit": "100", "state": "draft"}),
        (("policy", "plan"), {"limit": "100", "open": "true"}),
    ],
)
async def test_a_list_is_asked_for_what_is_wanted_of_it_alone(
    door: Door, words: tuple[str, ...], asked: dict[str, str]
) -> None:
    code, _, told = await shuke(*words, SHUKE_URL=door.url, SHUKE_KEY=door.keys["admin"])

    assert code == 0, told
    assert door.scoring.query == asked


@pytest.mark.parametrize(
    ("named", "way"),
    [("caf", "None of the policies is named caf."), ("cafe", "None of the policies begins with cafe or is named so.")],
)
async def test_fewer_digits_than_four_are_a_name(door: Door, named: str, way: str) -> None:
    code, _, told = await shuke("policy", "show", named, SHUKE_URL=door.url, SHUKE_KEY=door.keys["admin"])

    assert code == 1
    assert way in told


async def test_one_party_and_a_sample_at_once_are_misuse_and_no_disagreement() -> None:
    code, _, told = await shuke("verify", "--party", "party_1", "--sample", "3")

    assert (code, told) == (2, "Say either --party or --sample.")


@pytest.mark.parametrize(
    ("policy", "code", "way"),
    [
        ("abcdef01", 1, "None of the policies begins with abcdef01"),
        ("nowhere/strict.json", 2, "cannot be read: No such file or directory."),
    ],
)
async def test_what_is_neither_a_file_nor_a_policy_is_not_tried(door: Door, policy: str, code: int, way: str) -> None:
    ended, _, told = await shuke("policy", "trial", policy, SHUKE_URL=door.url, SHUKE_KEY=door.keys["admin"])

    assert ended == code
    assert way in told
    assert not [path for method, path in door.scoring.requests if method == "POST"]
