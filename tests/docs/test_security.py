import re

from tests.docs.pages import ROOT, page, section

TOP = [f"API{number}" for number in range(1, 11)]


def table() -> list[list[str]]:
    """Risk, what is done, and what shows it."""
    lines = section(page("security.md"), "The OWASP API Security Top 10 (2023)").splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| API")]


def test_every_risk_of_the_ten_has_its_row() -> None:
    assert [risk.split()[0] for risk, _, _ in table()] == TOP


def test_every_test_that_is_said_to_show_it_stands_in_a_file_named_beside_it() -> None:
    missing: dict[str, str] = {}
    for risk, _, shown in table():
        quoted = re.findall(r"`([^`]+)`", shown)
        files = [ROOT / name for name in quoted if name.endswith(".py")]
        assert files, risk
        text = "".join(file.read_text() for file in files)
        names = [name for name in quoted if not name.endswith(".py")]
        missing |= {name: risk for name in names if f"def {name}(" not in text}
    assert missing == {}
