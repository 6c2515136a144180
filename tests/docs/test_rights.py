import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import app as gateway_app
from gateway.domain.openapi import merged
from gateway.domain.rights import AREAS, OPERATIONS, Role, area_of, rights
from tests.docs.pages import code, page, rows, section

SERVICES = sorted({area.service for area in AREAS.values() if area.service})
ROLES = [Role.READER, Role.INGEST, Role.OPERATOR, Role.ADMIN]


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """Every operation of the one document, as the apps themselves describe them: method and path."""
    key_file = tmp_path / "identity.key"
    key_file.write_text(bytes(range(32)).hex())
    monkeypatch.setenv("SHUKE_IDENTITY_KEY_FILE", str(key_file))
    monkeypatch.setenv("SHUKE_INTERNAL_SECRET", "a secret of at least thirty-two characters")
    monkeypatch.setenv("GATEWAY_SERVICES", "{}")
    for name in (*SERVICES, "gateway"):
        monkeypatch.setenv(f"{name.upper()}_DATABASE_URL", "postgresql+asyncpg://nobody@localhost/nothing")
    described = {name: importlib.import_module(f"services.{name}.app").app().openapi() for name in SERVICES}
    document = merged(gateway_app.app().openapi(), described)
    return [(method.upper(), path) for path, known in document["paths"].items() for method in known]


def told(operations: list[tuple[str, str]]) -> Iterator[str]:
    """The rows of the table."""
    for method, path in operations:
        area = area_of(path)
        assert area is not None, path
        those = rights(method, path, area)
        yield f"| `{method} {path}` | {' | '.join('yes' if role in those else 'no' for role in ROLES)} |"


def test_every_operation_stands_on_the_page_with_the_roles_that_may_use_it(operations: list[tuple[str, str]]) -> None:
    listed = [line for line in section(page("rights.md"), "Operations").splitlines() if line.startswith("| `")]

    assert "\n".join(listed) == "\n".join(told(operations))


def test_every_right_of_an_operation_or_area_belongs_to_something_that_there_is(
    operations: list[tuple[str, str]],
) -> None:
    assert OPERATIONS.keys() - set(operations) == set()
    assert AREAS.keys() - {path.split("/")[2] for _, path in operations} == set()


def test_every_role_is_told_with_what_it_may_do() -> None:
    assert [code(row[0]) for row in rows(section(page("rights.md"), "Roles"))] == list(Role)
