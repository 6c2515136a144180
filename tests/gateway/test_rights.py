import pytest

from chassis.auth import Reach
from chassis.paths import fits
from gateway.domain.rights import AREAS, OPERATIONS, Powers, Role, area_of, powers, rights
from gateway.queries.keys import make_key

from .conftest import Door

TABLE = """
              reader   ingest   analyst  agent    manager  operator admin    owner
parties       a--      -a-      a--      tt-      tt-      aaa      aaa      aaa
purchases     a--      -a-      a--      tt-      tt-      aaa      aaa      aaa
returns       a--      -a-      a--      tt-      tt-      aaa      aaa      aaa
imports       a--      aa-      a--      ---      ---      aaa      aaa      aaa
merges        a--      ---      a--      t--      t--      aaa      aaa      aaa
interactions  a--      -a-      a--      tt-      tt-      aaa      aaa      aaa
problems      a--      -a-      a--      tt-      tt-      aaa      aaa      aaa
observations  a--      -a-      a--      to-      tt-      aaa      aaa      aaa
duplicates    a--      ---      a--      ---      t--      aaa      aaa      aaa
identifiers   a--      ---      a--      ---      ---      aaa      aaa      aaa
owners        a--      ---      a--      ---      ---      aaa      aaa      aaa
leads         a--      -aa      a--      tto      ttt      aaa      aaa      aaa
members       a--      -a-      a--      ---      ---      aaa      aaa      aaa
posts         a--      -a-      a--      ---      ---      aaa      aaa      aaa
groups        a--      -a-      a--      ---      ---      aaa      aaa      aaa
referrals     a--      -a-      a--      ---      ---      aaa      aaa      aaa
standings     a--      ---      a--      t--      tt-      aaa      aaa      aaa
overrides     a--      ---      a--      t--      tt-      aaa      aaa      aaa
at-risk       a--      ---      a--      t--      t--      aaa      aaa      aaa
losses        a--      ---      a--      t--      t--      aaa      aaa      aaa
win-back      a--      ---      aa-      ---      ---      aaa      aaa      aaa
digest        a--      ---      a--      ---      ---      aaa      aaa      aaa
reports       aa-      ---      aa-      ---      ---      aaa      aaa      aaa
tiers         a--      ---      a--      a--      a--      aaa      aaa      aaa
rates         a--      ---      a--      a--      a--      aaa      aaa      aaa
policies      a--      ---      aa-      a--      aa-      aaa      aaa      aaa
activations   a--      ---      a--      a--      a--      aaa      aaa      aaa
models        a--      ---      aa-      a--      a--      aaa      aaa      aaa
fits          a--      ---      aaa      ---      ---      aaa      aaa      aaa
trials        a--      ---      aaa      ---      a--      aaa      aaa      aaa
verify        ---      ---      ---      ---      ---      aaa      aaa      aaa
rebuild       ---      ---      ---      ---      ---      aaa      aaa      aaa
stream        a--      ---      a--      t--      t--      aaa      aaa      aaa
webhooks      ---      ---      ---      ---      ---      aaa      aaa      aaa
lag           ---      ---      ---      ---      ---      aaa      aaa      aaa
topics        ---      ---      ---      ---      ---      aaa      aaa      aaa
gaps          ---      ---      ---      ---      ---      aaa      aaa      aaa
dead-letters  ---      ---      ---      ---      ---      aaa      aaa      aaa
consumers     ---      ---      ---      ---      ---      aaa      aaa      aaa
replays       ---      ---      ---      ---      ---      aaa      aaa      aaa
drain         ---      ---      ---      ---      ---      aaa      aaa      aaa
status        ---      ---      ---      ---      ---      aaa      aaa      aaa
keys          ---      ---      ---      ---      ---      ---      aaa      aaa
audit         ---      ---      ---      ---      ---      ---      aaa      aaa
views         aaa      ---      aaa      aaa      aaa      aaa      aaa      aaa
me            aaa      aaa      aaa      aaa      aaa      aaa      aaa      aaa
sessions      aaa      aaa      aaa      aaa      aaa      aaa      aaa      aaa
users         a--      a--      a--      a--      a--      a--      aaa      aaa
teams         a--      a--      a--      a--      a--      a--      aaa      aaa
invitations   ---      ---      ---      ---      ---      ---      aaa      aaa
"""
"""Of each area how far a role reads, posts and changes: all, team, own, or not at all."""
HEAD, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [(area, role, cell) for area, *cells in ROWS for role, cell in zip(HEAD, cells, strict=True)]
METHODS = (("GET", "HEAD", "OPTIONS"), ("POST",), ("PUT", "PATCH", "DELETE"))


@pytest.mark.parametrize(("area", "role", "cell"), CELLS)
def test_a_role_may_do_what_its_cell_says(area: str, role: str, cell: str) -> None:
    for letter, methods in zip(cell, METHODS, strict=True):
        for method in methods:
            reach = rights(method, f"/v1/{area}", AREAS[area]).get(Role(role))
            assert ("-" if reach is None else str(reach)[0]) == letter, (area, role, method)


def test_the_table_has_every_area_and_role() -> None:
    assert [row[0] for row in ROWS] == list(AREAS)
    assert set(HEAD) == set(Role)


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
    assert powers(frozenset({"analyst", "agent"})) == Powers(frozenset({"analyst", "agent"}), Reach.ALL, contact=False)
    assert powers(frozenset({"analyst", "reader"})).contact
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
                                                    reader   ingest   analyst  agent    manager  operator admin    owner
POST /v1/parties                                    no       yes      no       yes      yes      yes      yes      yes
POST /v1/parties/1/identifiers                      no       yes      no       yes      yes      yes      yes      yes
POST /v1/parties/1/identifiers/2/correct            no       no       no       no       no       yes      yes      yes
POST /v1/parties/1/identifiers/2/hand-over          no       no       no       no       no       yes      yes      yes
POST /v1/parties/1/identifiers/2/release            no       no       no       no       no       yes      yes      yes
POST /v1/parties/1/merge                            no       no       no       no       no       yes      yes      yes
POST /v1/parties/1/merge-preview                    yes      no       yes      no       yes      yes      yes      yes
POST /v1/parties/1/unmerge                          no       no       no       no       no       yes      yes      yes
POST /v1/parties/1/unmerge-preview                  yes      no       yes      no       yes      yes      yes      yes
POST /v1/duplicates/1/accept                        no       no       no       no       no       yes      yes      yes
POST /v1/duplicates/1/dismiss                       no       no       no       no       no       yes      yes      yes
PUT /v1/duplicates/rules                            no       no       no       no       no       yes      yes      yes
PUT /v1/parties/1/owner                             no       no       no       no       yes      yes      yes      yes
POST /v1/owners/hand-over                           no       no       no       no       no       yes      yes      yes
POST /v1/leads/1/assign                             no       no       no       no       yes      yes      yes      yes
PUT /v1/leads/rubric                                no       no       no       no       no       yes      yes      yes
POST /v1/leads/1/win                                no       yes      no       yes      yes      yes      yes      yes
PATCH /v1/leads/1                                   no       yes      no       yes      yes      yes      yes      yes
PATCH /v1/members/1                                 no       yes      no       no       no       yes      yes      yes
PATCH /v1/groups/1                                  no       yes      no       no       no       yes      yes      yes
PATCH /v1/posts/1                                   no       yes      no       no       no       yes      yes      yes
POST /v1/purchases/1/correct                        no       yes      no       yes      yes      yes      yes      yes
POST /v1/purchases/1/withdraw                       no       yes      no       yes      yes      yes      yes      yes
POST /v1/posts/1/reactions/2/correct                no       yes      no       no       no       yes      yes      yes
POST /v1/standings/1/verify                         yes      no       yes      no       yes      yes      yes      yes
POST /v1/standings/1/merge-preview                  yes      no       yes      no       yes      yes      yes      yes
POST /v1/verify                                     no       no       no       no       no       yes      yes      yes
GET /v1/parties/1                                   yes      no       yes      yes      yes      yes      yes      yes
POST /v1/purchases/bulk                             no       yes      no       no       no       yes      yes      yes
POST /v1/standings/1/overrides                      no       no       no       no       yes      yes      yes      yes
GET /v1/imports/1/rejects                           yes      yes      no       no       no       yes      yes      yes
POST /v1/policies/1/trials                          no       no       yes      no       yes      yes      yes      yes
DELETE /v1/trials/1                                 no       no       yes      no       yes      yes      yes      yes
POST /v1/policies/1/approve                         no       no       no       no       no       no       yes      yes
GET /v1/reports/zoom                                yes      no       yes      yes      yes      yes      yes      yes
GET /v1/reports/flows/moves                         yes      no       yes      yes      yes      yes      yes      yes
GET /v1/reports/losses                              yes      no       yes      no       no       yes      yes      yes
GET /v1/members                                     yes      no       yes      no       no       yes      yes      yes
"""
PEOPLE, *EACH = [line.split() for line in ACTS.strip().splitlines()]


@pytest.mark.parametrize("place", range(len(PEOPLE)), ids=PEOPLE)
async def test_the_door_lets_through_whom_the_cells_name(door: Door, place: int) -> None:
    role = PEOPLE[place]
    async with door.app.state.database.transaction() as session:
        door.keys[role] = make_key(session, role, [Role(role)])[1]

    for method, path, *cells in EACH:
        answer = await door.client.request(method, path, headers=door.key(role))
        refused = answer.status_code == 403
        assert refused is (cells[place] == "no"), (method, path, answer.text)
        if refused:
            names = [who for who, cell in zip(PEOPLE, cells, strict=True) if cell == "yes"]
            assert answer.json() | {"scopes": [role], "needed": sorted(names)} == answer.json()

    passed = [path for _, path, *cells in EACH if cells[place] == "yes"]
    assert not {path for _, path in door.customers.requests + door.scoring.requests} - set(passed)


@pytest.mark.parametrize("path", ["/v1/parties/1/merge%0a", "/v1/parties/1/%0amerge", "/v1/parties/1/merge%09"])
async def test_no_spelling_of_a_path_gets_around_its_right(door: Door, path: str) -> None:
    answer = await door.client.post(path, headers=door.key("ingest"))
    assert answer.status_code == 404
    assert (await door.client.post("/v1/parties/1%2fmerge", headers=door.key("ingest"))).status_code == 403
    assert door.customers.requests == []
