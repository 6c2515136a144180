import pytest

from gateway.domain.rights import AREAS, Role, allowed, area_of, scopes

TABLE = """
            reader      ingest      operator    admin
parties     R--         -P-         RPC         RPC
purchases   R--         -P-         RPC         RPC
returns     R--         -P-         RPC         RPC
imports     R--         RP-         RPC         RPC
merges      R--         ---         RPC         RPC
interactions R--        -P-         RPC         RPC
problems    R--         -P-         RPC         RPC
duplicates  R--         ---         RPC         RPC
identifiers R--         ---         RPC         RPC
owners      R--         ---         RPC         RPC
leads       R--         -P-         RPC         RPC
members     R--         -P-         RPC         RPC
posts       R--         -PC         RPC         RPC
groups      R--         -P-         RPC         RPC
referrals   R--         -P-         RPC         RPC
standings   R--         ---         RPC         RPC
at-risk     R--         ---         RPC         RPC
losses      R--         ---         RPC         RPC
digest      R--         ---         RPC         RPC
tiers       R--         ---         RPC         RPC
rates       R--         ---         RPC         RPC
verify      ---         ---         RPC         RPC
rebuild     ---         ---         RPC         RPC
gaps        ---         ---         RPC         RPC
status      ---         ---         RPC         RPC
keys        ---         ---         ---         RPC
"""
HEAD, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [(area, role, cell) for area, *cells in ROWS for role, cell in zip(HEAD, cells, strict=True)]
METHODS = {"R": ("GET", "HEAD", "OPTIONS"), "P": ("POST",), "C": ("PUT", "PATCH", "DELETE")}


@pytest.mark.parametrize(("area", "role", "cell"), CELLS)
def test_a_role_may_do_what_its_cell_says(area: str, role: str, cell: str) -> None:
    for letter, methods in METHODS.items():
        for method in methods:
            assert allowed([role], method, AREAS[area]) is (letter in cell), (area, role, method)


def test_the_table_has_every_area_and_role() -> None:
    assert [row[0] for row in ROWS] == list(AREAS)
    assert set(HEAD) == set(Role)


def test_roles_add_up() -> None:
    assert allowed(["ingest", "reader"], "GET", AREAS["parties"])
    assert allowed(["ingest", "reader"], "POST", AREAS["parties"])
    assert not allowed([], "GET", AREAS["parties"])
    assert scopes(["admin"]) == frozenset(Role)
    assert scopes(["ingest", "reader"]) == {"ingest", "reader"}


@pytest.mark.parametrize(
    "path",
    [
        "/internal/status",
        "/v1/../internal/status",
        "/v1/parties/../../internal/status",
        "/v1/parties/./x",
        "/v1//parties",
        "/v1/parties//x",
        "/v1/parties/..\\internal",
        "/v2/parties",
        "/v1/unknown",
        "/v1/",
        "/v1",
        "/parties",
    ],
)
def test_no_other_path_leads_anywhere(path: str) -> None:
    assert area_of(path) is None
