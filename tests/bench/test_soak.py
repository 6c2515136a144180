import asyncio
import json
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.figures import Figure
from bench.live import PATH
from bench.soak import (
    GROWTH,
    SLACK_MB,
    SLACK_MS,
    Sample,
    Soaked,
    by_part,
    document,
    drawn,
    figures_of,
    most_mb,
    parts,
    pour,
)

IDLE = {"gateway": 80.0, "scoring-worker-1": 90.0, "scoring-worker-2": 90.0, "kafka": 400.0, "postgres": 200.0}


def soaked(last: dict[str, float], *, lag: tuple[int, int] = (10, 10), ms: tuple[float, float] = (20, 20)) -> Soaked:
    """Twenty samples, the last two of which hold something else."""
    seen = Soaked(IDLE, IDLE, full_per_s=20_000, per_s=10_000, rows=1_000, bare_mb=60)
    for number in range(20):
        late = number >= 18
        memory_mb = IDLE | last if late else IDLE
        seen.samples.append(Sample(number * 10.0, memory_mb, lag[late], [ms[late]] * 100))
    return seen


def at_last(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.what.split(",")[0]: figure for figure in figures if "last tenth" in figure.what}


def grown(seen: Soaked) -> set[str]:
    found = at_last(figures_of(seen, 60))
    return {name for name, figure in found.items() if figure.binding and figure.met is False}


def test_a_process_that_holds_what_it_held_is_flat() -> None:
    assert grown(soaked({})) == set()


def test_a_process_that_grew_beyond_the_bound_is_found_by_its_name_and_nobody_else_is() -> None:
    assert grown(soaked({"scoring-worker-2": 90 * GROWTH + 1})) == {"scoring-worker-2"}


def test_what_grew_within_the_bound_is_flat() -> None:
    assert grown(soaked({"gateway": 80 + SLACK_MB})) == set()
    assert grown(soaked({"gateway": 80 + SLACK_MB + 0.1})) == {"gateway"}


def test_the_bound_is_a_share_of_a_large_process_and_some_megabytes_of_a_small_one() -> None:
    assert most_mb(10) == 10 + SLACK_MB
    assert most_mb(1_000) == pytest.approx(1_000 * GROWTH)


def test_postgresql_and_kafka_are_told_and_not_judged() -> None:
    found = at_last(figures_of(soaked({"kafka": 900, "postgres": 900}), 60))

    assert not found["kafka"].binding
    assert found["kafka"].met is None
    assert found["postgres"].value == 900
    assert "not judged" in found["postgres"].how


def test_each_process_is_told_idle_at_full_load_and_at_last_beside_its_first_tenth() -> None:
    figures = figures_of(soaked({"gateway": 84}), 60)

    of_gateway = [figure for figure in figures if figure.what.startswith("gateway,")]
    assert [(figure.value, figure.baseline) for figure in of_gateway] == [(80, 60), (80, 80), (84, 80)]
    assert {figure.what.split(",")[0] for figure in figures if figure.row == "memory"} == set(IDLE)


def test_lag_and_latency_of_the_last_tenth_stand_beside_those_of_the_first() -> None:
    figures = {figure.what: figure for figure in figures_of(soaked({}, lag=(10, 500), ms=(20, 60)), 60)}

    assert (figures["events behind"].value, figures["events behind"].baseline) == (500, 10)
    assert figures["POST to standing readable, p99"].ratio == 3


def not_steady(seen: Soaked) -> set[str]:
    return {figure.what for figure in figures_of(seen, 60) if figure.row == "soak" and figure.met is False}


def test_a_lag_of_less_than_a_second_is_steady_and_one_that_grew_beyond_is_not() -> None:
    assert not_steady(soaked({}, lag=(10, 10_000))) == set()
    assert not_steady(soaked({}, lag=(10, 10_001))) == {"events behind"}
    assert not_steady(soaked({}, lag=(8_000, 16_000))) == set()


def test_a_latency_that_grew_beyond_the_bound_is_not_steady() -> None:
    assert not_steady(soaked({}, ms=(20, 20 + SLACK_MS))) == set()
    assert not_steady(soaked({}, ms=(20, 21 + SLACK_MS))) == {"POST to standing readable, p99"}
    assert not_steady(soaked({}, ms=(1_000, 1_500))) == set()


def test_where_nothing_comes_to_be_readable_any_more_the_latency_is_not_steady() -> None:
    seen = soaked({})
    for sample in seen.samples[-2:]:
        sample.readable_ms = []

    assert not_steady(seen) == {"POST to standing readable, p99"}


def test_the_first_and_the_last_tenth_are_never_empty() -> None:
    few = soaked({}).samples[:3]

    assert [len(some) for some in parts(few)] == [1, 1]
    assert [len(some) for some in parts(soaked({}).samples)] == [2, 2]


def test_processes_of_one_service_are_one_part_of_a_drawing() -> None:
    assert by_part(IDLE) == {"gateway": 80, "scoring": 180, "kafka": 400, "postgres": 200}
    assert ">scoring</text>" in drawn(soaked({}), "An hour")


def test_what_was_seen_is_kept_with_its_figures_as_json() -> None:
    seen = soaked({})

    kept = json.loads(
        json.dumps(document(seen, figures_of(seen, 60), {"cores": 2}, datetime(2026, 11, 26, tzinfo=UTC)))
    )

    assert len(kept["samples"]) == 20
    assert kept["samples"][-1]["memory_mb"]["kafka"] == 400
    assert {figure["row"] for figure in kept["figures"]} == {"memory", "soak"}


async def test_what_several_connections_have_told_at_once_is_counted_whole_and_a_refusal_is_tried_again() -> None:
    asked: list[int] = []
    all_there = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        asked.append(len((await request.read()).splitlines()))
        if len(asked) == 1:
            return web.json_response({}, status=503, headers={"Retry-After": "0"})
        if len(asked) == 4:
            all_there.set()
        await all_there.wait()
        return web.json_response({"accepted": asked[-1]})

    app = web.Application()
    app.router.add_post(PATH, take)
    seen = Soaked()
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("")) as session:
        await asyncio.gather(*(pour(session, seen, range(10)) for _ in range(3)))

    assert seen.rows == 30
