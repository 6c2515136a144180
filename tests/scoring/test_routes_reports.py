"""Reports over HTTP, from facts that a worker took."""

import asyncio
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest

from chassis.apart import apart
from chassis.clock import now
from chassis.db import Database
from chassis.ids import uuid7
from contracts.community import PersonReferred
from contracts.customers import (
    Department,
    Direction,
    InteractionKind,
    InteractionRecorded,
    PartyKind,
    PartyOwnerChanged,
    PartyRegistered,
)
from contracts.event import Event
from contracts.leads import LeadLost
from contracts.loss import LossReason
from services.scoring.domain.reports.zoom import ZoomBy
from services.scoring.queries.reports import apart as reports_apart
from tests.scoring.feeding import JUNE, Feeding, served

Json = dict[str, Any]
WHOLE = ("count", "customers", "value_minor", "turnover_minor", "p_known", "satisfaction_known", "at_risk",
         "at_risk_value_minor")  # fmt: skip


def outer(party: UUID) -> str:
    return f"party_{party.hex}"


def noon(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00:00+00:00")


async def asked(api: httpx.AsyncClient, report: str, **query: Any) -> Json:
    answer = await api.get(f"/v1/reports/{report}", params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def posted(api: httpx.AsyncClient, report: str, **body: Any) -> Json:
    answer = await api.post(f"/v1/reports/{report}", json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def said(
    identity: UUID, at: datetime, kind: InteractionKind, direction: Direction = Direction.INBOUND
) -> InteractionRecorded:
    return InteractionRecorded(
        subject=identity,
        occurred_at=at,
        interaction_id=uuid7(),
        department=Department.SALES,
        channel="phone",
        kind=kind,
        direction=direction,
        source="tests",
    )


def reached(identity: UUID, at: datetime) -> InteractionRecorded:
    return said(identity, at, InteractionKind.INQUIRY, Direction.OUTBOUND)


async def test_a_list_of_tops_is_parted_into_agreements_missed_and_over_rated(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    parties = [feed.identity() for _ in range(12)]
    for party in parties[:11]:
        await feed.bought(party, JUNE - timedelta(days=5), 500_000 if party in parties[2:9] else 1_000)
    unheard = feed.identity()

    found = await posted(
        api, "surprises", held_as="top", party_ids=[outer(party) for party in [*parties[:8], parties[0], unheard]]
    )

    assert {each["party_id"] for each in found["agreements"]} == {outer(party) for party in parties[2:8]}
    assert [each["party_id"] for each in found["missed"]] == [outer(parties[8])]
    assert {each["party_id"] for each in found["over_rated"]} == {outer(party) for party in parties[:2]}
    assert (found["named"], found["missed_total"], found["missed_value_minor"]) == (8, 1, 500_000)
    assert found["unknown"] == [outer(unheard)]
    assert found["over_rated"][0]["reason"] == (
        "Named, though the facts do not say tier top: tier low with a value of 10.00 EUR, customer since 2026-05-27,"
        " 1 purchase day, the last on 2026-05-27."
    )
    assert found["missed"][0]["reason"].startswith("Not named, though the facts say tier top: tier top with a value")


async def test_missed_ones_are_looked_for_among_the_parties_of_an_owner(api: httpx.AsyncClient, feed: Feeding) -> None:
    mine, other, named = (feed.identity() for _ in range(3))
    for party in (mine, other, named):
        await feed.bought(party, JUNE, 500_000)
    owner = feed.identity()
    await feed.owned(mine, 1, owner)
    of_owner = {"held_as": "top", "party_ids": [outer(named)], "owner_id": f"user_{owner.hex}"}

    assert [each["party_id"] for each in (await posted(api, "surprises", **of_owner))["missed"]] == [outer(mine)]


async def test_a_merged_party_is_named_once_as_the_party_that_it_is_now(api: httpx.AsyncClient, feed: Feeding) -> None:
    one, other = feed.identity(), feed.identity()
    await feed.bought(one, JUNE, 500_000)
    await feed.bought(other, JUNE, 500_000)
    await feed.assigned({one: [(one, None)], other: [(one, None)]}, {other: one})

    found = await posted(api, "surprises", held_as="top", party_ids=[outer(one), outer(other)])

    assert (found["named"], len(found["agreements"]), found["missed_total"]) == (1, 1, 0)


async def test_who_is_vip_by_the_rule_and_not_on_the_list_is_missed(api: httpx.AsyncClient, feed: Feeding) -> None:
    feed.at = now()
    good, once = feed.identity(), feed.identity()
    recent = now() - timedelta(days=2)
    for back in (0, 1):
        await feed.bought(good, recent - timedelta(days=back), 500_000)
    await feed.bought(once, recent, 500_000)

    found = await posted(api, "surprises", held_as="vip", party_ids=[outer(once)])

    assert [each["party_id"] for each in found["missed"]] == [outer(good)]
    assert found["over_rated"][0]["reason"].endswith("; the rule asks for purchase_days ≥ 2.")


async def override(api: httpx.AsyncClient, party: UUID, field: str, value: str) -> str:
    body = {"field": field, "value": value, "why": "They say so."}
    answer = await api.post(f"/v1/standings/{outer(party)}/overrides", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def whom(found: list[Json]) -> list[str]:
    return [each["party_id"] for each in found]


async def test_what_is_set_by_hand_is_not_what_the_facts_say(api: httpx.AsyncClient, feed: Feeding) -> None:
    feed.at = now()
    raised, lowered, missed_one, plain = (feed.identity() for _ in range(4))
    for party, amount in ((raised, 1_000), (lowered, 500_000), (missed_one, 600_000), (plain, 1_000)):
        await feed.bought(party, now() - timedelta(days=2), amount)
    await override(api, raised, "tier", "top")
    await override(api, lowered, "value_minor", "100")
    await override(api, missed_one, "tier", "low")
    # What they are worth is by the facts, too.
    await override(api, missed_one, "value_minor", "100")
    await override(api, plain, "tier", "top")

    found = await posted(api, "surprises", held_as="top", party_ids=[outer(raised), outer(lowered)])

    assert (whom(found["agreements"]), whom(found["missed"])) == ([outer(lowered)], [outer(missed_one)])
    assert whom(found["over_rated"]) == [outer(raised)]
    assert (found["missed_total"], found["missed_value_minor"]) == (1, 600_000)
    assert found["agreements"][0]["reason"].startswith("Named, and so do the facts say: tier top with a value of 5000.")
    assert found["agreements"][0]["reason"].endswith("; set by hand: value 1.00 EUR.")
    assert found["missed"][0]["reason"].startswith("Not named, though the facts say tier top: tier top with a value")
    assert found["missed"][0]["reason"].endswith("; set by hand: tier low, value 1.00 EUR.")
    assert found["over_rated"][0]["reason"].startswith("Named, though the facts do not say tier top: tier low with a")
    assert found["over_rated"][0]["reason"].endswith("; set by hand: tier top.")
    # Each is shown as it stands.
    assert [found[part][0]["tier"] for part in ("agreements", "missed", "over_rated")] == ["low", "low", "top"]
    assert found["agreements"][0]["value_minor"] == 100


async def test_a_vip_that_is_set_by_hand_is_none_by_the_facts(api: httpx.AsyncClient, feed: Feeding) -> None:
    feed.at = now()
    made, unmade, again = (feed.identity() for _ in range(3))
    recent = now() - timedelta(days=2)
    await feed.bought(made, recent, 1_000)
    for party in (unmade, again):
        for back in (0, 1):
            await feed.bought(party, recent - timedelta(days=back), 500_000)
    await override(api, made, "vip", "true")
    await override(api, unmade, "vip", "false")
    # What a rule looks at does not follow from what is set either.
    await override(api, again, "tier", "low")

    found = await posted(api, "surprises", held_as="vip", party_ids=[outer(made)])

    assert set(whom(found["missed"])) == {outer(unmade), outer(again)}
    assert found["missed_total"] == 2
    assert found["over_rated"][0]["vip"] is True
    assert "; set by hand: VIP; the rule asks for tier = top" in found["over_rated"][0]["reason"]

    found = await posted(api, "surprises", held_as="vip", party_ids=[outer(unmade), outer(again)])

    assert (found["missed"], found["over_rated"]) == ([], [])
    reasons = {each["party_id"]: each["reason"] for each in found["agreements"]}
    assert reasons[outer(unmade)].startswith("Named, and so do the facts say: VIP, tier top")
    assert reasons[outer(unmade)].endswith("; set by hand: not VIP.")


async def test_an_override_that_was_ended_is_told_of_no_more(api: httpx.AsyncClient, feed: Feeding) -> None:
    feed.at = now()
    party, other = feed.identity(), feed.identity()
    for each in (party, other):
        await feed.bought(each, now() - timedelta(days=2), 500_000)
    owner = feed.identity()
    await feed.owned(other, 1, owner)
    overridden = await override(api, party, "tier", "low")
    assert (await api.post(f"/v1/overrides/{overridden}/end", json={"why": "Over."})).status_code == 200
    await override(api, other, "tier", "low")

    found = await posted(api, "surprises", held_as="top", party_ids=[outer(feed.identity())])
    of_owner = await posted(
        api, "surprises", held_as="top", party_ids=[outer(party)], owner_id=f"user_{owner.hex}", limit=1
    )

    by_party = {each["party_id"]: each["reason"] for each in found["missed"]}
    assert by_party.keys() == {outer(party), outer(other)}
    assert ("by hand" in by_party[outer(party)], "by hand" in by_party[outer(other)]) == (False, True)
    assert (whom(of_owner["agreements"]), whom(of_owner["missed"])) == ([outer(party)], [outer(other)])


async def test_purchases_of_a_fixed_history_are_classified_by_month(api: httpx.AsyncClient, feed: Feeding) -> None:
    old, friend = feed.identity(), feed.identity()
    named = {"referral_id": uuid7(), "referrer_id": uuid7()}
    await feed.tell(PersonReferred(subject=friend, occurred_at=noon("2026-01-02"), **named))
    for day, amount in [("2026-01-05", 1_000), ("2026-01-20", 500), ("2026-03-20", 900), ("2026-03-30", 2_000)]:
        await feed.bought(old, noon(day), amount)
    await feed.bought(friend, noon("2026-01-10"), 700)

    found = await asked(api, "purchase-kinds", since="2026-01-01", until="2026-03-31")

    kinds = {
        month["month"]: {each["kind"]: each["purchase_days"] for each in month["data"] if each["purchase_days"]}
        for month in found["data"]
    }
    assert kinds == {
        "2026-01-01": {"referred": 1, "first": 1, "add_on": 1},
        "2026-03-01": {"upgrade": 1, "repeat": 1},
    }
    january = {each["kind"]: each for each in found["data"][0]["data"]}
    assert january["first"]["amount_minor"] == 1_000
    assert (january["first"]["rate"]["hits"], january["first"]["rate"]["of"]) == (1, 3)


async def test_who_bought_again_in_time_is_counted_by_the_month_of_the_first_purchase(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    soon, late, young = (feed.identity() for _ in range(3))
    for party, days in [
        (soon, ["2025-01-05", "2025-01-25"]),
        (late, ["2025-01-05", "2025-06-05"]),
        (young, ["2025-05-20"]),
    ]:
        for day in days:
            await feed.bought(party, noon(day), 100)

    asked_for = {"since": "2025-01-01", "until": "2025-12-31", "within_days": 30}
    found = await asked(api, "second-purchases", as_of="2025-06-01", **asked_for)
    later = await asked(api, "second-purchases", as_of="2025-12-31", **asked_for)

    assert [(row["month"], row["first_buyers"], row["young"], row["rate"]["of"]) for row in found["data"]] == [
        ("2025-01-01", 2, 0, 2),
        ("2025-05-01", 1, 1, 0),
    ]
    assert (found["rate"]["share"], later["rate"]["share"]) == (0.5, 0.3333)


async def test_who_was_called_after_the_loss_is_held_against_who_was_not(api: httpx.AsyncClient, feed: Feeding) -> None:
    called, calm, never, young = (feed.identity() for _ in range(4))
    for party in (called, calm, never):
        await feed.bought(party, noon("2023-01-05"), 1_000)
    await feed.bought(young, noon("2024-12-05"), 1_000)
    await feed.tell(reached(called, noon("2025-01-10")), reached(young, noon("2025-01-10")))
    await feed.bought(called, noon("2025-02-10"), 700)
    await feed.bought(calm, noon("2025-09-10"), 700)

    found = await posted(api, "win-back", lost_on="2025-01-01", contact_days=30, within_days=60)
    listed = await posted(api, "win-back", lost_on="2025-01-01", within_days=60, party_ids=[outer(never), outer(young)])

    assert (found["contacted"]["rate"]["hits"], found["contacted"]["rate"]["of"]) == (1, 1)
    assert (found["others"]["rate"]["hits"], found["others"]["rate"]["of"]) == (0, 2)
    assert (found["contacted"]["bought_minor"], found["complete"]) == (700, True)
    assert (found["counted_from"], found["counted_until"]) == ("2025-02-01", "2025-04-01")
    assert found["sentence"].startswith("Not proven")
    assert (listed["not_lost"], listed["contacted"]["rate"]["of"], listed["others"]["rate"]["hits"]) == (1, 1, 1)


async def test_losses_are_told_by_month_stage_and_reason(api: httpx.AsyncClient, feed: Feeding) -> None:
    customer, prospect, silent = (feed.identity() for _ in range(3))
    await feed.bought(customer, noon("2026-01-05"), 1_000)
    await feed.declined(customer, noon("2026-02-05"), LossReason.PRICE)
    await feed.inquired(prospect, noon("2026-02-01"))
    await feed.declined(prospect, noon("2026-02-07"), LossReason.TIMING)
    await feed.inquired(silent, noon("2025-09-01"))

    found = await asked(api, "losses", since="2026-02-01", until="2026-03-31")

    assert [(row["month"], row["stage"], row["reason"], row["count"]) for row in found["data"]] == [
        ("2026-02-01", "lost_customer", "price", 1),
        ("2026-02-01", "lost_prospect", "timing", 1),
        ("2026-03-01", "lost_prospect", "unknown", 1),
    ]
    assert found["count"] == 3


async def test_flows_tell_who_moved_from_where_to_where_and_who_stood_where(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    back, silent, prospect = (feed.identity() for _ in range(3))
    await feed.bought(back, noon("2025-10-01"), 1_000)
    await feed.bought(back, noon("2026-02-01"), 1_000)
    await feed.bought(silent, noon("2025-12-01"), 1_000)
    await feed.inquired(prospect, noon("2026-03-20"))

    found = await asked(api, "flows", since="2026-01-01", until="2026-03-31")

    assert {(row["from_stage"], row["to_stage"]): row["count"] for row in found["data"]} == {
        ("dormant_customer", "customer"): 1,
        ("customer", "dormant_customer"): 1,
        (None, "prospect"): 1,
    }
    first = {row["stage"]: row["count"] for row in found["trend"] if row["day"] == "2025-12-31"}
    last = {row["stage"]: row["count"] for row in found["trend"] if row["day"] == "2026-03-31"}
    assert first == {"customer": 1, "dormant_customer": 1}
    assert last == {"customer": 1, "dormant_customer": 1, "prospect": 1}
    assert (len({row["day"] for row in found["trend"]}), found["sampled"]) == (13, False)


async def test_a_flow_leads_to_each_of_its_moves_and_no_other(api: httpx.AsyncClient, feed: Feeding) -> None:
    twice, once, new = (feed.identity() for _ in range(3))
    for day in ("2025-06-01", "2025-11-01", "2026-03-30"):
        await feed.bought(twice, noon(day), 1_000)
    await feed.bought(once, noon("2025-10-01"), 1_000)
    await feed.inquired(new, noon("2026-03-20"))
    days = {"since": "2025-01-01", "until": "2026-03-31"}
    flows = (await asked(api, "flows", **days))["data"]
    assert {(row["from_stage"], row["to_stage"]): row["count"] for row in flows}["customer", "dormant_customer"] == 3

    for flow in flows:
        between = {"from_stage": flow["from_stage"] or "none", "to_stage": flow["to_stage"] or "none"}
        found = await one_by_one(api, **between, **days)
        assert len({(row["party_id"], row["day"]) for row in found}) == len(found) == flow["count"]
        assert {(row["from_stage"], row["to_stage"]) for row in found} == {(flow["from_stage"], flow["to_stage"])}

    assert await one_by_one(api, from_stage="customer", to_stage="customer", **days) == []


async def one_by_one(api: httpx.AsyncClient, **query: str) -> list[Json]:
    """The moves of a flow, each on a page of its own."""
    found: list[Json] = []
    while True:
        page = await asked(api, "flows/moves", limit=1, **query)
        assert len(page["data"]) <= 1
        found += page["data"]
        if not page["has_more"]:
            return found
        query["cursor"] = page["next_cursor"]


async def test_losses_to_competitors_are_told_by_name_and_segment(api: httpx.AsyncClient, feed: Feeding) -> None:
    rich, poor, unnamed, price, lead = (feed.identity() for _ in range(5))
    for party, amount in [(rich, 500_000), (poor, 1_000), (unnamed, 1_000), (price, 1_000)]:
        await feed.bought(party, noon("2026-01-05"), amount)
    for party, name, day in [(rich, "acme", "2026-02-05"), (poor, "acme", "2026-03-05"), (unnamed, None, "2026-03-06")]:
        await feed.interacted(
            party, noon(day), InteractionKind.DECLINED, loss_reason=LossReason.COMPETITOR, competitor=name
        )
    await feed.declined(price, noon("2026-03-05"), LossReason.PRICE)
    lead_id = uuid7()
    await feed.tell(
        LeadLost(
            subject=lead, occurred_at=noon("2026-03-09"), lead_id=lead_id, reason=LossReason.COMPETITOR,
            competitor="globex",
        )
    )  # fmt: skip

    owner, team = uuid7(), uuid7()
    await feed.tell(PartyOwnerChanged(subject=rich, occurred_at=feed.at, version=1, owner_id=owner, team_id=team))

    period = {"since": "2026-01-01", "until": "2026-03-31"}
    by_tier = await asked(api, "defections", **period)
    by_stage = await asked(api, "defections", by="stage", **period)

    def rows(found: Json) -> list[tuple[Any, ...]]:
        return [(row["month"], row["competitor"], row["segment"], row["count"]) for row in found["lost_to_competitors"]]

    assert rows(by_tier) == [
        ("2026-02-01", "acme", "top", 1),
        ("2026-03-01", "acme", "low", 1),
        ("2026-03-01", "globex", "unproven", 1),
        ("2026-03-01", "unknown", "low", 1),
    ]
    assert ("2026-03-01", "acme", "customer", 1) in rows(by_stage)
    for by, of_rich, of_others in (
        ("level", "large", {"small", "none"}), ("satisfaction", "unknown", {"unknown", "none"}),
        ("loyalty", "unknown", {"unknown", "none"}), ("posture", "developing", {"developing", "none"}),
        ("treatment", "care", {"serve", "none"}), ("vip", "other", {"other"}), ("kind", "person", {"person"}),
        ("owner", f"user_{owner.hex}", {"none"}), ("team", f"team_{team.hex}", {"none"}),
    ):  # fmt: skip
        found = await asked(api, "defections", by=by, **period)
        assert found["by"] == by
        assert rows(found)[0] == ("2026-02-01", "acme", of_rich, 1)
        assert {row[2] for row in rows(found)[1:]} == of_others
        assert sum(row[3] for row in rows(found)) == 4
    assert by_tier["lost_to_competitors"][0]["value_minor"] == 500_000


async def test_a_loss_is_not_laid_to_a_competitor_named_before_the_last_act(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    back, silent, by_hand, prospect, twice = parties = [feed.identity() for _ in range(5)]
    named: Json = {"kind": InteractionKind.DECLINED, "loss_reason": LossReason.COMPETITOR, "competitor": "acme"}
    unnamed: Json = {**named, "competitor": None}
    for party in parties:
        await feed.interacted(party, noon("2020-05-05"), **named)
    await feed.bought(back, noon("2025-12-05"), 1_000)
    await feed.interacted(back, noon("2026-02-05"), **unnamed)
    await feed.bought(silent, noon("2025-02-05"), 1_000)
    await feed.tell(LeadLost(subject=silent, occurred_at=noon("2025-03-05"), lead_id=uuid7(),
                             reason=LossReason.COMPETITOR, competitor="globex"))  # fmt: skip
    await feed.bought(by_hand, now() - timedelta(days=100), 1_000)
    await feed.inquired(prospect, noon("2026-02-01"))
    await feed.interacted(prospect, noon("2026-02-07"), **unnamed)
    await feed.bought(twice, noon("2025-12-05"), 1_000)
    await feed.interacted(twice, noon("2026-02-08"), **{**named, "competitor": "initech"})
    for field, value in [("stage", "lost_customer"), ("loss_reason", "competitor")]:
        body = {"field": field, "value": value, "why": "They said so on the phone."}
        answer = await api.post(f"/v1/standings/{outer(by_hand)}/overrides", json=body)
        assert answer.status_code == 201, answer.text

    found = await asked(api, "defections", since="2026-01-01", by="stage")

    rows = {(row["competitor"], row["segment"]): row["count"] for row in found["lost_to_competitors"]}
    assert rows == {
        ("unknown", "customer"): 1,
        ("globex", "dormant_customer"): 1,
        ("unknown", "dormant_customer"): 1,
        ("unknown", "prospect"): 1,
        ("initech", "customer"): 1,
    }


async def test_a_withdrawn_word_of_a_competitor_is_not_told(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.bought(party, noon("2026-01-05"), 1_000)
    said = await feed.interacted(
        party, noon("2026-02-05"), InteractionKind.DECLINED, loss_reason=LossReason.COMPETITOR, competitor="acme"
    )
    await feed.withdrawn(party, said)

    assert (await asked(api, "defections", since="2026-01-01", until="2026-03-31"))["lost_to_competitors"] == []


async def test_who_falls_soon_is_at_risk_with_what_they_are_worth(api: httpx.AsyncClient, feed: Feeding) -> None:
    today = now().replace(hour=12)
    feed.at = today
    await feed.bought(feed.identity(), today - timedelta(days=85), 500_000)
    await feed.bought(feed.identity(), today - timedelta(days=1), 500_000)

    assert (await asked(api, "defections"))["at_risk"] == [{"segment": "top", "count": 1, "value_minor": 500_000}]
    for by, segment in [("kind", "person"), ("level", "large"), ("vip", "other"), ("owner", "none")]:
        [risk] = (await asked(api, "defections", by=by))["at_risk"]
        assert (risk["segment"], risk["count"], risk["value_minor"]) == (segment, 1, 500_000)
    assert (await asked(api, "defections", within_days=0))["at_risk"] == []


async def test_habits_of_a_party_are_told_with_their_evidence(api: httpx.AsyncClient, feed: Feeding) -> None:
    regular, chance, random = feed.identity(), feed.identity(), Random(4)
    first = noon("2023-01-10")
    even = [
        feed.purchase(regular, first + timedelta(days=30 * place + random.randint(-2, 2)), random.randint(900, 1_100))
        for place in range(36)
    ]
    await feed.tell(*(each.model_copy(update={"channel": "web"}) for each in even))
    await feed.declined(regular, noon("2025-12-24"), LossReason.UNKNOWN)
    for day in (0, 3, 90, 91, 400, 700, 701, 1_000):
        await feed.bought(chance, first + timedelta(days=day), random.choice([100, 1_000, 20_000]))

    found = await asked(api, f"patterns/{outer(regular)}", as_of="2026-01-31")
    none = await asked(api, f"patterns/{outer(chance)}", as_of="2026-01-31")
    early = await asked(api, f"patterns/{outer(regular)}", as_of="2023-03-01")

    names = ("interval", "basket", "season", "channel", "price_sensitivity")
    assert [name for name in names if found[name]["found"]] == ["interval", "basket", "channel"]
    assert 29 <= found["interval"]["median_days"] <= 31
    assert 900 <= found["basket"]["median_minor"] <= 1_100
    assert (found["channel"]["main"], found["channel"]["share"]) == ("web", 1.0)
    assert found["price_sensitivity"]["share"] is None
    assert [name for name in names if none[name]["found"]] == []
    assert none["channel"]["unknown"] == 8
    assert (early["interval"]["observations"], early["interval"]["p_value"]) == (1, None)


async def test_habits_of_nobody_are_not_told(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.bought(party, noon("2026-01-05"), 100)

    unheard = await api.get(f"/v1/reports/patterns/{outer(feed.identity())}")
    before = await api.get(f"/v1/reports/patterns/{outer(party)}", params={"as_of": "2025-12-31"})

    assert [(each.status_code, each.json()["code"]) for each in (unheard, before)] == [(404, "no_standing")] * 2


async def test_a_past_week_is_what_its_facts_were_whatever_happens_later(api: httpx.AsyncClient, feed: Feeding) -> None:
    quick, slow, gone, later = (feed.identity() for _ in range(4))
    await feed.inquired(quick, noon("2026-03-02"))
    await feed.bought(quick, noon("2026-03-05"), 1_000)
    await feed.inquired(slow, noon("2026-02-23"))
    await feed.bought(slow, noon("2026-03-06"), 1_000)
    await feed.inquired(gone, noon("2026-03-03"))
    await feed.bought(feed.identity(), noon("2026-03-07"), 1_000)
    before = await asked(api, "sales-weeks", until="2026-03-08", weeks=2)

    await feed.inquired(later, noon("2026-03-09"))
    await feed.bought(gone, noon("2026-03-10"), 1_000)
    after = await asked(api, "sales-weeks", until="2026-03-08", weeks=2)
    since = await asked(api, "sales-weeks", until="2026-03-22", weeks=4)

    week = before["data"][1]
    assert (week["week"], week["first_day"], week["last_day"]) == ("2026-W10", "2026-03-02", "2026-03-08")
    assert (week["new_prospects"], week["active_prospects"], week["prospects_again"]) == (2, 1, 0)
    assert (week["first_purchases"], week["unannounced"], week["median_deal_days"]) == (3, 1, 7)
    assert week["median_stage_days"] == {"prospect": 7}
    assert week["desire"] == round(100 * (1 - 0.5 ** (0.5 ** (5 / 14))), 1)
    assert before == after
    assert since["data"][:2] == before["data"]
    assert since["data"][2]["new_prospects"] == 1


async def test_a_week_that_is_not_over_is_what_it_was_up_to_the_day_asked_for(
    api: httpx.AsyncClient, feed: Feeding
) -> None:
    # Dormant from Friday, 6 March, on.
    await feed.inquired(feed.identity(), noon("2026-02-03"))
    await feed.inquired(feed.identity(), noon("2026-03-02"))

    wednesday = (await asked(api, "sales-weeks", until="2026-03-04", weeks=2))["data"]
    sunday = (await asked(api, "sales-weeks", until="2026-03-08", weeks=2))["data"]

    assert [(week["last_day"], week["active_prospects"]) for week in wednesday] == [
        ("2026-03-01", 1),
        ("2026-03-04", 2),
    ]
    assert [(week["last_day"], week["active_prospects"]) for week in sunday] == [("2026-03-01", 1), ("2026-03-08", 1)]


REPORTS = {
    "satisfaction-and-sales": "as_of",
    "sales-weeks": "until",
    "purchase-kinds": "until",
    "second-purchases": "as_of",
    "losses": "until",
    "flows": "until",
    "flows/moves": "until",
    "defections": "until",
}
"""Each with what says up to which day."""


async def test_no_report_tells_what_comes(api: httpx.AsyncClient, feed: Feeding) -> None:
    party, today = feed.identity(), now().date()
    await feed.bought(party, noon("2026-01-05"), 100)
    stages = {"from_stage": "none", "to_stage": "customer"}

    for report, name in {**REPORTS, f"patterns/{outer(party)}": "as_of"}.items():
        for day in (today + timedelta(days=1), date(8999, 1, 1)):
            answer = await api.get(f"/v1/reports/{report}", params={name: str(day), **stages})
            assert (answer.status_code, answer.json()["code"]) == (422, "report_ahead"), report
            assert answer.json()["last"] == str(today)
        answer = await api.get(f"/v1/reports/{report}", params={name: str(today), **stages})
        assert answer.status_code == 200, answer.text
    refused = [
        await api.get("/v1/reports/second-purchases", params={"until": str(today + timedelta(days=1))}),
        await api.post("/v1/reports/win-back", json={"lost_on": str(today + timedelta(days=1))}),
    ]
    assert [answer.json()["code"] for answer in refused] == ["report_ahead"] * 2
    zoom = await api.get("/v1/reports/zoom", params={"as_of": str(today + timedelta(days=1))})
    assert zoom.status_code == 200, zoom.text


async def test_no_report_takes_what_was_not_read_yet_for_silence(api: httpx.AsyncClient, feed: Feeding) -> None:
    await feed.bought(feed.identity(), noon("2026-01-05"), 100)
    await feed.reached(noon("2026-03-10"))

    answer = await api.get("/v1/reports/losses", params={"until": "2026-03-11"})

    assert (answer.status_code, answer.json()["last"]) == (422, "2026-03-10")
    assert (await asked(api, "losses"))["until"] == "2026-03-10"


@pytest.fixture
async def various(scoring: Database) -> Database:
    """Fifty parties with all kinds of histories, most of them long before today."""
    random, feed, today = Random(11), Feeding(scoring, now()), now().replace(hour=12)
    team, events = feed.identity(), list[Event]()
    for _ in range(50):
        party, begun = feed.identity(), today - timedelta(days=random.randint(200, 900))
        events.append(PartyRegistered(subject=party, occurred_at=begun, kind=random.choice(list(PartyKind))))
        for _ in range(random.randint(0, 4)):
            day = begun + timedelta(days=random.randint(0, 195))
            events.append(feed.purchase(party, day, random.randint(100, 300_000)))
        for kind in random.sample([InteractionKind.COMPLAINT, InteractionKind.PRAISE, InteractionKind.INQUIRY], 2):
            events.append(said(party, begun + timedelta(days=random.randint(0, 195)), kind))
        if random.random() < 0.3:
            owner = team if random.random() < 0.5 else feed.identity()
            events.append(PartyOwnerChanged(subject=party, occurred_at=begun, version=1, owner_id=owner, team_id=team))
    events.append(feed.purchase(feed.identity(), today - timedelta(days=80), 1_000))
    await feed.tell(*events)
    return scoring


async def pages(api: httpx.AsyncClient, **query: Any) -> list[Json]:
    """Each party of a look, page by page."""
    found: list[Json] = []
    place: Json = {}
    while True:
        part = await asked(api, "zoom", level="party", limit=20, **query, **place)
        found += part["data"]
        if not part["has_more"]:
            return found
        place = {"cursor": part["next_cursor"]}


@pytest.mark.parametrize("back", [None, 0, 100, 400])
async def test_totals_are_the_sums_of_their_parts_at_every_level(
    api: httpx.AsyncClient, various: Database, back: int | None
) -> None:
    when = {} if back is None else {"as_of": str((now() - timedelta(days=back)).date())}
    for by in ZoomBy:
        [whole] = (await asked(api, "zoom", by=by, **when))["data"]
        groups = (await asked(api, "zoom", level="segment", by=by, **when))["data"]
        parties = await pages(api, by=by, **when)
        first = groups[0]["segment"]
        members = await pages(api, by=by, segment=first, **when)

        for name in WHOLE:
            assert sum(group["measures"][name] for group in groups) == whole["measures"][name]
            assert sum(party["measures"][name] for party in parties) == whole["measures"][name]
            assert sum(party["measures"][name] for party in members) == groups[0]["measures"][name]
        assert members == [party for party in parties if party["segment"] == first]
        assert Counter(party["segment"] for party in parties) == {
            group["segment"]: group["measures"]["count"] for group in groups
        }
        known = [group["measures"] for group in groups if group["measures"]["satisfaction_known"]]
        weighed = sum(group["mean_satisfaction"] * group["satisfaction_known"] for group in known)
        assert whole["measures"]["count"] > 10
        if known:
            count = whole["measures"]["satisfaction_known"]
            assert whole["measures"]["mean_satisfaction"] == pytest.approx(weighed / count, abs=0.11)


@pytest.mark.parametrize("by", [by for by in ZoomBy if by is not ZoomBy.KIND])
async def test_what_is_stored_and_what_is_read_as_of_today_are_one(
    api: httpx.AsyncClient, various: Database, by: ZoomBy
) -> None:
    stored = await asked(api, "zoom", level="segment", by=by)
    read = await asked(api, "zoom", level="segment", by=by, as_of=str(now().date()))

    assert stored["data"] == read["data"]
    if by in (ZoomBy.STAGE, ZoomBy.SATISFACTION, ZoomBy.VIP):
        assert len(stored["data"]) > 1


async def test_a_week_is_the_same_however_many_weeks_are_asked_for(api: httpx.AsyncClient, various: Database) -> None:
    until = str((now() - timedelta(days=250)).date())

    year = (await asked(api, "sales-weeks", until=until, weeks=53))["data"]

    for weeks in (1, 9, 30):
        assert (await asked(api, "sales-weeks", until=until, weeks=weeks))["data"] == year[-weeks:]
    assert sum(week["new_prospects"] for week in year) > 10
    assert any(week["prospects_again"] for week in year)


async def test_a_look_at_a_past_day_sees_nothing_of_later_days(api: httpx.AsyncClient, feed: Feeding) -> None:
    party = feed.identity()
    await feed.bought(party, noon("2026-01-05"), 1_000)
    before = await asked(api, "zoom", as_of="2026-02-01")
    await feed.bought(party, noon("2026-02-02"), 500_000)
    await feed.bought(feed.identity(), noon("2026-02-02"), 500_000)

    assert await asked(api, "zoom", as_of="2026-02-01") == before
    assert before["data"][0]["measures"]["value_minor"] == 1_000
    assert (await asked(api, "zoom"))["data"][0]["measures"]["count"] == 2


async def test_satisfied_customers_who_buy_more_are_seen_and_others_prove_nothing(
    make_scoring: Any,
) -> None:
    until = date(2026, 3, 31)
    told = {}
    for bound in (True, False):
        database = await make_scoring()
        random, feed = Random(7), Feeding(database)
        for _ in range(60):
            party, content = feed.identity(), random.random() < 0.5
            begun = datetime(2025, 6, 1, 12, tzinfo=UTC) + timedelta(days=random.randint(0, 60))
            events: list[Any] = [feed.purchase(party, begun, 1_000)]
            kind = InteractionKind.PRAISE if content else InteractionKind.COMPLAINT
            events += [said(party, begun + timedelta(days=day), kind) for day in (70, 100, 130, 200)]
            eager = content if bound else random.random() < 0.5
            events += [
                feed.purchase(party, datetime(2025, 10, 5, 12, tzinfo=UTC) + timedelta(days=place * 10), 1_000)
                for place in range(16)
                if random.random() < (0.6 if eager else 0.1)
            ]
            await feed.tell(*events)
        async with served(database) as api:
            told[bound] = await asked(api, "satisfaction-and-sales", as_of=str(until), starts=2, lag_days=80)

    assert told[True]["whole"]["verdict"] == told[True]["without_purchases"]["verdict"] == "goes_with"
    assert told[True]["sentence"].startswith("Customers with a higher index bought more in the 80 days after: a ")
    assert told[True]["whole"]["p_value"] < 0.001
    # Who bought often goes on buying: an index that counts purchases goes with later ones whatever else was shuffled.
    assert told[False]["whole"]["verdict"] == "goes_with"
    assert told[False]["without_purchases"]["verdict"] == "not_proven"
    assert (told[True]["verdict"], told[False]["verdict"]) == ("goes_with", "not_proven")
    assert told[False]["sentence"].startswith("Not proven: customers with a higher index bought more in the 80 days")
    assert told[True]["starts"] == ["2025-10-22", "2026-01-10"]
    assert told[True]["whole"]["parties"] == 60


@pytest.mark.parametrize(
    ("report", "query"),
    [
        ("losses", {"since": "2026-02-01", "until": "2026-01-01"}),
        ("flows", {"since": "2026-02-01", "until": "2026-01-01"}),
        ("flows/moves", {"from_stage": "nowhere", "to_stage": "customer"}),
        ("flows/moves", {"from_stage": "none", "to_stage": "customer", "cursor": "WzFd"}),
        ("purchase-kinds", {"since": "1990-01-01", "until": "2026-01-01"}),
        ("sales-weeks", {"weeks": 54}),
        ("satisfaction-and-sales", {"lag_days": 0}),
        ("zoom", {"by": "weather"}),
        ("zoom", {"level": "party", "cursor": "WzFd"}),
        ("zoom", {"level": "party", "segment": "\x00"}),
    ],
)
async def test_what_cannot_be_reported_is_refused(api: httpx.AsyncClient, report: str, query: Json) -> None:
    answer = await api.get(f"/v1/reports/{report}", params=query)

    assert answer.status_code in (400, 422), answer.text


async def test_every_report_of_an_empty_installation_is_empty(api: httpx.AsyncClient) -> None:
    for report in ("losses", "purchase-kinds", "second-purchases"):
        assert (await asked(api, report))["data"] == []
    assert (await asked(api, "defections"))["lost_to_competitors"] == []
    assert {week["active_prospects"] for week in (await asked(api, "sales-weeks"))["data"]} == {0}
    assert (await asked(api, "zoom"))["data"][0]["measures"]["count"] == 0
    assert (await asked(api, "satisfaction-and-sales"))["sentence"].startswith("Not proven: 0 customers")
    assert (await posted(api, "win-back", lost_on="2025-01-01"))["comparison"] is None


ON_EVERYBODY: list[tuple[str, str, Json]] = [
    ("GET", "satisfaction-and-sales", {"lag_days": 30}),
    ("GET", "sales-weeks", {}),
    ("GET", "purchase-kinds", {}),
    ("GET", "second-purchases", {}),
    ("POST", "win-back", {"lost_on": "2026-05-01"}),
    ("GET", "losses", {}),
    ("GET", "defections", {}),
    ("GET", "zoom", {"level": "segment", "by": "tier", "as_of": "2026-05-31"}),
    ("GET", "zoom", {"level": "party", "as_of": "2026-05-31", "limit": 7}),
]


async def sent(api: httpx.AsyncClient, method: str, report: str, asked: Json) -> httpx.Response:
    if method == "POST":
        return await api.post(f"/v1/reports/{report}", json=asked)
    return await api.get(f"/v1/reports/{report}", params=asked)


@pytest.mark.parametrize(("method", "report", "asked"), ON_EVERYBODY)
async def test_a_report_on_many_is_the_same_from_a_process_of_its_own(
    api: httpx.AsyncClient, various: Database, monkeypatch: pytest.MonkeyPatch, method: str, report: str, asked: Json
) -> None:
    here = await sent(api, method, report, asked)
    ended: list[str] = []

    async def in_a_process(*work: Any) -> Any:
        found = await apart(*work)
        ended.append(report)
        return found

    monkeypatch.setattr(reports_apart, "MANY", 0)
    monkeypatch.setattr(reports_apart, "apart", in_a_process)

    there = await sent(api, method, report, asked)

    assert (here.status_code, there.status_code) == (200, 200), there.text
    assert there.json() == here.json()
    assert ended == [report]


async def test_two_reports_on_everybody_are_computed_at_once_and_others_are_told_when_to_ask_again(
    api: httpx.AsyncClient, various: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports_apart, "MANY", 0)

    answers = await asyncio.gather(*(api.get("/v1/reports/losses") for _ in range(5)))
    stored = await api.get("/v1/reports/zoom")
    again = await api.get("/v1/reports/losses")

    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
    for refused in answers:
        if refused.status_code == 503:
            assert refused.json()["code"] == "reports_busy"
            assert refused.headers["retry-after"] == "10"
    assert (stored.status_code, again.status_code) == (200, 200)
