import json

from .conftest import Door
from .test_standings_cli import shuke

PARTY, OVERRIDE = f"party_{2:032x}", f"override_{1:032x}"
SET = [f"{OVERRIDE} tier top until 2026-12-31: holds", "    set 2026-01-01T00:00:00Z by ann: Called."]
ENDED = [SET[0].replace("holds", "ended"), SET[1], "    ended 2026-01-02T00:00:00Z by bob: As before."]


async def test_a_part_of_a_standing_is_set_listed_and_left_to_the_facts_by_the_command_line(door: Door) -> None:
    product = {"SHUKE_URL": door.url, "SHUKE_KEY": door.keys["operator"]}

    said = ["tier", "top", "--why", "Called.", "--until", "2026-12-31"]
    made = await shuke("standings", "override", PARTY, *said, **product)
    asked = door.scoring.requests[-1], json.loads(door.scoring.body)
    listed = await shuke("standings", "overrides", PARTY, **product)
    ended = await shuke("standings", "end-override", OVERRIDE, "--why", "As before.", **product)

    stands = f"{PARTY} stands as customer, top. By the facts: tier low."
    assert made == (0, "\n".join([*SET, stands]), "")
    assert asked == (
        ("POST", f"/v1/standings/{PARTY}/overrides"),
        {"field": "tier", "value": "top", "why": "Called.", "until": "2026-12-31"},
    )
    assert listed == (0, "\n".join([*SET, *ENDED]), "")
    assert ended == (0, "\n".join([*ENDED, f"{PARTY} stands as customer, low."]), "")
    assert (door.scoring.requests[-1], json.loads(door.scoring.body)) == (
        ("POST", f"/v1/overrides/{OVERRIDE}/end"),
        {"why": "As before."},
    )


async def test_a_number_below_zero_is_no_option(door: Door) -> None:
    product = {"SHUKE_URL": door.url, "SHUKE_KEY": door.keys["operator"]}

    made = await shuke("standings", "override", PARTY, "turnover_minor", "-500", "--why", "Called.", **product)

    assert made[0] == 0, made
    assert json.loads(door.scoring.body) == {
        "field": "turnover_minor", "value": "-500", "why": "Called.", "until": None
    }  # fmt: skip


async def test_whoever_only_reads_may_list_what_was_set_and_set_nothing(door: Door) -> None:
    product = {"SHUKE_URL": door.url, "SHUKE_KEY": door.keys["reader"]}

    listed = await shuke("standings", "overrides", PARTY, **product)
    refused = await shuke("standings", "end-override", OVERRIDE, **product)
    why_is_asked_for = await shuke("standings", "override", PARTY, "tier", "top", **product)

    assert (listed[0], refused[0], why_is_asked_for[0]) == (0, 1, 2)
    assert "forbidden" in refused[2]
    assert "--why" in why_is_asked_for[2]
