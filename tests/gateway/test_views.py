import pytest

from .conftest import Door

KEPT = {"list": "parties", "name": "Silent and dear", "query": "tier=top&sort=silent"}


async def test_a_view_is_kept_for_whoever_asks_and_for_nobody_else(door: Door) -> None:
    made = await door.client.post("/v1/views", json=KEPT, headers=door.key("reader"))
    assert (made.status_code, made.headers["Location"]) == (201, f"/v1/views/{made.json()['id']}")

    own = (await door.client.get("/v1/views?list=parties", headers=door.key("reader"))).json()
    assert [(view["name"], view["query"]) for view in own["data"]] == [(KEPT["name"], KEPT["query"])]
    assert (await door.client.get("/v1/views?list=others", headers=door.key("reader"))).json()["data"] == []
    assert (await door.client.get("/v1/views", headers=door.key("operator"))).json()["data"] == []
    foreign = await door.client.delete(made.headers["Location"], headers=door.key("operator"))
    assert (foreign.status_code, foreign.json()["code"]) == (404, "view_not_found")
    assert (await door.client.get("/v1/views", headers=door.key("ingest"))).status_code == 403


async def test_the_same_name_again_means_something_else_from_then_on(door: Door) -> None:
    first = await door.client.post("/v1/views", json=KEPT)
    again = await door.client.post("/v1/views", json=KEPT | {"query": "stage=customer"})
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    [view] = (await door.client.get("/v1/views")).json()["data"]
    assert view["query"] == "stage=customer"


async def test_a_view_that_is_removed_is_gone(door: Door) -> None:
    made = await door.client.post("/v1/views", json=KEPT)
    assert (await door.client.delete(made.headers["Location"])).status_code == 204
    assert (await door.client.delete(made.headers["Location"])).status_code == 404


async def test_views_come_page_by_page_and_nobody_keeps_too_many(door: Door) -> None:
    for number in range(100):
        assert (await door.client.post("/v1/views", json=KEPT | {"name": str(number)})).status_code == 201
    full = await door.client.post("/v1/views", json=KEPT | {"name": "one more"})
    assert (full.status_code, full.json()["code"]) == (409, "too_many_views")
    page = (await door.client.get("/v1/views?limit=60")).json()
    rest = (await door.client.get("/v1/views", params={"limit": 60, "cursor": page["next_cursor"]})).json()
    assert [view["name"] for view in page["data"] + rest["data"]] == [str(number) for number in range(100)]


@pytest.mark.parametrize("name", ["", " ", "\0", "a\0", "\x1f"])
async def test_a_name_that_cannot_be_read_is_none(door: Door, name: str) -> None:
    assert (await door.client.post("/v1/views", json=KEPT | {"name": name})).status_code == 422
