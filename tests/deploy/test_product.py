from pathlib import Path

from deploy.cluster import cluster
from deploy.product import Options, process


def test_every_process_takes_part_under_a_name_of_its_own() -> None:
    shape = cluster(Options(Path("data")), brokers=1, workers=3)
    ports = {"CUSTOMERS_PORT": "20001", "SCORING_PORT": "20002"}

    names = [process(role, ports).env["SHUKE_MEMBER"] for role in shape.services]

    assert names == [role.name for role in shape.services]
    assert len(set(names)) == len(names)
