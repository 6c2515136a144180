"""Numbers that are rounded before they decide, where arrays and single numbers differ in the last bits."""

import numpy as np
import numpy.typing as npt

from services.scoring.domain.likelihood import Numbers

Holds = npt.NDArray[np.bool_]
"""Of each party, whether it is so."""

NEAR = 1e-6
"""Of the last digit that is kept: so near to the middle noise could turn a rounding."""


def edge(threshold: float, digits: int) -> float:
    """Numbers below this are below a threshold when they are rounded to so many decimals."""
    unit = 10.0**digits
    least = round(threshold * unit)
    if least / unit < threshold:
        least += 1
    return (least - 0.5) / unit


def near_half(numbers: Numbers) -> Holds:
    """Where numbers that are about to be rounded to whole ones lie in the middle between two."""
    return np.asarray(np.abs(np.abs(numbers - np.rint(numbers)) - 0.5) < NEAR)
