"""Maximum likelihood over parameters above zero, sought by their logarithms."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.float64]
Whole: TypeAlias = npt.NDArray[np.int64]

LogLikelihood = Callable[[Numbers], tuple[float, Numbers]]
"""Parameters to the log-likelihood and its gradient by them."""

FEWEST = 30
"""Parties with more than one purchase that a fit takes, unless policy says otherwise."""
STEEP = 1e-8
"""A search ends where the gradient of one observation's log-likelihood by the logarithms is below this."""
NEWTON = 12
"""Steps that are tried before the slower search goes on."""
CLOSE = 1e-3
"""A logarithm this near to a bound lies at it."""
DIGITS = 10
"""Significant digits that are kept of a parameter: further ones are noise of the search."""


def dot(one: Numbers | Whole, other: Numbers | Whole) -> float:
    """The sum of products, in this thread: those of the library wait for each other where processors are busy."""
    return float((one * other).sum())


class Maximum(NamedTuple):
    """Where a log-likelihood is largest between bounds."""

    parameters: tuple[float, ...]
    log_likelihood: float
    bounded: tuple[bool, ...]
    """Which parameters lie at a bound: there is no maximum inside."""

    def at_bounds(self, names: Sequence[str]) -> list[str]:
        """What is told of the parameters that lie at a bound, of all names in their order."""
        return [f"{name}_at_bound" for name, bounded in zip(names, self.bounded, strict=True) if bounded]


class Observed(NamedTuple):
    """What a likelihood is of."""

    log_likelihood: LogLikelihood
    number: float
    """How many observations: a search ends by what one of them says on average."""


def maximum(of: Observed, some: Observed, starts: Sequence[Sequence[float]], bounds: Numbers) -> Maximum:
    """The best maximum that is found from the starts, first on some of the observations, then on all.

    `bounds` has a row (lowest, highest) for each parameter. It always ends, with finite numbers, also where there is no
    maximum inside the bounds.
    """
    low, high = np.log(bounds).T
    near = _searched(some, [np.log(start) for start in starts], low, high)
    found = None if _bounded(near, low, high).any() else _refined(of, some, near, low, high)
    best = _searched(of, [near], low, high) if found is None else found
    parameters = tuple(float(f"{value:.{DIGITS}g}") for value in np.exp(best))
    value, _ = of.log_likelihood(np.array(parameters))
    return Maximum(parameters, value, tuple(_bounded(best, low, high).tolist()))


def _searched(of: Observed, starts: Sequence[Numbers], low: Numbers, high: Numbers) -> Numbers:
    """By L-BFGS-B, which knows bounds."""
    # Not with the module: a worker assesses by formulas alone, and this takes a while to load.
    from scipy.optimize import minimize

    bounds = np.stack((low, high), axis=1)
    options = {"ftol": 1e-14, "gtol": STEEP, "maxiter": 500, "maxcor": 20}
    found = [
        minimize(_falling(of), np.clip(start, low, high), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        for start in starts
    ]
    return np.asarray(min(found, key=lambda result: float(result.fun)).x)


def _refined(of: Observed, some: Observed, near: Numbers, low: Numbers, high: Numbers) -> Numbers | None:
    """By Newton's steps with the curvature of some for that of all; None where they do not lead there in few steps."""
    falling, of_some = _falling(of), _falling(some)
    steps = np.eye(len(near)) * 1e-4
    curvature = np.stack([of_some(near + step)[1] - of_some(near - step)[1] for step in steps]) / 2e-4
    logs, lowest = near, np.inf
    for _ in range(NEWTON):
        value, gradient = falling(logs)
        if np.abs(gradient).max() < STEEP:
            return logs
        if value > lowest + 1e-9:
            return None
        try:
            lowest, logs = value, logs - np.linalg.solve(curvature, gradient)
        except np.linalg.LinAlgError:
            return None
        if not ((low < logs) & (logs < high)).all():
            return None
    return None


def _falling(of: Observed) -> LogLikelihood:
    """By the logarithms of the parameters, and with the sign that a search for a minimum takes."""

    def falling(logs: Numbers) -> tuple[float, Numbers]:
        parameters = np.exp(logs)
        value, gradient = of.log_likelihood(parameters)
        return -value / of.number, -gradient * parameters / of.number

    return falling


def _bounded(logs: Numbers, low: Numbers, high: Numbers) -> npt.NDArray[np.bool_]:
    return np.minimum(logs - low, high - logs) < CLOSE
