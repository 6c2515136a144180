"""Referrals over HTTP: made, named, redeemed, and what becomes of them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from contracts.identity import Scheme
from tests.community.conftest import uuid

ADA = {"scheme": "email", "value": "ada@example.org"}
BEN = {"scheme": "email", "value": "ben@example.org"}
CID = {"scheme": "phone", "value": "+442079460123"}


def made(**other):
    return {"identifier": ADA, "occurred_at": "2026-01-05T10:00:00Z"} | other


async def refer(api, **other):
    answer = await api.post("/v1/referrals", json=made(**other))
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def test_a_referral_of_somebody_named_is_told_of_both(api, here, published):
    answer = await api.post("/v1/referrals", json=made(referred=BEN))
    assert (answer.status_code, answer.headers["etag"], answer.json()["outcome"]) == (201, '"1"', "open")
    ada, ben = (here.identity(Scheme.EMAIL, one["value"]).id for one in (ADA, BEN))
    (first, who, told), (second, whom, named) = await published()
    assert (first, who, told["referred_id"]) == ("referral_made", str(ada), str(ben))
    assert (second, whom, named["referrer_id"]) == ("person_referred", str(ben), str(ada))
    assert told["referral_id"] == named["referral_id"] == str(uuid(answer.json()["id"]))
    assert "example" not in str((told, named))
    assert (await api.get(answer.headers["location"])).json() == answer.json()


async def test_a_code_is_made_or_given_and_found_in_any_capitals(api):
    first, second = await refer(api), await refer(api)
    assert len({first["code"], second["code"]}) == 2
    assert len(first["code"]) == 8
    summer = await refer(api, code="Summer-26")
    for spelling in ("SUMMER-26", "summer-26"):
        [found] = (await api.get("/v1/referrals", params={"code": spelling})).json()["data"]
        assert (found["id"], found["code"]) == (summer["id"], "Summer-26")
    assert (await api.get("/v1/referrals", params={"code": "winter"})).json()["data"] == []
    taken = await api.post("/v1/referrals", json=made(identifier=CID, code="SUMMER-26"))
    assert (taken.status_code, taken.json()["code"], taken.json()["existing_id"]) == (409, "code_taken", summer["id"])
    assert (await api.post("/v1/referrals", json=made(code="a b c d"))).status_code == 422


async def test_the_same_again_changes_nothing_and_other_content_is_a_conflict(api, published):
    told = {"source": "shop", "source_id": "r1"}
    first = await refer(api, **told)
    assert await refer(api, **told) == await refer(api, **told, code=first["code"].lower()) == first
    assert await refer(api, code=first["code"]) == first
    for other in ({"identifier": CID}, {"referred": BEN}, {"occurred_at": "2026-01-06T10:00:00Z"}, {"code": "OTHER"}):
        answer = await api.post("/v1/referrals", json=made(**told | other))
        assert (answer.status_code, answer.json()["code"]) == (409, "referral_conflict"), other
        assert answer.json()["existing_id"] == first["id"]
    assert len(await published()) == 1


async def test_a_member_refers_under_its_own_identity(api, member, published):
    ann = await member("ann")
    await published()
    answer = await api.post("/v1/referrals", json={"member_id": ann["id"]})
    assert (answer.json()["referrer_id"], answer.json()["member_id"]) == (ann["identity_id"], ann["id"])
    [(kind, subject, _)] = await published()
    assert (kind, subject.replace("-", "")) == ("referral_made", ann["identity_id"].removeprefix("identity_"))
    found = (await api.get("/v1/referrals", params={"member_id": ann["id"]})).json()["data"]
    assert [row["id"] for row in found] == [answer.json()["id"]]
    unknown = await api.post("/v1/referrals", json={"member_id": f"member_{1:032x}"})
    assert unknown.json()["code"] == "member_not_found"


async def test_who_comes_with_the_code_is_named_once(api, here, published):
    first = await refer(api, code="HELLO")
    await published()
    redeemed = await api.post("/v1/referrals/redeem", json={"code": "hello", "identifier": BEN})
    assert (redeemed.status_code, redeemed.json()["id"], redeemed.json()["version"]) == (200, first["id"], 2)
    assert uuid(redeemed.json()["referred_id"]) == here.identity(Scheme.EMAIL, "ben@example.org").id
    again = await api.post(f"/v1/referrals/{first['id']}/name", json={"identifier": BEN})
    assert again.json() == redeemed.json()
    other = await api.post("/v1/referrals/redeem", json={"code": "HELLO", "identifier": CID})
    assert (other.status_code, other.json()["code"]) == (409, "already_referred")
    assert [kind for kind, _, _ in await published()] == ["person_referred"]
    unknown = await api.post("/v1/referrals/redeem", json={"code": "NOBODY", "identifier": CID})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "referral_not_found")


async def test_the_same_person_under_another_identifier_is_still_the_same(api, here, told):
    ben, cid = here.identity(Scheme.EMAIL, "ben@example.org").id, here.identity(Scheme.PHONE, CID["value"]).id
    await told({cid: [(ben, None)]})
    first = await refer(api, referred=BEN)
    answer = await api.post(f"/v1/referrals/{first['id']}/name", json={"identifier": CID})
    assert (answer.status_code, answer.json()["version"]) == (200, 1)


async def test_nobody_refers_themselves_under_whatever_identifier(api, here, told):
    ada, cid = here.identity(Scheme.EMAIL, "ada@example.org").id, here.identity(Scheme.PHONE, CID["value"]).id
    await told({cid: [(ada, None)]})
    for whom in (ADA, CID):
        answer = await api.post("/v1/referrals", json=made(referred=whom))
        assert (answer.status_code, answer.json()["code"]) == (422, "referred_themselves")
    first = await refer(api)
    answer = await api.post(f"/v1/referrals/{first['id']}/name", json={"identifier": CID})
    assert answer.json()["code"] == "referred_themselves"


async def test_a_sale_is_told_of_who_referred(api, here, published):
    first = await refer(api, referred=BEN)
    await published()
    path = f"/v1/referrals/{first['id']}/convert"
    sale = {"occurred_at": "2026-02-01T10:00:00Z", "amount_minor": 9900, "currency": "EUR"}
    sold = await api.post(path, json=sale, headers={"If-Match": '"1"'})
    assert (sold.json()["outcome"], sold.json()["amount_minor"], sold.headers["etag"]) == ("converted", 9900, '"2"')
    assert (await api.post(path, json=sale)).json() == sold.json()
    [(kind, subject, data)] = await published()
    ada, ben = (here.identity(Scheme.EMAIL, one["value"]).id for one in (ADA, BEN))
    assert (kind, subject, data["referred_id"]) == ("referral_converted", str(ada), str(ben))
    assert (data["amount_minor"], data["currency"]) == (9900, "EUR")
    other = await api.post(path, json=sale | {"amount_minor": 1})
    assert (other.status_code, other.json()["code"]) == (409, "already_converted")
    ended = await api.post(f"/v1/referrals/{first['id']}/expire", json={})
    assert ended.json()["code"] == "already_converted"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"amount_minor": 5}, "amount_without_currency"),
        ({"currency": "EUR"}, "amount_without_currency"),
        ({"amount_minor": -5, "currency": "EUR"}, "invalid_request"),
        ({"amount_minor": 5, "currency": "EUX"}, "invalid_request"),
        ({"occurred_at": "2026-01-04T10:00:00Z"}, "ends_too_early"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, "future_date"),
    ],
)
async def test_what_cannot_be_a_sale_is_refused(api, wrong, code):
    first = await refer(api)
    answer = await api.post(f"/v1/referrals/{first['id']}/convert", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_a_referral_expires_by_its_date_and_a_sale_before_that_still_counts(api):
    with time_machine.travel(datetime(2026, 1, 5, 12, tzinfo=UTC), tick=True):
        first = await refer(api, code="SOON", expires_at="2026-02-01T00:00:00Z")
        early = await api.post("/v1/referrals", json=made(expires_at="2026-01-05T10:00:00Z"))
        assert early.json()["code"] == "ends_too_early"
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=True):
        assert (await api.get(f"/v1/referrals/{first['id']}")).json()["outcome"] == "expired"
        late = await api.post("/v1/referrals/redeem", json={"code": "SOON", "identifier": BEN})
        assert (late.status_code, late.json()["code"]) == (409, "referral_expired")
        path = f"/v1/referrals/{first['id']}/convert"
        assert (await api.post(path, json={})).json()["code"] == "referral_expired"
        told_late = await api.post(path, json={"occurred_at": "2026-01-31T23:00:00Z"})
        assert told_late.json()["outcome"] == "converted"


async def test_a_referral_is_ended_by_hand_once(api):
    first = await refer(api, expires_at=(datetime.now(UTC) + timedelta(days=9)).isoformat())
    ended = (await api.post(f"/v1/referrals/{first['id']}/expire", json={}, headers={"If-Match": '"1"'})).json()
    assert (ended["outcome"], ended["version"]) == ("expired", 2)
    assert (await api.post(f"/v1/referrals/{first['id']}/expire", json={})).json() == ended


async def test_a_withdrawn_referral_takes_all_its_facts_along_and_frees_its_code(api, published):
    first = await refer(api, referred=BEN, code="GONE", source_id="r1")
    await api.post(f"/v1/referrals/{first['id']}/convert", json={})
    facts = {(subject, data["_id"]) for _, subject, data in await published()}
    path = f"/v1/referrals/{first['id']}"
    gone = (await api.post(f"{path}/withdraw", json={})).json()
    assert (await api.post(f"{path}/withdraw", json={})).json() == gone
    events = await published()
    assert [kind for kind, _, _ in events] == ["fact_withdrawn"] * 3
    assert {(subject, data["fact_id"]) for _, subject, data in events} == facts
    for operation, body in (("name", {"identifier": CID}), ("convert", {}), ("expire", {})):
        assert (await api.post(f"{path}/{operation}", json=body)).json()["code"] == "already_withdrawn"
    assert (await api.get("/v1/referrals", params={"code": "gone"})).json()["data"] == []
    assert (await refer(api, code="GONE", source_id="r1"))["id"] != first["id"]


async def test_referrals_are_narrowed_by_what_became_of_them_and_paged(api):
    ids = [(await refer(api, occurred_at=f"2026-01-0{day}T10:00:00Z"))["id"] for day in range(1, 6)]
    await api.post(f"/v1/referrals/{ids[0]}/convert", json={})
    await api.post(f"/v1/referrals/{ids[1]}/expire", json={})

    async def found(**params):
        return [row["id"] for row in (await api.get("/v1/referrals", params=params)).json()["data"]]

    assert await found(outcome="converted") == ids[:1]
    assert await found(outcome="expired") == ids[1:2]
    assert await found(outcome="open") == ids[:1:-1]
    assert await found(since="2026-01-02T10:00:00Z", until="2026-01-04T10:00:00Z") == [ids[2], ids[1]]
    first = (await api.get("/v1/referrals", params={"limit": 2})).json()
    second = (await api.get("/v1/referrals", params={"limit": 9, "cursor": first["next_cursor"]})).json()
    assert [row["id"] for row in first["data"] + second["data"]] == ids[::-1]


async def test_a_code_redeemed_by_several_at_once_is_one_person_s(api, published):
    await refer(api, code="RACE")
    await published()
    answers = await asyncio.gather(
        *(
            api.post(
                "/v1/referrals/redeem",
                json={"code": "race", "identifier": {"scheme": "email", "value": f"p{number}@example.org"}},
            )
            for number in range(6)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    assert [kind for kind, _, _ in await published()] == ["person_referred"]


async def test_who_refers_is_said_exactly_once(api):
    assert (await api.post("/v1/referrals", json={})).status_code == 422
    both = await api.post("/v1/referrals", json=made(member_id=f"member_{1:032x}"))
    assert both.status_code == 422
    bad = await api.post("/v1/referrals", json=made(identifier={"scheme": "email", "value": "secret person"}))
    assert (bad.status_code, "secret" in bad.text) == (422, False)
    assert (await api.get(f"/v1/referrals/referral_{1:032x}")).json()["code"] == "referral_not_found"
