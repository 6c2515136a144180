from typing import Any

import httpx
import pytest

from gateway.domain.passwords import COMMONEST, SHORTEST, WeakPassword, check_password
from gateway.domain.users import LastOwner, OwnersAlone, check_may_administer, check_owner_left, id_of_subject

from .conftest import Door
from .people import OTHER, PASSWORD, Person, accept, owner, person, refused, sign_in

SARA: dict[str, Any] = {"name": "Sara", "email": "sara@example.com", "roles": ["agent"]}


def test_only_an_owner_acts_on_owners() -> None:
    check_may_administer({"admin"}, ["agent"], ["operator"])
    check_may_administer({"owner", "admin"}, ["owner"])
    for roles in ((["owner"],), (["agent"], ["owner", "agent"])):
        with pytest.raises(OwnersAlone):
            check_may_administer({"admin"}, *roles)


def test_an_owner_always_stays() -> None:
    check_owner_left(1)
    with pytest.raises(LastOwner):
        check_owner_left(0)


def test_a_subject_of_an_issuer_always_has_the_same_id_and_no_other_has_it() -> None:
    one = id_of_subject("https://id.example.com", "42")
    assert one == id_of_subject("https://id.example.com", "42")
    assert one.version == 8
    assert len({one, id_of_subject("https://id.example.com", "43"), id_of_subject("https://id.example.org", "42")}) == 3


def test_a_password_is_long_and_neither_common_nor_ones_own_name() -> None:
    check_password("correct battery staple", email="sara@example.com", name="Sara Lee")
    for weak, reason in {
        "short": "short",
        "x" * 257: "long",
        "aaaaaaaaaaaa": "common",
        "abababababab": "common",
        "Password1234": "common",
        "Sara@Example.com": "own",
        "saraleesaralee": "own",
    }.items():
        with pytest.raises(WeakPassword) as refusal:
            check_password(weak, email="sara@example.com", name="Sara Lee")
        assert refusal.value.extensions["reason"] == reason, weak
    assert min(map(len, COMMONEST)) >= SHORTEST


async def test_the_first_person_comes_by_a_link_that_works_once_and_is_the_owner(door: Door) -> None:
    link = (await door.client.post("/v1/invitations/first")).json()
    assert link["path"] == f"/invitation?token={link['token']}"
    told = (await door.client.post("/v1/invitations/read", json={"token": link["token"]})).json()
    assert (told["kind"], told["name"], told["shortest"]) == ("first", None, 12)
    assert refused(await accept(door.client, link["token"])) == (422, "who_is_first")
    assert refused(await accept(door.client, link["token"], "too short", name="O", email="o@example.com")) == (
        422,
        "weak_password",
    )
    answer = await accept(door.client, link["token"], name="Olga", email="Olga@Example.com")
    assert answer.status_code == 201
    said = answer.json()
    assert (said["user"]["roles"], said["user"]["name"]) == (["owner"], "Olga")
    assert refused(await accept(door.client, link["token"], name="X", email="x@example.com"))[0] == 404
    assert refused(await door.client.post("/v1/invitations/first")) == (409, "first_person_there")
    assert (await sign_in(door.client, " olga@EXAMPLE.com ")).status_code == 201


async def test_a_new_link_for_the_first_person_takes_the_place_of_the_one_before(door: Door) -> None:
    before, after = [(await door.client.post("/v1/invitations/first")).json()["token"] for _ in range(2)]
    assert refused(await accept(door.client, before, name="X", email="x@example.com")) == (404, "invitation_not_found")
    assert (await accept(door.client, after, name="X", email="x@example.com")).status_code == 201


async def test_a_link_works_no_more_after_a_week(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    link = (await door.client.post("/v1/invitations/first")).json()
    monkeypatch.setenv("SHUKE_CLOCK_OFFSET", "P7D")
    assert refused(await accept(door.client, link["token"], name="X", email="x@example.com"))[0] == 404


async def test_a_person_is_made_with_a_link_and_read_with_all_that_is_known(door: Door) -> None:
    made = await door.client.post("/v1/users", json=SARA)
    said = made.json()
    assert made.headers["Location"] == f"/v1/users/{said['id']}"
    read = await door.client.get(made.headers["Location"])
    assert {**read.json(), "invitation": said["invitation"]} == said
    assert (said["account"]["has_password"], said["account"]["version"], read.headers["ETag"]) == (False, 1, '"1"')
    assert refused(await sign_in(door.client, SARA["email"], OTHER)) == (401, "sign_in_failed")
    assert (await accept(door.client, said["invitation"]["token"])).status_code == 201
    assert (await door.client.get(made.headers["Location"])).json()["account"]["has_password"] is True


async def test_no_two_people_have_one_address(door: Door) -> None:
    made = (await door.client.post("/v1/users", json=SARA)).json()
    again = await door.client.post("/v1/users", json={**SARA, "email": "SARA@example.com"})
    assert refused(again) == (409, "email_taken")
    assert again.json()["existing_id"] == made["id"]
    other = (await door.client.post("/v1/users", json={**SARA, "email": "tom@example.com"})).json()
    moved = await door.client.patch(f"/v1/users/{other['id']}", json={"email": "Sara@example.com"})
    assert refused(moved) == (409, "email_taken")


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "no address"},
        {"roles": []},
        {"roles": ["king"]},
        {"name": "   "},
        {"name": "a\x00b"},
        {"team_id": f"team_{'0' * 32}"},
        {"password": "as the administrator likes"},
    ],
    ids=str,
)
async def test_what_a_person_cannot_be_is_refused(door: Door, wrong: dict[str, Any]) -> None:
    answer = await door.client.post("/v1/users", json={**SARA, **wrong})
    assert answer.status_code in (404, 422), answer.text
    assert (await door.client.get("/v1/users")).json()["data"] == []


async def test_names_are_for_everybody_and_accounts_for_who_administers_people(door: Door) -> None:
    sara = await person(door, "sara@example.com", "agent")
    tom = await person(door, "tom@example.com", "reader")
    shown = (await door.client.get("/v1/users", params={"ids": [sara.id, tom.id]}, headers=sara.bearer)).json()["data"]
    assert shown == [
        {"id": sara.id, "name": "Sara", "team_id": None, "disabled": False, "account": None},
        {"id": tom.id, "name": "Tom", "team_id": None, "disabled": False, "account": None},
    ]
    assert (await door.client.get(f"/v1/users/{tom.id}", headers=sara.bearer)).json()["account"] is None
    for method, path in (
        ("POST", "/v1/users"),
        ("PATCH", f"/v1/users/{tom.id}"),
        ("POST", f"/v1/users/{tom.id}/disable"),
    ):
        answer = await door.client.request(method, path, json={}, headers=sara.bearer)
        assert refused(answer) == (403, "forbidden")
    assert (await door.client.get(f"/v1/users/{tom.id}")).json()["account"]["email"] == "tom@example.com"


async def test_people_are_found_by_part_of_a_name_team_role_and_page_by_page(door: Door) -> None:
    team = (await door.client.post("/v1/teams", json={"name": "North"})).json()["id"]
    for name, roles in (
        ("Ann Lee", ["agent"]),
        ("bea lee", ["manager"]),
        ("陳大文", ["agent"]),
        ("100% Tom", ["agent"]),
    ):
        wanted = {"name": name, "email": f"p{len(name)}{ord(name[0])}@example.com", "roles": roles, "team_id": team}
        assert (await door.client.post("/v1/users", json=wanted)).status_code == 201

    async def names(**asked: Any) -> list[str]:
        return [each["name"] for each in (await door.client.get("/v1/users", params=asked)).json()["data"]]

    assert await names(q="LEE") == ["Ann Lee", "bea lee"]
    assert await names(q="大") == ["陳大文"]
    assert await names(q="%") == ["100% Tom"]
    assert await names(role="manager") == ["bea lee"]
    assert await names(team_id=f"team_{'0' * 32}") == []
    assert await names(disabled="true") == []
    seen: list[str] = []
    cursor = None
    while True:
        asked = {"limit": 1, "team_id": team} | ({"cursor": cursor} if cursor else {})
        page = (await door.client.get("/v1/users", params=asked)).json()
        seen += [each["name"] for each in page["data"]]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert seen == ["100% Tom", "Ann Lee", "bea lee", "陳大文"]
    assert refused(await door.client.get("/v1/users", params={"cursor": "x"})) == (400, "bad_cursor")


async def test_a_change_names_the_version_that_was_seen(door: Door) -> None:
    made = (await door.client.post("/v1/users", json=SARA)).json()
    path = f"/v1/users/{made['id']}"
    changed = await door.client.patch(path, json={"name": "Sarah"}, headers={"If-Match": '"1"'})
    assert (changed.json()["name"], changed.headers["ETag"]) == ("Sarah", '"2"')
    same = await door.client.patch(path, json={"name": "Sarah", "roles": ["agent", "agent"]})
    assert same.headers["ETag"] == '"2"'
    assert refused(await door.client.patch(path, json={"name": "S"}, headers={"If-Match": '"1"'})) == (
        412,
        "precondition_failed",
    )
    assert refused(await door.client.patch(path, json={"name": "S", "version": 1})) == (409, "stale_version")
    assert refused(await door.client.patch(path, json={"roles": None}))[0] == 422
    assert refused(await door.client.patch(f"/v1/users/user_{'0' * 32}", json={"name": "S"})) == (404, "user_not_found")


async def test_rights_follow_the_roles_at_once(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    assert (await door.client.get("/v1/status", headers=sara.bearer)).status_code == 403
    await door.client.patch(f"/v1/users/{sara.id}", json={"roles": ["operator"]})
    assert (await door.client.get("/v1/me", headers=sara.bearer)).json()["roles"] == ["operator"]
    assert (await door.client.get("/v1/status", headers=sara.bearer)).status_code != 403


async def test_an_admin_neither_makes_nor_changes_nor_disables_an_owner(door: Door) -> None:
    olga = await owner(door)
    admin = await person(door, "adam@example.com", "admin")
    alone = (403, "owners_alone")
    for method, path, body in (
        ("POST", "/v1/users", {**SARA, "roles": ["owner"]}),
        ("PATCH", f"/v1/users/{admin.id}", {"roles": ["owner", "admin"]}),
        ("PATCH", f"/v1/users/{olga.id}", {"email": "mine@example.com"}),
        ("POST", f"/v1/users/{olga.id}/disable", None),
        ("POST", f"/v1/users/{olga.id}/invite", None),
        ("POST", f"/v1/users/{olga.id}/reset-second-step", None),
        ("POST", f"/v1/users/{olga.id}/end-sessions", None),
    ):
        assert refused(await door.client.request(method, path, json=body, headers=admin.bearer)) == alone, path
    assert (
        await door.client.post("/v1/users", json={**SARA, "roles": ["owner"]}, headers=olga.bearer)
    ).status_code == 201


async def test_the_last_owner_stays_one_and_may_sign_in(door: Door) -> None:
    olga = await owner(door)
    path = f"/v1/users/{olga.id}"
    last = (409, "last_owner")
    assert refused(await door.client.post(f"{path}/disable", headers=olga.bearer)) == last
    assert refused(await door.client.patch(path, json={"roles": ["admin"]}, headers=olga.bearer)) == last
    invited = {**SARA, "roles": ["owner"]}
    token = (await door.client.post("/v1/users", json=invited, headers=olga.bearer)).json()["invitation"]["token"]
    assert refused(await door.client.post(f"{path}/disable", headers=olga.bearer)) == last
    await accept(door.client, token)
    assert (await door.client.post(f"{path}/disable", headers=olga.bearer)).json()["disabled"] is True


async def test_a_disabled_person_is_out_at_once_and_comes_back_with_the_old_password(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    path = f"/v1/users/{sara.id}"
    assert (await door.client.get("/v1/me", headers=sara.bearer)).status_code == 200
    assert (await door.client.post(f"{path}/disable")).json()["disabled"] is True
    assert (await door.client.post(f"{path}/disable")).headers["ETag"] == '"2"'
    assert refused(await sign_in(door.client, sara.email)) == (403, "user_disabled")
    assert refused(await sign_in(door.client, sara.email, OTHER)) == (401, "sign_in_failed")
    assert (await door.client.post(f"{path}/enable")).json()["disabled"] is False
    assert refused(await door.client.get("/v1/me", headers=sara.bearer)) == (401, "unauthorized")
    assert (await sign_in(door.client, sara.email)).status_code == 201


async def test_a_link_resets_a_password_and_ends_what_was_open(door: Door) -> None:
    sara = await person(door, "sara@example.com", "reader")
    link = (await door.client.post(f"/v1/users/{sara.id}/invite")).json()
    told = (await door.client.post("/v1/invitations/read", json={"token": link["token"]})).json()
    assert (told["kind"], told["name"], told["email"]) == ("reset", "Sara", "sara@example.com")
    assert (await sign_in(door.client, sara.email)).status_code == 201
    assert (await accept(door.client, link["token"], OTHER)).status_code == 201
    assert refused(await door.client.get("/v1/me", headers=sara.bearer)) == (401, "unauthorized")
    assert refused(await sign_in(door.client, sara.email, PASSWORD)) == (401, "sign_in_failed")
    assert (await sign_in(door.client, sara.email, OTHER)).status_code == 201


async def test_a_link_of_somebody_disabled_meanwhile_works_no_more(door: Door) -> None:
    made = (await door.client.post("/v1/users", json=SARA)).json()
    await door.client.post(f"/v1/users/{made['id']}/disable")
    assert refused(await accept(door.client, made["invitation"]["token"])) == (404, "invitation_not_found")


async def test_no_link_is_kept_for_an_idempotency_key(door: Door) -> None:
    key = {"Idempotency-Key": "once"}
    assert (await door.client.post("/v1/users", json=SARA, headers=key)).status_code == 201
    assert refused(await door.client.post("/v1/users", json=SARA, headers=key)) == (409, "email_taken")


async def test_teams_are_found_by_a_part_of_their_name(door: Door) -> None:
    for name in ("North 100%", "Northwest", "South"):
        await door.client.post("/v1/teams", json={"name": name})
    found = {q: (await door.client.get("/v1/teams", params={"q": q})).json()["data"] for q in ("NORTH", "0%", "east")}
    names = {q: [team["name"] for team in teams] for q, teams in found.items()}
    assert names == {"NORTH": ["North 100%", "Northwest"], "0%": ["North 100%"], "east": []}


async def test_a_team_is_made_renamed_filled_and_removed(door: Door) -> None:
    made = await door.client.post("/v1/teams", json={"name": "North"}, headers={"Idempotency-Key": "north"})
    again = await door.client.post("/v1/teams", json={"name": "North"}, headers={"Idempotency-Key": "north"})
    path = made.headers["Location"]
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (made.json(), "true")
    assert refused(await door.client.post("/v1/teams", json={"name": "NORTH"})) == (409, "team_name_taken")
    sara = await person(door, "sara@example.com", "agent", team_id=made.json()["id"])
    me = (await door.client.get("/v1/me", headers=sara.bearer)).json()
    assert (me["team"], me["reach"]) == ({"id": made.json()["id"], "name": "North"}, "team")
    renamed = await door.client.patch(path, json={"name": "Nord"}, headers={"If-Match": '"1"'})
    assert (renamed.json()["members"], renamed.headers["ETag"]) == (1, '"2"')
    in_use = await door.client.delete(path)
    assert (refused(in_use), in_use.json()["people"]) == ((409, "team_in_use"), 1)
    await door.client.patch(f"/v1/users/{sara.id}", json={"team_id": None})
    assert refused(await door.client.delete(path, headers={"If-Match": '"1"'})) == (412, "precondition_failed")
    assert (await door.client.delete(path)).status_code == 204
    assert refused(await door.client.get(path)) == (404, "team_not_found")
    assert (await door.client.get("/v1/teams", headers=sara.bearer)).json()["data"] == []


async def who(client: httpx.AsyncClient, someone: Person) -> Any:
    return (await client.get("/v1/me", headers=someone.bearer)).json()


async def test_people_change_their_own_name_language_and_time_zone(door: Door) -> None:
    sara = await person(door, "sara@example.com", "analyst")
    me = await who(door.client, sara)
    assert (me["id"], me["language"], me["contact"], me["reach"]) == (sara.id, "en", False, "all")
    wanted = {"name": "Sára", "language": "zh-Hant", "time_zone": "Asia/Taipei", "search_key": False}
    changed = await door.client.patch("/v1/me", json=wanted, headers={**sara.bearer, "If-Match": '"1"'})
    assert {**changed.json(), **wanted} == changed.json()
    assert (await who(door.client, sara)) == changed.json()
    for wrong, code in (({"time_zone": "Mars/Olympus"}, "no_such_time_zone"), ({"language": "fr"}, "invalid_request")):
        assert refused(await door.client.patch("/v1/me", json=wrong, headers=sara.bearer)) == (422, code)
    assert refused(await door.client.patch("/v1/me", json={"roles": ["owner"]}, headers=sara.bearer))[0] == 422
    stale = await door.client.patch("/v1/me", json={"name": "S"}, headers={**sara.bearer, "If-Match": '"1"'})
    assert refused(stale) == (412, "precondition_failed")


async def test_an_api_key_is_somebody_without_sessions_and_password(door: Door) -> None:
    me = (await door.client.get("/v1/me")).json()
    assert (me["name"], me["roles"], me["email"], me["language"]) == ("admin", ["admin"], None, None)
    for method, path in (("GET", "/v1/sessions"), ("PATCH", "/v1/me"), ("DELETE", "/v1/sessions/current")):
        answer = await door.client.request(method, path, json={} if method == "PATCH" else None)
        assert refused(answer) == (403, "people_alone")
