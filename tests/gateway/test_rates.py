import asyncio
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import app as gateway_app
from gateway.domain.rates import Level, Rate, Rates, changed, fields, neighbourhood, spent, taken
from gateway.domain.rights import Role
from gateway.queries import meter as meter_module
from gateway.queries.meter import Meter

from .conftest import Door, serving

TEN = Rate(10, 20)


def let_through(rate: Rate, instants: list[float]) -> int:
    full_at, through = 0.0, 0
    for at in instants:
        full_at, level = taken(full_at, rate, at)
        through += level.allowed
    return through


def test_a_burst_passes_and_the_next_one_waits() -> None:
    assert let_through(TEN, [0.0] * 100) == 20


def test_in_the_long_run_the_rate_holds() -> None:
    hundred_seconds = [number / 100 for number in range(10_000)]
    assert let_through(TEN, hundred_seconds) == 20 + 10 * 100 - 1


@given(st.lists(st.floats(0, 60), max_size=200).map(sorted))
def test_no_caller_gets_more_than_burst_and_rate(instants: list[float]) -> None:
    assert let_through(Rate(3, 5), instants) <= 5 + 3 * (instants[-1] - instants[0] if instants else 0) + 1e-3


def test_what_is_left_is_told_and_when_the_next_may_come() -> None:
    full_at, first = taken(0.0, TEN, 0.0)
    assert first == Level(True, 19, 1)
    for _ in range(19):
        full_at, level = taken(full_at, TEN, 0.0)
    assert level == Level(True, 0, 1)
    same, refused = taken(full_at, TEN, 0.0)
    assert (same, refused) == (full_at, Level(False, 0, 1))
    assert taken(full_at, TEN, 0.1)[1].allowed
    slow = Rate(1, 1)
    assert taken(taken(0.0, slow, 0.0)[0], slow, 0.2)[1] == Level(False, 0, 1)


def test_what_others_let_through_is_owed() -> None:
    owing = spent(0.0, 30 / TEN.per_s, 0.0)
    assert taken(owing, TEN, 0.0)[1] == Level(False, 0, 2)
    assert taken(owing, TEN, 1.1)[1].allowed


def test_a_rate_that_is_raised_counts_at_once() -> None:
    used_up, fast = spent(0.0, 20.0, 0.0), Rate(1_000, 2_000)
    assert taken(used_up, Rate(1, 20), 0.0)[1] == Level(False, 0, 1)
    assert taken(changed(used_up, Rate(1, 20), fast, 0.0), fast, 0.0)[1] == Level(True, 1_979, 1)
    wide = spent(0.0, 30.0, 0.0)
    assert not taken(changed(wide, Rate(2, 60), Rate(5, 20), 0.0), Rate(5, 20), 0.0)[1].allowed
    assert taken(changed(wide, Rate(2, 60), Rate(5, 20), 0.0), Rate(5, 20), 0.2)[1].allowed


def test_a_rate_that_is_lowered_forgives_nothing_and_asks_for_no_more_than_a_burst() -> None:
    slow = Rate(1, 20)
    assert taken(changed(spent(0.0, 0.015, 0.0), Rate(1_000, 2_000), slow, 0.0), slow, 0.0)[1].left == 4
    empty = changed(spent(0.0, 2.0, 0.0), Rate(1_000, 2_000), slow, 0.0)
    assert taken(empty, slow, 0.0)[1] == Level(False, 0, 1)
    assert taken(empty, slow, 1.0)[1].allowed
    assert changed(-5.0, Rate(1_000, 2_000), slow, 0.0) == 0.0


def test_the_fields_are_those_of_the_draft() -> None:
    assert dict(fields("key", Rate(100, 250), Level(True, 249, 1))) == {
        b"ratelimit-policy": b'"key";q=250;w=3',
        b"ratelimit": b'"key";r=249;t=1',
    }


def test_of_several_roles_the_freest_counts() -> None:
    rates = Rates({Role.READER: Rate(5, 10), Role.INGEST: Rate(50, 5)})
    assert rates.of(None, frozenset({Role.READER, Role.INGEST})) == Rate(50, 5)
    assert rates.of(None, frozenset({Role.READER})) == Rate(5, 10)


def test_a_rate_of_ones_own_counts_whatever_the_roles_may() -> None:
    rates = Rates({Role.READER: Rate(5, 10)})
    assert rates.of(Rate(1, 1), frozenset({Role.READER})) == Rate(1, 1)


@pytest.mark.parametrize("text", ["", "5", "0/1", "1/0", "1.5/2", "5/10 ", "1000000/1", "-1/5"])
def test_a_rate_is_written_in_one_way(text: str) -> None:
    assert str(Rate.parse("5/10")) == "5/10"
    with pytest.raises(ValueError, match="such as 100/200"):
        Rate.parse(text)


def test_a_host_with_many_addresses_is_one_stranger() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff") != neighbourhood("2001:db8:0:1::1")
    assert neighbourhood("::ffff:192.0.2.1") == neighbourhood("192.0.2.1") == "192.0.2.1"
    assert neighbourhood("fe80::1%eth0") == "fe80::/64"
    assert neighbourhood("unix") == "unix"


class Clock:
    at = 100.0

    def __call__(self) -> float:
        return self.at


def test_what_one_process_lets_through_counts_in_the_other() -> None:
    clock = Clock()
    one, other = Meter(clock), Meter(clock)
    assert sum(one.take("key_1", TEN).allowed for _ in range(30)) == 20
    [told] = list(one.news())
    other.hear(told)
    one.hear(told)
    assert not other.take("key_1", TEN).allowed
    assert other.take("key_2", TEN).allowed
    assert list(one.news()) == []
    clock.at += 0.1
    assert [meter.take("key_1", TEN).allowed for meter in (one, other)] == [True, True]
    assert [meter.take("key_1", TEN).allowed for meter in (one, other)] == [False, False]


def test_a_key_whose_rate_is_raised_goes_on_at_once_in_every_process() -> None:
    clock = Clock()
    one, other = Meter(clock), Meter(clock)
    while one.take("key_1", Rate(1, 20)).allowed:
        pass
    [told] = list(one.news())
    other.hear(told)
    assert not other.take("key_1", Rate(1, 20)).allowed
    fast = Rate(1_000, 2_000)
    assert one.take("key_1", fast).left == 1_979
    [told] = list(one.news())
    other.hear(told)
    assert other.take("key_1", fast).left == 1_978


def test_all_processes_together_keep_to_the_rate_in_the_long_run() -> None:
    clock, through = Clock(), 0
    meters = [Meter(clock) for _ in range(3)]
    for _ in range(400):
        for meter in meters:
            through += sum(meter.take("key_1", TEN).allowed for _ in range(5))
        told = [news for meter in meters for news in meter.news()]
        for meter in meters:
            for news in told:
                meter.hear(news)
        clock.at += 0.25
    # 100 s at 10 per s, and what three may each let through before they have heard of each other.
    assert 1_000 <= through <= 1_000 + 3 * 20


def test_a_notification_is_never_too_long() -> None:
    meter = Meter(Clock())
    for number in range(2_000):
        meter.take(f"key_{number:032x}", TEN)
    told = list(meter.news())
    assert len(told) > 10
    assert max(len(news.encode()) for news in told) < 8_000
    assert sum(len(json.loads(news)["spent"]) for news in told) == 2_000


def test_a_crowd_of_strangers_is_forgotten_before_those_who_owe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "KEPT", 100)
    meter = Meter(Clock())
    while meter.take("busy", TEN).allowed:
        pass
    for number in range(1_000):
        meter.take(f"10.0.{number}", TEN)
    assert len(meter._buckets) <= 100
    assert not meter.take("busy", TEN).allowed


def test_what_nobody_could_be_told_is_not_owed_when_it_is_long_full_again() -> None:
    clock = Clock()
    one, other = Meter(clock), Meter(clock)
    for _ in range(600):
        one.take("busy", TEN)
        clock.at += 0.1
    one.take("gone", TEN)
    clock.at += TEN.window_s + 0.1
    assert list(one.news()) == []
    for _ in range(600):
        one.take("busy", TEN)
        clock.at += 0.1
    for told in one.news():
        assert {who for who, *_ in json.loads(told)["spent"]} == {"busy"}
        other.hear(told)
    clock.at += TEN.window_s
    assert other.take("busy", TEN).allowed


def test_a_crowd_that_nobody_could_be_told_of_is_forgotten_before_those_who_took_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meter_module, "KEPT", 100)
    meter = Meter(Clock())
    while meter.take("busy", TEN).allowed:
        pass
    for number in range(1_000):
        meter.take(f"10.0.{number}", TEN)
    told = {who for news in meter.news() for who, *_ in json.loads(news)["spent"]}
    assert "busy" in told
    assert len(told) <= 100


def limited(door: Door, clock: Clock) -> None:
    door.app.state.meter._clock = clock


async def test_every_answer_tells_what_is_left_also_a_problem(door: Door) -> None:
    limited(door, Clock())
    good = await door.client.get("/v1/parties", headers=door.key("reader"))
    assert (good.headers["ratelimit-policy"], good.headers["ratelimit"]) == ('"key";q=400;w=2', '"key";r=399;t=1')
    forbidden = await door.client.post("/v1/parties", headers=door.key("reader"))
    assert (forbidden.status_code, forbidden.headers["ratelimit"]) == (403, '"key";r=398;t=1')
    unknown = await door.client.get("/v1/nothing", headers=door.key("reader"))
    assert (unknown.status_code, unknown.headers["ratelimit"]) == (404, '"key";r=397;t=1')


async def test_a_key_that_asks_too_often_is_told_when_to_come_back(door: Door) -> None:
    limited(door, clock := Clock())
    wanted = {"name": "slow", "scopes": ["reader"], "limit": {"per_s": 1, "burst": 2}}
    theirs = {"Authorization": f"Bearer {(await door.client.post('/v1/keys', json=wanted)).json()['secret']}"}
    for _ in range(2):
        assert (await door.client.get("/v1/parties", headers=theirs)).status_code == 200
    asked = len(door.customers.requests)
    refused = await door.client.get("/v1/parties", headers=theirs)
    problem = refused.json()
    assert (refused.status_code, problem["code"], refused.headers["retry-after"]) == (429, "rate_limited", "1")
    assert refused.headers["ratelimit"] == '"key";r=0;t=1'
    assert (problem["limit"], problem["policy"]) == ({"per_s": 1, "burst": 2}, "key")
    assert len(door.customers.requests) == asked
    assert (await door.client.get("/v1/parties")).status_code == 200
    clock.at += 1
    assert (await door.client.get("/v1/parties", headers=theirs)).status_code == 200


async def test_a_limit_that_is_changed_counts_from_the_next_request(door: Door) -> None:
    limited(door, Clock())
    made = (await door.client.post("/v1/keys", json={"name": "k", "scopes": ["reader"]})).json()
    theirs = {"Authorization": f"Bearer {made['secret']}"}
    assert (await door.client.get("/v1/parties", headers=theirs)).headers["ratelimit-policy"] == '"key";q=400;w=2'
    await door.client.patch(f"/v1/keys/{made['id']}", json={"limit": {"per_s": 7, "burst": 7}})
    async with asyncio.timeout(60):
        while (await door.client.get("/v1/parties", headers=theirs)).headers["ratelimit-policy"] != '"key";q=7;w=1':
            await asyncio.sleep(0.005)


async def test_an_address_that_tries_keys_is_stopped_and_known_keys_go_on(door: Door) -> None:
    limited(door, Clock())
    assert (await door.client.get("/v1/parties", headers=door.key("reader"))).status_code == 200
    tried = [
        await door.client.get("/v1/parties", headers={"Authorization": f"Bearer shuke_{number:043}"})
        for number in range(61)
    ]
    assert {answer.status_code for answer in tried[:60]} == {401}
    assert (tried[60].status_code, tried[60].json()["policy"]) == (429, "address")
    assert tried[60].headers["retry-after"] == "1"
    for nobody in ({"Authorization": ""}, {"Authorization": "Basic eA=="}):
        assert (await door.client.get("/v1/parties", headers=nobody)).status_code == 429
    assert (await door.client.get("/openapi.json", headers={"Authorization": ""})).status_code == 429
    assert (await door.client.get("/v1/parties", headers=door.key("reader"))).status_code == 200


async def test_a_key_seen_for_the_first_time_costs_its_address_nothing(door: Door) -> None:
    limited(door, Clock())
    for role in ("admin", "operator", "ingest", "reader"):
        await door.client.get("/v1/parties", headers=door.key(role))
    answer = await door.client.get("/v1/parties", headers={"Authorization": ""})
    assert answer.headers["ratelimit"] == '"address";r=59;t=1'


async def test_two_processes_of_the_gateway_share_a_limit(door: Door) -> None:
    clock = Clock()
    limited(door, clock)
    made = (
        await door.client.post(
            "/v1/keys", json={"name": "slow", "scopes": ["reader"], "limit": {"per_s": 1, "burst": 20}}
        )
    ).json()
    theirs = {"Authorization": f"Bearer {made['secret']}"}
    app = gateway_app.app()
    app.state.meter._clock = clock
    async with serving(app) as url, httpx.AsyncClient(base_url=url, headers=theirs) as other:
        assert (await other.get("/v1/parties")).status_code == 200
        answers = [await door.client.get("/v1/parties", headers=theirs) for _ in range(19)]
        assert {answer.status_code for answer in answers} == {200}
        async with asyncio.timeout(60):
            while app.state.meter._buckets[made["id"]][0] < clock.at + 20:
                await asyncio.sleep(0.01)
        assert (await other.get("/v1/parties")).status_code == 429
