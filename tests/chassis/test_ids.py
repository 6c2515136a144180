import subprocess
import sys
from typing import Annotated
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, ValidationError

from chassis.ids import prefixed, uuid7

PartyId = Annotated[UUID, prefixed("party")]


class Party(BaseModel):
    id: PartyId
    merged_into: PartyId | None = None


def test_an_id_has_its_prefix_outside_and_is_a_uuid_inside() -> None:
    id = uuid4()
    party = Party.model_validate_json(f'{{"id": "party_{id.hex}"}}')
    assert party.id == id
    assert Party(id=id).model_dump_json() == f'{{"id":"party_{id.hex}","merged_into":null}}'
    assert Party.model_json_schema()["properties"]["id"]["pattern"] == "^party_[0-9a-f]{32}$"


@pytest.mark.parametrize(
    "text", ["party_1", f"lead_{'0' * 32}", f"{UUID(int=0)}", f"party_{'0' * 32}\n", "party_" + "G" * 32]
)
def test_another_spelling_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Party.model_validate({"id": text})
    assert refused.value.errors()[0]["msg"] == f"Input should be an id such as party_{'0' * 32}"


def test_new_ids_are_version_7_and_rise() -> None:
    ids = [uuid7() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert {(id.version, id.variant) for id in ids} == {(7, "specified in RFC 4122")}
    assert [id.int >> 80 for id in ids] == sorted(id.int >> 80 for id in ids)


def test_processes_forked_from_one_make_different_ids() -> None:
    script = (
        "import os\n"
        "from chassis.ids import uuid7\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n"
        "        print(uuid7().hex[13:], flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    random = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, check=True).stdout.split()
    assert len(set(random)) == 2
