import json
from pathlib import Path

from deploy.cluster import cluster
from deploy.databases import LOG_READER
from deploy.embedded import embedded
from deploy.installation import Installation
from deploy.postgres import Postgres, passwords
from deploy.product import Options, Shape, environment, process, role
from deploy.roles import HTTP, MANY, ROLES, SERVICES

OPTIONS = Options(Path("data"))


def variables(shape: Shape, folder: Path) -> dict[str, str]:
    server = Postgres(folder / "postgres", 20000, passwords(folder))
    return environment(shape, server, "log://", Installation(), folder / "identity.key")


def test_every_process_takes_part_under_a_name_of_its_own(tmp_path: Path) -> None:
    shape = cluster(Options(tmp_path), brokers=1, workers=3)

    names = [process(role, variables(shape, tmp_path)).env["SHUKE_MEMBER"] for role in shape.services]

    assert names == [role.name for role in shape.services]
    assert len(set(names)) == len(names)


def test_the_distributed_shape_plays_every_role_in_a_process_of_its_own() -> None:
    shape = cluster(OPTIONS, brokers=1, workers=2)

    assert all(len(process.plays) == 1 for process in shape.services)
    played = sorted(process.plays[0] for process in shape.services)
    assert played == sorted([*(ROLES.keys() - {"gateway"}), *MANY])


def test_the_embedded_shape_plays_every_role_once_but_those_that_hand_events_to_kafka() -> None:
    played = [role for process in embedded(OPTIONS).services for role in process.plays]

    assert sorted(played) == sorted(name for name in ROLES if name != "gateway" and not name.endswith("-publisher"))


def test_each_service_is_told_the_logs_that_it_reads_and_the_gateway_where_each_answers(tmp_path: Path) -> None:
    told = variables(embedded(Options(tmp_path)), tmp_path)

    for service in SERVICES:
        if service.reads:
            logs = json.loads(told[f"{service.name.upper()}_SOURCE_URLS"])
            assert set(logs) == set(service.reads)
            assert all(f"//{LOG_READER}:" in url and url.endswith(f"/{name}") for name, url in logs.items())
    addresses = json.loads(told["GATEWAY_SERVICES"])
    assert {name: url.rpartition(":")[2] for name, url in addresses.items()} == {
        name: told[f"{name.upper()}_PORT"] for name in HTTP if name != "gateway"
    }


def test_a_process_that_answers_is_ready_where_its_service_listens(tmp_path: Path) -> None:
    told = variables(embedded(Options(tmp_path)), tmp_path)

    assert process(role("customers"), told).ready == f"http://127.0.0.1:{told['CUSTOMERS_PORT']}/readyz"
    assert process(role("scoring-worker", "scoring-sweeper"), told).ready is None
