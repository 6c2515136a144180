"""Possible duplicates over HTTP, and the automatic merges that leave none."""

import asyncio
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest

from chassis.auth import HEADER, Caller, Reach
from chassis.consumer import Delivery
from chassis.db import driver
from chassis.http import encode_cursor
from chassis.ids import uuid7
from contracts.identity import Scheme, given
from contracts.leads import LeadCaptured, LeadFactWithdrawn
from contracts.topics import LEADS
from services.customers.domain.duplicates import Rules
from services.customers.handlers.duplicates import decide_pairs
from services.customers.handlers.hearing import hear
from services.customers.queries.merges import merge, unmerge

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULES = Rules().model_dump(mode="json")


@pytest.fixture
def heard(database):
    """Hear events of leads; the ids under which they came."""
    numbers = count(1)

    async def tell(*events):
        batch = [Delivery(event, uuid7(), LEADS.name, 0, 1, next(numbers), NOON) for event in events]
        async with database.transaction() as session:
            await hear(session, batch)
        return [each.event_id for each in batch]

    return tell


@pytest.fixture
def lead(here):
    def make(*identifiers, source="website", at=NOON):
        found = [here.identity(*each[:2], system=each[2] if len(each) > 2 else None) for each in identifiers]
        return LeadCaptured(
            subject=found[0].id,
            occurred_at=at,
            lead_id=uuid7(),
            source=source,
            other_identities=tuple(each.id for each in found[1:]),
            given=tuple(map(given, found)),
        )

    return make


@pytest.fixture
def born(here):
    """The party that an identifier was first held by, where it became known alone."""
    return lambda scheme, value: f"party_{here.identity(scheme, value).id.hex}"


def email(value):
    return Scheme.EMAIL, value


def phone(value):
    return Scheme.PHONE, value


def named(scheme, value, system=None):
    return {"scheme": str(scheme), "value": value} | ({"system": system} if system else {})


async def registered(api, *identifiers):
    answer = await api.post("/v1/parties", json={"identifiers": [named(*each) for each in identifiers]})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def one_of(api, *identifiers):
    """The ids of the parties that hold the identifiers."""
    found = []
    for scheme, value, *system in identifiers:
        asked = {"scheme": str(scheme), "value": value} | ({"system": system[0]} if system else {})
        [party] = (await api.get("/v1/parties", params=asked)).json()["data"]
        found.append(party["id"])
    return found


async def queue(api, **filters):
    answer = await api.get("/v1/duplicates", params=filters)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def weakly_tied(api, heard, lead, decided, number=0):
    """Two parties that came together in what another system than the id's own told; the possible duplicate."""
    mail, other = email(f"ann{number}@x.example"), (Scheme.EXTERNAL, f"77{number}", "shop")
    await registered(api, mail)
    await registered(api, other)
    await heard(lead(mail, other))
    await decided()
    return mail, other


async def test_a_lead_s_e_mail_and_phone_become_one_party_and_the_event_says_so(api, heard, lead, decided, published):
    mail, call = email("ann@x.example"), phone("+4930111222")
    await registered(api, mail)
    await published()
    await heard(lead(mail, call))
    await decided()
    [(kind, _, data)] = await published()
    assert kind == "identities_assigned"
    assert len({row["holdings"][0]["party_id"] for row in data["assignments"]}) == 1
    [party] = await one_of(api, mail)
    [merge] = (await api.get(f"/v1/parties/{party}/merges")).json()["data"]
    assert (merge["kind"], merge.get("merged_by")) == ("automatic", None)
    assert await queue(api) == []


async def test_a_withdrawn_lead_takes_its_merge_back(api, heard, lead, decided):
    mail, call = email("ann@x.example"), phone("+4930111222")
    await registered(api, mail)
    await registered(api, call)
    captured = lead(mail, call)
    [fact, other] = await heard(captured, lead(mail, call))
    await decided()
    assert len(set(await one_of(api, mail, call))) == 1
    for taken_back, parties in ((fact, 1), (other, 2)):
        await heard(LeadFactWithdrawn(subject=captured.subject, occurred_at=NOON, fact_id=taken_back))
        await decided()
        assert len(set(await one_of(api, mail, call))) == parties


async def test_a_shared_phone_takes_its_merges_back_and_keeps_a_person_s(api, heard, lead, decided, born):
    call = phone("+4930111222")
    mails = [email(f"p{number}@x.example") for number in range(4)]
    for each in (call, *mails):
        await registered(api, each)
    for mail in mails[:3]:
        await heard(lead(mail, call))
    await decided()
    assert len(set(await one_of(api, call, *mails))) == 2
    merged = await api.post(f"/v1/parties/{born(*mails[0])}/merge", json={"party_id": born(*call)})
    assert (merged.status_code, merged.json()["kind"], merged.json()["merged_by"]) == (201, "person", "tests")
    await heard(lead(mails[3], call))
    await decided()
    parties = await one_of(api, call, *mails)
    assert parties[0] == parties[1]
    assert len(set(parties)) == 4
    [shared] = (await api.get("/v1/identifiers/shared")).json()["data"]
    assert (shared["value"], shared["claims"], shared["party_id"]) == (call[1], 4, parties[0])
    assert {found["score"] for found in await queue(api)} == {10}


async def test_nothing_merges_again_by_itself_what_a_person_unmerged(api, heard, lead, decided):
    mail, call = email("ann@x.example"), phone("+4930111222")
    await registered(api, mail)
    await registered(api, call)
    await heard(lead(mail, call))
    await decided()
    [party, _] = await one_of(api, mail, call)
    [merge] = (await api.get(f"/v1/parties/{party}/merges")).json()["data"]
    undone = await api.post(f"/v1/parties/{party}/unmerge", json={"merge_id": merge["id"]})
    assert undone.json()["unmerged_by"] == "tests"
    await heard(lead(mail, call, source="fair"))
    await decided()
    assert len(set(await one_of(api, mail, call))) == 2
    assert await queue(api) == []
    [dismissed] = await queue(api, status="dismissed")
    assert (dismissed["score"], dismissed["decided_by"]) == (90, "tests")
    again = await api.post(f"/v1/parties/{party}/merge", json={"party_id": merge["other_id"]})
    assert again.status_code == 201
    await decided()
    assert [found["id"] for found in await queue(api, status="accepted")] == [dismissed["id"]]


async def test_identifiers_of_one_party_seen_together_again_change_nothing(api, heard, lead, decided, published):
    mail, call = email("ann@x.example"), phone("+4930111222")
    await registered(api, mail, call)
    await published()
    await heard(lead(mail, call))
    await decided()
    assert await published() == []
    assert await queue(api) == []


async def test_a_possible_duplicate_shows_both_parties_and_who_told_it(api, heard, lead, decided):
    mail, other = await weakly_tied(api, heard, lead, decided)
    await heard(lead(mail, other))
    await decided()
    purchase = {"occurred_at": "2026-01-05T10:00:00Z", "currency": "EUR", "amount_minor": 1_250}
    assert (await api.post("/v1/purchases", json=purchase | {"identifier": named(*mail)})).status_code == 201
    [found] = await queue(api)
    shown = (await api.get(f"/v1/duplicates/{found['id']}")).json()
    assert (shown["status"], shown["kinds"], shown["score"]) == ("open", ["seen_together"], 60)
    [evidence] = shown["evidence"]
    assert {evidence["one"]["value"], evidence["other"]["value"]} == {"ann0@x.example", "770"}
    assert evidence["obstacle"] == "other_system"
    [told] = evidence["told"]
    assert (told["service"], told["what"], told["source"], told["times"]) == ("leads", "lead_captured", "website", 2)
    spent = {side["party"]["id"]: side["belongings"] for side in shown["sides"]}
    [own] = await one_of(api, mail)
    assert spent[own]["purchases"] == 1
    assert spent[own]["last_purchase_at"] == "2026-01-05T10:00:00Z"
    assert spent[own]["spend"] == [{"currency": "EUR", "purchases": 1, "amount_minor": 1_250, "returned_minor": 0}]
    assert [side["purchases"] for party, side in spent.items() if party != own] == [0]


async def test_an_accepted_duplicate_is_one_party_also_when_its_evidence_goes(api, heard, lead, decided):
    mail, other = email("ann@x.example"), (Scheme.EXTERNAL, "771", "shop")
    for each in (mail, other):
        await registered(api, each)
    captured = lead(mail, other)
    [fact] = await heard(captured)
    await decided()
    [found] = await queue(api)
    for _ in range(2):
        accepted = await api.post(f"/v1/duplicates/{found['id']}/accept", json={"note": "she said so"})
        assert accepted.status_code == 200
        assert [accepted.json()[name] for name in ("status", "decided_by", "note")] == [
            "accepted",
            "tests",
            "she said so",
        ]
    refused = await api.post(f"/v1/duplicates/{found['id']}/dismiss", json={"note": "no"})
    assert (refused.status_code, refused.json()["code"]) == (409, "already_decided")
    await heard(LeadFactWithdrawn(subject=captured.subject, occurred_at=NOON, fact_id=fact))
    await decided()
    assert len(set(await one_of(api, mail, other))) == 1
    assert await queue(api) == []


async def test_a_dismissed_duplicate_comes_back_with_evidence_of_another_kind_alone(api, heard, lead, decided):
    one, other = email("ann.lee@x.example"), email("annlee@x.example")
    for each in (one, other):
        await registered(api, each)
    await decided()
    [found] = await queue(api)
    assert (found["kinds"], found["score"]) == (["email_spelling"], 70)
    dismissed = await api.post(f"/v1/duplicates/{found['id']}/dismiss", json={"note": "mother and daughter"})
    assert dismissed.json()["status"] == "dismissed"
    await decided()
    assert await queue(api) == []
    assert (await api.post(f"/v1/duplicates/{found['id']}/accept", json={})).status_code == 409
    await heard(lead(one, other))
    await decided()
    [again] = await queue(api)
    assert (again["id"], again["kinds"]) == (found["id"], ["email_spelling", "seen_together"])
    # Strong as it is, what a person told apart no pair makes one.
    assert len(set(await one_of(api, one, other))) == 2
    assert (await api.post(f"/v1/duplicates/{found['id']}/accept", json={})).json()["status"] == "accepted"
    assert len(set(await one_of(api, one, other))) == 1


async def test_a_duplicate_is_gone_from_the_queue_with_its_evidence(api, heard, lead, decided):
    mail, other = email("ann@x.example"), (Scheme.EXTERNAL, "771", "shop")
    captured = lead(mail, other)
    [fact] = await heard(captured)
    await decided()
    [found] = await queue(api)
    await heard(LeadFactWithdrawn(subject=captured.subject, occurred_at=NOON, fact_id=fact))
    await decided()
    assert await queue(api) == []
    gone = await api.get(f"/v1/duplicates/{found['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "candidate_not_found")


async def test_the_queue_has_the_likeliest_first_in_pages_and_by_party(api, heard, lead, decided):
    for number in range(5):
        await weakly_tied(api, heard, lead, decided, number)
    for each in (email("bo.b@x.example"), email("bob@x.example"), email("b0b@x.example")):
        await registered(api, each)
    await decided()
    pages, cursor = [], None
    while not pages or cursor:
        answer = (await api.get("/v1/duplicates", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        pages.append(answer["data"])
        cursor = answer.get("next_cursor")
    assert [len(each) for each in pages] == [3, 3, 2]
    scores = [found["score"] for each in pages for found in each]
    assert scores == sorted(scores, reverse=True) == [70, 60, 60, 60, 60, 60, 60, 60]
    assert len({found["id"] for each in pages for found in each}) == 8
    assert [found["score"] for found in await queue(api, min_score=61)] == [70]
    [party] = await one_of(api, email("bob@x.example"))
    assert len(await queue(api, party_id=party)) == 2


@pytest.mark.parametrize("path", ["/v1/duplicates", "/v1/identifiers/shared"])
async def test_a_cursor_of_another_list_is_refused(api, path):
    for wrong in ("x", encode_cursor(2**40, uuid7()), encode_cursor(-1, uuid7()), encode_cursor(uuid7())):
        refused = await api.get(path, params={"cursor": wrong})
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_cursor")


async def test_shared_identifiers_come_in_pages_the_most_claimed_first(api, heard, lead, decided):
    for number in range(3):
        for person in range(4 + number):
            await heard(lead(email(f"p{number}-{person}@x.example"), phone(f"+4930111{number:03}")))
    await decided()
    first = (await api.get("/v1/identifiers/shared", params={"limit": 2})).json()
    rest = (await api.get("/v1/identifiers/shared", params={"cursor": first["next_cursor"]})).json()
    assert [shared["claims"] for shared in first["data"] + rest["data"]] == [6, 5, 4]
    assert rest["has_more"] is False
    # Only its id was ever told here.
    assert first["data"][0].get("value") is None


async def test_long_ids_that_two_systems_have_alike_are_possible_duplicates(api, decided):
    long = "8d50f5eadf50201ccdcedfb9e2ac8455"
    for system in ("shop", "crm"):
        await registered(api, (Scheme.EXTERNAL, long, system))
        await registered(api, (Scheme.EXTERNAL, "1234567", system))
    await decided()
    [found] = await queue(api)
    assert (found["kinds"], found["score"]) == (["external_value"], 50)


async def test_an_identifier_learnt_after_its_pair_counts_as_what_it_is(api, heard, here, decided):
    mail, call = email("info@x.example"), phone("+4930111222")
    ids = [here.identity(*each).id for each in (mail, call)]
    await heard(
        LeadCaptured(subject=ids[0], occurred_at=NOON, lead_id=uuid7(), source="website", other_identities=(ids[1],))
    )
    await decided()
    [found] = await queue(api)
    assert found["score"] == 40
    for each in (mail, call):
        await registered(api, each)
    await decided()
    assert [each["score"] for each in await queue(api)] == [20]


async def test_other_rules_decide_everything_anew_and_say_how_far_they_are(api, heard, lead, decided):
    mail, call = email("ann@x.example"), phone("+4930111222")
    for number in range(3):
        await heard(lead(email(f"p{number}@x.example"), phone(f"+493011122{number}")))
    for each in (mail, call):
        await registered(api, each)
    await heard(lead(mail, call))
    await decided()
    assert len(set(await one_of(api, mail, call))) == 1
    present = await api.get("/v1/duplicates/rules")
    assert (present.headers["ETag"], present.json()["rules"]) == ('"0"', RULES)
    stricter = RULES | {"strong": ["email"]}
    changed = await api.put("/v1/duplicates/rules", json=stricter, headers={"If-Match": '"0"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"1"')
    assert [changed.json()[name] for name in ("pairs", "pairs_done", "finished_at", "activated_by")] == [
        4,
        0,
        None,
        "tests",
    ]
    outdated = await api.put("/v1/duplicates/rules", json=RULES, headers={"If-Match": '"0"'})
    assert (outdated.status_code, outdated.json()["version"]) == (412, 1)
    same = await api.put("/v1/duplicates/rules", json=stricter)
    assert same.json()["version"] == 1
    await decided()
    done = (await api.get("/v1/duplicates/rules")).json()
    assert (done["pairs_done"], bool(done["finished_at"]), done["pairs_waiting"]) == (4, True, 0)
    assert len(set(await one_of(api, mail, call))) == 2
    assert {found["score"] for found in await queue(api)} == {50}
    await api.put("/v1/duplicates/rules", json=RULES)
    await decided()
    assert len(set(await one_of(api, mail, call))) == 1
    assert await queue(api) == []


async def test_of_two_who_change_the_same_rules_one_is_told_to_read_again(api):
    wanted = [RULES | {"most_claims": number} for number in range(4, 10)]
    answers = await asyncio.gather(
        *(api.put("/v1/duplicates/rules", json=each, headers={"If-Match": '"0"'}) for each in wanted)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
    assert (await api.get("/v1/duplicates/rules")).json()["version"] == 1


async def test_a_merge_that_nobody_decided_on_leaves_the_question_open_when_it_goes(
    database, api, heard, lead, decided
):
    mail, other = await weakly_tied(api, heard, lead, decided)
    [found] = await queue(api)
    pair = [UUID(found[name].removeprefix("party_")) for name in ("party_id", "other_id")]
    async with database.transaction() as session:
        made, _ = await merge(session, *pair)
    assert [await queue(api), len(set(await one_of(api, mail, other)))] == [[], 1]
    async with database.transaction() as session:
        await unmerge(session, pair[0], made.id)
    await decided()
    assert [each["id"] for each in await queue(api)] == [found["id"]]
    assert len(set(await one_of(api, mail, other))) == 2


async def test_rules_that_make_no_sense_are_refused(api):
    for wrong in ({"most_claims": 0}, {"strong": ["fax"]}, {"role_addresses": ["a@b"]}, {"k": 3}):
        refused = await api.put("/v1/duplicates/rules", json=RULES | wrong)
        assert refused.status_code == 422, wrong


async def test_a_merge_preview_says_what_would_move_and_changes_nothing(api, published):
    one = await registered(api, email("ann@x.example"))
    other = await api.post("/v1/parties", json={"kind": "organisation", "identifiers": [named(*phone("+4930111222"))]})
    ids = sorted([one["id"], other.json()["id"]])
    bought = {"occurred_at": "2026-01-05T10:00:00Z", "currency": "EUR"}
    for number, party in enumerate(ids):
        for amount in range(number + 1):
            row = bought | {"party_id": party, "amount_minor": 100 + amount}
            assert (await api.post("/v1/purchases", json=row)).status_code == 201
    back = bought | {"party_id": ids[1], "amount_minor": 30, "occurred_at": "2026-01-06T10:00:00Z"}
    assert (await api.post("/v1/returns", json=back)).status_code == 201
    await published()
    previews = [
        (await api.post(f"/v1/parties/{this}/merge-preview", json={"party_id": that})).json()
        for this, that in (ids, ids[::-1])
    ]
    assert previews[0] == previews[1]
    shown = previews[0]
    assert (shown["resolves_to"], shown["merged_ids"], shown["merged_already"]) == (ids[0], [ids[1]], False)
    assert {each["value"] for each in shown["identifiers"]} == {"ann@x.example", "+4930111222"}
    assert (shown["moves"]["purchases"], shown["moves"]["returns"], shown["whole"]["purchases"]) == (2, 1, 3)
    assert shown["moves"]["spend"] == [{"currency": "EUR", "purchases": 2, "amount_minor": 201, "returned_minor": 30}]
    assert shown["contradictions"] == [{"what": "kind", "values": ["organisation", "person"]}]
    assert await published() == []
    assert (await api.get(f"/v1/parties/{ids[1]}")).json()["id"] == ids[1]
    itself = await api.post(f"/v1/parties/{ids[0]}/merge-preview", json={"party_id": ids[0]})
    assert itself.json()["code"] == "merge_with_itself"
    unknown = await api.post(f"/v1/parties/{ids[0]}/merge-preview", json={"party_id": f"party_{uuid7().hex}"})
    assert unknown.json()["code"] == "party_not_found"


async def test_a_merge_preview_counts_what_passed_and_names_owners_that_differ(api):
    parties = [await registered(api, email(f"p{number}@x.example")) for number in range(2)]
    ids = sorted(party["id"] for party in parties)
    owners = [{"owner_id": f"user_{uuid7().hex}", "team_id": f"team_{uuid7().hex}"} for _ in ids]
    for party, owner in zip(ids, owners, strict=True):
        assert (await api.put(f"/v1/parties/{party}/owner", json=owner)).status_code == 200
    about = {"party_id": ids[1], "occurred_at": "2026-01-05T10:00:00Z"}
    opened = [(await api.post("/v1/problems", json=about | {"category": "delivery"})).json() for _ in range(2)]
    solved = await api.post(f"/v1/problems/{opened[0]['id']}/solve", json={"version": 1})
    assert solved.status_code == 200
    asked = {"department": "sales", "channel": "phone", "kind": "inquiry", "direction": "inbound"}
    assert (await api.post("/v1/interactions", json=about | asked)).status_code == 201
    shown = (await api.post(f"/v1/parties/{ids[0]}/merge-preview", json={"party_id": ids[1]})).json()
    assert (shown["moves"]["interactions"], shown["moves"]["open_problems"]) == (1, 1)
    assert shown["contradictions"] == [
        {"what": "owner", "values": sorted(owner["owner_id"] for owner in owners)},
        {"what": "team", "values": sorted(owner["team_id"] for owner in owners)},
    ]


async def test_a_merge_preview_is_what_the_merge_then_does(api):
    parties = [await registered(api, email(f"p{number}@x.example")) for number in range(4)]
    ids = [party["id"] for party in parties]
    await api.post(f"/v1/parties/{ids[0]}/merge", json={"party_id": ids[1]})
    await api.post(f"/v1/parties/{ids[2]}/merge", json={"party_id": ids[3]})
    shown = (await api.post(f"/v1/parties/{ids[1]}/merge-preview", json={"party_id": ids[2]})).json()
    await api.post(f"/v1/parties/{ids[1]}/merge", json={"party_id": ids[2]})
    party = (await api.get(f"/v1/parties/{ids[3]}")).json()
    assert (party["id"], party["merged_ids"]) == (shown["resolves_to"], shown["merged_ids"])
    assert {each["identity_id"] for each in party["identifiers"]} == {
        each["identity_id"] for each in shown["identifiers"]
    }


async def test_an_unmerge_preview_says_who_they_would_be(api):
    parties = [await registered(api, email(f"p{number}@x.example")) for number in range(3)]
    ids = sorted(party["id"] for party in parties)
    merges = [
        (await api.post(f"/v1/parties/{one}/merge", json={"party_id": other})).json()
        for one, other in ((ids[0], ids[1]), (ids[1], ids[2]))
    ]
    row = {"occurred_at": "2026-01-05T10:00:00Z", "currency": "EUR", "amount_minor": 5}
    [theirs] = [party["identifiers"][0] for party in parties if party["id"] == ids[2]]
    await api.post("/v1/purchases", json=row | {"identifier": {"scheme": "email", "value": theirs["value"]}})
    asked = {"merge_id": merges[0]["id"]}
    shown = (await api.post(f"/v1/parties/{ids[2]}/unmerge-preview", json=asked)).json()
    assert shown["still_together"] is False
    assert [part["id"] for part in shown["parts"]] == [ids[0], ids[1]]
    assert [part["merged_ids"] for part in shown["parts"]] == [[], [ids[2]]]
    assert [part["belongings"]["purchases"] for part in shown["parts"]] == [0, 1]
    await api.post(f"/v1/parties/{ids[0]}/merge", json={"party_id": ids[2]})
    around = (await api.post(f"/v1/parties/{ids[2]}/unmerge-preview", json=asked)).json()
    assert (around["still_together"], len(around["parts"])) == (True, 1)
    await api.post(f"/v1/parties/{ids[2]}/unmerge", json=asked)
    gone = await api.post(f"/v1/parties/{ids[2]}/unmerge-preview", json=asked)
    assert (gone.status_code, gone.json()["code"]) == (404, "merge_not_found")


async def test_several_who_decide_at_once_end_as_one_would(database, api, heard, lead, here, born):
    for number in range(60):
        await heard(lead(email(f"p{number % 40}@x.example"), phone(f"+49301112{number % 50:02}")))
    merging = [(born(*email(f"p{n}@x.example")), born(*email(f"p{n + 1}@x.example"))) for n in range(0, 38, 2)]
    running = [asyncio.create_task(decide_pairs(database, here.zone)) for _ in range(3)]
    try:
        async with asyncio.timeout(60):
            for one, other in merging:
                assert (await api.post(f"/v1/parties/{one}/merge", json={"party_id": other})).status_code == 201
            while await waiting(database):
                await asyncio.sleep(0.02)
    finally:
        for task in running:
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
    assert {type(each) for each in ended} == {asyncio.CancelledError}
    edges = {(born(*email(f"p{n % 40}@x.example")), born(*phone(f"+49301112{n % 50:02}"))) for n in range(60)}
    edges |= set(merging)
    best = {party: party for pair in edges for party in pair}
    for _ in best:
        for one, other in edges:
            best[one] = best[other] = min(best[one], best[other])
    async with database.transaction() as session:
        rows = await (await driver(session)).fetch("SELECT id, resolves_to FROM party")
    assert {f"party_{row['id'].hex}": f"party_{row['resolves_to'].hex}" for row in rows} == best


async def waiting(database):
    async with database.transaction() as session:
        return await (await driver(session)).fetchval("SELECT count(*) FROM pair_to_decide")


async def test_a_manager_sees_a_possible_duplicate_where_both_are_parties_of_the_team(api, heard, lead, decided):
    user, team, others = UUID(int=7), UUID(int=8), UUID(int=9)
    await weakly_tied(api, heard, lead, decided)
    [found] = await queue(api)
    asking = Caller("user_7", frozenset({"manager"}), user, team, Reach.TEAM)
    headers = {HEADER: api._transport.app.state.signer.sign(asking)}

    for one, other, seen in ((team, others, False), (team, team, True), (others, others, False)):
        for party_id, team_id in ((found["party_id"], one), (found["other_id"], other)):
            care = {"owner_id": None, "team_id": f"team_{team_id.hex}"}
            assert (await api.put(f"/v1/parties/{party_id}/owner", json=care)).status_code == 200
        listed = await api.get("/v1/duplicates", headers=headers)
        assert [each["id"] for each in listed.json()["data"]] == ([found["id"]] if seen else [])
        of_one = await api.get("/v1/duplicates", params={"party_id": found["party_id"]}, headers=headers)
        assert len(of_one.json()["data"]) == seen
        read = await api.get(f"/v1/duplicates/{found['id']}", headers=headers)
        assert read.status_code == (200 if seen else 404)
    assert (await api.get("/v1/duplicates", headers=headers)).json()["has_more"] is False


async def test_how_many_pairs_are_to_be_decided_is_told_until_none_is(api, heard, lead, decided):
    async def undecided():
        return (await api.get("/internal/status")).json()["undecided"]

    counted = [await undecided()]
    for told in (
        lambda: heard(lead((Scheme.EMAIL, "ann@x.example"), (Scheme.PHONE, "+4930111222"))),
        lambda: api.post("/v1/parties", json={"identifiers": [{"scheme": "email", "value": "bob@x.example"}]}),
        lambda: api.put("/v1/duplicates/rules", json=RULES | {"most_claims": 9}),
        lambda: api.put("/v1/duplicates/rules", json=RULES | {"most_claims": 8}),
    ):
        await told()
        counted.append(await undecided())
    await decided()

    assert counted == [0, 1, 2, 3, 3]
    assert await undecided() == 0
