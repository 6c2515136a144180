import pytest

from chassis.auth import Reach
from chassis.paths import fits
from gateway.domain.rights import AREAS, OPERATIONS, Powers, Role, area_of, powers, rights

from .conftest import Door

TABLE = """
            reader      ingest      operator    admin
parties     R--         -P-         RPC         RPC
purchases   R--         -P-         RPC         RPC
returns     R--         -P-         RPC         RPC
imports     R--         RP-         RPC         RPC
merges      R--         ---         RPC         RPC
interactions R--        -P-         RPC         RPC
problems    R--         -P-         RPC         RPC
observations R--        -P-         RPC         RPC
duplicates  R--         ---         RPC         RPC
identifiers R--         ---         RPC         RPC
owners      R--         ---         RPC         RPC
leads       R--         -P-         RPC         RPC
members     R--         -P-         RPC         RPC
posts       R--         -P-         RPC         RPC
groups      R--         -P-         RPC         RPC
referrals   R--         -P-         RPC         RPC
standings   R--         ---         RPC         RPC
overrides   R--         ---         RPC         RPC
at-risk     R--         ---         RPC         RPC
losses      R--         ---         RPC         RPC
digest      R--         ---         RPC         RPC
reports     RP-         ---         RPC         RPC
tiers       R--         ---         RPC         RPC
rates       R--         ---         RPC         RPC
policies    R--         ---         RPC         RPC
activations R--         ---         RPC         RPC
models      R--         ---         RPC         RPC
fits        R--         ---         RPC         RPC
trials      R--         ---         RPC         RPC
verify      ---         ---         RPC         RPC
rebuild     ---         ---         RPC         RPC
lag         ---         ---         RPC         RPC
topics      ---         ---         RPC         RPC
gaps        ---         ---         RPC         RPC
dead-letters ---        ---         RPC         RPC
consumers   ---         ---         RPC         RPC
replays     ---         ---         RPC         RPC
drain       ---         ---         RPC         RPC
status      ---         ---         RPC         RPC
keys        ---         ---         ---         RPC
views       RPC         ---         RPC         RPC
me          RPC         RPC         RPC         RPC
sessions    RPC         RPC         RPC         RPC
users       R--         R--         R--         RPC
teams       R--         R--         R--         RPC
invitations ---         ---         ---         RPC
"""
HEAD, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [(area, role, cell) for area, *cells in ROWS for role, cell in zip(HEAD, cells, strict=True)]
METHODS = {"R": ("GET", "HEAD", "OPTIONS"), "P": ("POST",), "C": ("PUT", "PATCH", "DELETE")}


@pytest.mark.parametrize(("area", "role", "cell"), CELLS)
def test_a_role_may_do_what_its_cell_says(area: str, role: str, cell: str) -> None:
    for letter, methods in METHODS.items():
        for method in methods:
            assert (role in rights(method, f"/v1/{area}", AREAS[area])) is (letter in cell), (area, role, method)


def test_the_table_has_every_area_and_role() -> None:
    assert [row[0] for row in ROWS] == list(AREAS)
    assert {*HEAD, "owner", "manager", "agent", "analyst"} == set(Role)


def test_an_operation_is_named_only_where_its_area_says_otherwise_and_in_one_place() -> None:
    for (method, pattern), roles in OPERATIONS.items():
        area = area_of(pattern)
        assert area is not None
        assert {"GET": area.read, "POST": area.post}.get(method, area.change) != roles, pattern
        assert [other for known, other in OPERATIONS if known == method and fits(other, pattern)] == [pattern]


def test_roles_add_up() -> None:
    assert powers(frozenset({"owner"})) == Powers(frozenset(Role), Reach.ALL, contact=True)
    assert powers(frozenset({"ingest", "reader"})).scopes == {"ingest", "reader"}
    assert powers(frozenset({"agent", "manager"})).reach is Reach.TEAM
    assert powers(frozenset({"agent", "reader"})).reach is Reach.ALL
    assert not powers(frozenset({"analyst"})).contact
    assert powers(frozenset({"analyst", "agent"})).contact
    assert powers(frozenset()) == Powers(frozenset(), Reach.OWN, contact=False)


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
        "/v1/parties/1/merge\n",
        "/v1/parties/1/\x7fmerge",
        "/v2/parties",
        "/v1/unknown",
        "/v1/",
        "/v1",
        "/parties",
    ],
)
def test_no_other_path_leads_anywhere(path: str) -> None:
    assert area_of(path) is None


ACTS = """
                                                    reader  ingest  operator  admin
POST /v1/parties                                    no      yes     yes       yes
POST /v1/parties/1/identifiers                      no      yes     yes       yes
POST /v1/parties/1/identifiers/2/correct            no      no      yes       yes
POST /v1/parties/1/identifiers/2/hand-over          no      no      yes       yes
POST /v1/parties/1/identifiers/2/release            no      no      yes       yes
POST /v1/parties/1/merge                            no      no      yes       yes
POST /v1/parties/1/merge-preview                    yes     no      yes       yes
POST /v1/parties/1/unmerge                          no      no      yes       yes
POST /v1/parties/1/unmerge-preview                  yes     no      yes       yes
POST /v1/duplicates/1/accept                        no      no      yes       yes
POST /v1/duplicates/1/dismiss                       no      no      yes       yes
PUT /v1/duplicates/rules                            no      no      yes       yes
PUT /v1/parties/1/owner                             no      no      yes       yes
POST /v1/owners/hand-over                           no      no      yes       yes
POST /v1/leads/1/assign                             no      no      yes       yes
PUT /v1/leads/rubric                                no      no      yes       yes
POST /v1/leads/1/win                                no      yes     yes       yes
PATCH /v1/leads/1                                   no      yes     yes       yes
PATCH /v1/members/1                                 no      yes     yes       yes
PATCH /v1/groups/1                                  no      yes     yes       yes
PATCH /v1/posts/1                                   no      yes     yes       yes
POST /v1/purchases/1/correct                        no      yes     yes       yes
POST /v1/purchases/1/withdraw                       no      yes     yes       yes
POST /v1/posts/1/reactions/2/correct                no      yes     yes       yes
POST /v1/standings/1/verify                         yes     no      yes       yes
POST /v1/verify                                     no      no      yes       yes
GET /v1/parties/1                                   yes     no      yes       yes
"""
PEOPLE, *EACH = [line.split() for line in ACTS.strip().splitlines()]


@pytest.mark.parametrize("place", range(len(PEOPLE)), ids=PEOPLE)
async def test_the_door_lets_through_whom_the_cells_name(door: Door, place: int) -> None:
    role = PEOPLE[place]

    for method, path, *cells in EACH:
        answer = await door.client.request(method, path, headers=door.key(role))
        refused = answer.status_code == 403
        assert refused is (cells[place] == "no"), (method, path, answer.text)
        if refused:
            names = [who for who, cell in zip(PEOPLE, cells, strict=True) if cell == "yes"] + ["owner"]
            assert answer.json() | {"scopes": [role], "needed": sorted(names)} == answer.json()

    passed = [path for _, path, *cells in EACH if cells[place] == "yes"]
    assert not {path for _, path in door.customers.requests + door.scoring.requests} - set(passed)


@pytest.mark.parametrize("path", ["/v1/parties/1/merge%0a", "/v1/parties/1/%0amerge", "/v1/parties/1/merge%09"])
async def test_no_spelling_of_a_path_gets_around_its_right(door: Door, path: str) -> None:
    answer = await door.client.post(path, headers=door.key("ingest"))
    assert answer.status_code == 404
    assert (await door.client.post("/v1/parties/1%2fmerge", headers=door.key("ingest"))).status_code == 403
    assert door.customers.requests == []
