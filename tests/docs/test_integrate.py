from gateway.domain.feed import TYPES
from tests.docs.pages import code, page, rows, section


def test_every_type_that_the_feed_tells_is_listed() -> None:
    assert [code(row[0]) for row in rows(section(page("integrate.md"), "Types"))] != []
    assert {code(row[0]) for row in rows(section(page("integrate.md"), "Types"))} == TYPES
