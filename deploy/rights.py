"""The table of rights: every operation of the product, each role, and how far it reaches."""

from collections.abc import Sequence

Operation = tuple[str, str]
"""Method and path."""


def operations() -> list[Operation]:
    """Every operation of the document of everything."""
    from deploy.cli.contracts import PRODUCT, http_documents

    paths = http_documents()[PRODUCT]["paths"]
    return [(method.upper(), path) for path, known in paths.items() for method in known if method != "parameters"]


def table(operations: Sequence[Operation]) -> str:
    """The table in Markdown, a row for each operation."""
    from gateway.domain.rights import Role, area_of, rights

    rows = [f"| Operation | {' | '.join(role.capitalize() for role in Role)} |", "| --- " * (len(Role) + 1) + "|"]
    for method, path in operations:
        area = area_of(path)
        assert area is not None, path
        granted = rights(method, path, area)
        cells = [str(granted[role]) if role in granted else "no" for role in Role]
        rows.append(f"| `{method} {path}` | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def page(text: str, operations: Sequence[Operation]) -> str:
    """A page with its table written anew: it is the last thing on the page."""
    above, heading, _ = text.partition("\n| Operation |")
    return f"{above}\n{table(operations)}" if heading else text
