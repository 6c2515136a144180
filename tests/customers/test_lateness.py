"""What is put right or taken back is as late as it was when it was told."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.customers.queries.lateness import published_late
from tests.customers.test_interactions_routes import called
from tests.customers.test_purchases_routes import bought

DAY_S = 86_400


def ago(days):
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


async def recorded(api, days):
    answer = await api.post("/v1/purchases", json=bought(occurred_at=ago(days)))
    assert answer.status_code == 201, answer.text
    return f"/v1/purchases/{answer.json()['id']}"


async def corrected(api, path, **right):
    answer = await api.post(f"{path}/correct", json=right)
    assert answer.status_code == 200, answer.text


def late_days(events):
    return [(kind, round(data["late_s"] / DAY_S)) for kind, _, data in events if "late_s" in data]


@pytest.mark.parametrize(
    ("days", "right", "late"),
    [
        (0, [90], [0, 0]),
        (0, [90, 80], [0, 0, 0]),
        (90, [80], [80, 80]),
        (90, [0, 90], [0, 0, 0]),
    ],
)
async def test_of_all_versions_of_a_fact_the_one_that_was_recorded_soonest_counts(api, published, days, right, late):
    path = await recorded(api, days)
    for each in right:
        await corrected(api, path, occurred_at=ago(each))
    await api.post(f"{path}/withdraw", json={})

    told = late_days(await published())

    assert told == [*(("purchase_completed", each) for each in late[:-1]), ("fact_withdrawn", late[-1])]


async def test_a_problem_that_goes_to_the_right_customer_is_as_late_there_as_it_was(api, published):
    old = called(occurred_at=ago(30), kind="complaint", problem={"category": "delivery"})
    opened = (await api.post("/v1/interactions", json=old)).json()
    await api.post(f"/v1/problems/{opened['problem_id']}/solve", json={"occurred_at": ago(20)})
    await published()

    await corrected(api, f"/v1/interactions/{opened['id']}", identifier=called("c2")["identifier"])

    told = late_days(await published())
    assert sorted(told) == [
        ("fact_withdrawn", 20),
        ("fact_withdrawn", 30),
        ("interaction_recorded", 30),
        ("problem_opened", 30),
        ("problem_solved", 20),
    ]
    await api.post(f"/v1/problems/{opened['problem_id']}/withdraw", json={})
    assert late_days(await published()) == [("fact_withdrawn", 30), ("fact_withdrawn", 20)]


def test_how_late_a_fact_was_told_is_unknown_where_its_id_does_not_say_when():
    made = datetime.fromtimestamp(1_767_225_600, UTC)
    assert published_late(UUID(int=1_767_225_600_000 << 80 | 7 << 76), made - timedelta(hours=2)) == 7_200
    assert published_late(uuid4(), made) is None
