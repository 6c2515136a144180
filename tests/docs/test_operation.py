from pathlib import Path

from deploy.cluster import cluster
from deploy.embedded import embedded
from deploy.product import Options, Shape
from deploy.roles import ROLES
from tests.docs.pages import code, page, rows, section

OPTIONS = Options(Path("data"))


def processes() -> dict[str, tuple[bool, bool]]:
    listed = rows(section(page("operation.md"), "Processes"))
    return {code(row[0]): (row[1] == "yes", row[2] == "yes") for row in listed}


def started(shape: Shape) -> set[str]:
    return {role.name.removesuffix("-1") for role in shape.services} | {"postgres", "forge", "gateway"}


def test_every_process_of_the_embedded_shape_is_listed() -> None:
    assert {name for name, (up, _) in processes().items() if up} == started(embedded(OPTIONS))


def test_every_process_of_the_distributed_shape_is_listed() -> None:
    shape = cluster(OPTIONS, brokers=1, workers=1)

    assert {name for name, (_, both) in processes().items() if both} == started(shape) | {"kafka-1"}


def test_every_role_is_listed() -> None:
    assert processes().keys() >= ROLES.keys()
