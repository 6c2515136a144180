"""Every row by its name, and how it is measured so and so often."""

import sys
from collections.abc import Callable, Mapping
from functools import partial

from bench import costs, drain, freshness, gateway, journey, live, model, posts, soak, standing, streams
from bench.console import visits
from bench.figures import Figure, median

PLAIN: Mapping[str, Callable[[], list[Figure]]] = {
    "freshness": freshness.embedded,
    "freshness-kafka": freshness.kafka,
    "freshness-1000": freshness.embedded_fast,
    "freshness-kafka-1000": freshness.kafka_fast,
    "journey": journey.baskets,
    "import-1m": journey.million,
    "live": live.embedded,
    "live-kafka": live.kafka,
    "post": posts.posts,
    "gateway": gateway.proxied,
    "streams": streams.opened,
    "fit": model.fitted,
    "assess-array": model.assessed,
}
"""Rows that make all anew for each run."""
SIZED: Mapping[str, Callable[[int], list[Figure]]] = {
    "activation": standing.activation,
    "sweeper": standing.sweeper,
    "trial": standing.trial,
    "export": standing.export,
    "pages": standing.pages,
    "console": visits.visited,
}
"""The same, about a population of so many parties."""
FILLED: Mapping[str, Callable[[int, int], list[list[Figure]]]] = {
    "event-cost": costs.by_depth,
    "drain": drain.embedded,
    "drain-kafka": drain.kafka,
    "drain-naive": drain.beside_naive,
}
"""Rows about a population of so many parties that is made once, and measured so and so often."""
LARGE: Mapping[str, Callable[[int], list[list[Figure]]]] = {
    "drain-200k": partial(drain.embedded, drain.LARGE, row="drain-200k"),
    "drain-1m": partial(drain.embedded, drain.MILLION, row="drain-1m"),
    "drain-kafka-200k": partial(drain.kafka, drain.LARGE, row="drain-kafka-200k"),
    "drain-kafka-1m": partial(drain.kafka, drain.MILLION, row="drain-kafka-1m"),
    **{row: partial(costs.by_population, row, *step) for row, step in costs.STEPS.items()},
}
"""The same, of sizes that their names tell."""
LASTING: Mapping[str, Callable[[float], list[Figure]]] = {"memory": soak.memory}
"""Rows that go on for so many minutes, once."""
ALL = (*PLAIN, *SIZED, *FILLED, *LARGE, *LASTING)
POPULATIONS = (*SIZED, *FILLED)
SIZES: Mapping[str, int] = {
    name: drain.DEFAULT_PARTIES if name.startswith("drain") else standing.DEFAULT_PARTIES for name in POPULATIONS
}
"""Parties of a row's population unless a size is asked for."""


def measured(row: str, *, times: int, parties: int | None, minutes: float) -> list[Figure]:
    """The medians of a row."""
    runs: list[list[Figure]]
    if row in LASTING:
        _say(f"{row}: {minutes:g} minutes, once")
        runs = [LASTING[row](minutes)]
    elif row in LARGE:
        _say(f"{row}: {times} runs")
        runs = LARGE[row](times)
    elif row in FILLED:
        _say(f"{row}: {times} runs")
        runs = FILLED[row](parties or SIZES[row], times)
    else:
        runs = []
        for nth in range(1, times + 1):
            _say(f"{row}: run {nth} of {times}")
            runs.append(SIZED[row](parties or SIZES[row]) if row in SIZED else PLAIN[row]())
    return [median(of_one) for of_one in zip(*runs, strict=True)]


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
