import pytest

from deploy import rights as described
from gateway.domain.rights import AREAS, OPERATIONS, Role
from tests.docs.pages import code, page, rows, section


@pytest.fixture(scope="module")
def operations() -> list[tuple[str, str]]:
    return described.operations()


def test_every_operation_stands_on_the_page_with_the_roles_that_may_use_it_and_how_far(
    operations: list[tuple[str, str]],
) -> None:
    assert described.page(page("rights.md"), operations) == page("rights.md")


def test_every_right_of_an_operation_or_area_belongs_to_something_that_there_is(
    operations: list[tuple[str, str]],
) -> None:
    assert OPERATIONS.keys() - set(operations) == set()
    assert AREAS.keys() - {path.split("/")[2] for _, path in operations} == set()


def test_every_role_is_told_with_what_it_may_do() -> None:
    assert [code(row[0]) for row in rows(section(page("rights.md"), "Roles"))] == list(Role)
