from pathlib import Path

from gateway.domain.feed import TYPES
from tests.docs.pages import code, page, rows, section

EXAMPLE = Path(__file__).parents[2] / "examples" / "standings.py"


def test_every_type_that_the_feed_tells_is_listed() -> None:
    assert [code(row[0]) for row in rows(section(page("integrate.md"), "Types"))] != []
    assert {code(row[0]) for row in rows(section(page("integrate.md"), "Types"))} == TYPES


def test_the_reader_of_kafka_on_the_page_is_the_one_that_is_run() -> None:
    assert f"```python\n{EXAMPLE.read_text()}```\n" in section(page("integrate.md"), "A reader of Kafka")
