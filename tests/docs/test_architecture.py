import ast
import re
from itertools import pairwise

import pytest

from tests.docs.pages import ROOT, code, page, rows, section

STEPS = [
    (code(file), code(name), then)
    for file, name, _, then in rows(section(page("architecture.md"), "One purchase, from the route to the standing"))
]


def imported(file: str) -> set[str]:
    """The files behind the modules and names that a file imports."""
    nodes = [node for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.ImportFrom)]
    modules = {str(node.module) for node in nodes}
    modules |= {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
    return {module.replace(".", "/") + ".py" for module in modules}


@pytest.mark.parametrize(("file", "name", "then"), STEPS, ids=[f"{file}:{name}" for file, name, _ in STEPS])
def test_every_step_of_a_purchase_is_where_the_page_says(file: str, name: str, then: str) -> None:
    assert re.search(rf"^\s*(async def|def|class) {name}\b", (ROOT / file).read_text(), re.MULTILINE)


def test_every_step_that_calls_imports_the_next_one() -> None:
    calls = [(file, following) for (file, _, then), (following, _, _) in pairwise(STEPS) if then == "calls"]

    assert calls
    assert [(file, following) for file, following in calls if following not in imported(file)] == []
