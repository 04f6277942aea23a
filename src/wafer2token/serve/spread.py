"""What drawn kernels do not explain of the error of a step: drawn as one factor, so that intervals hold what they claim."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.catalog import get
from wafer2token.evidence.sampling import draw

F = NDArray[np.float64]
Z95 = 1.6448536269514722


def widened(seconds: F, phase: str, rung: str, seed: int) -> F:
    """A factor [samples] on ``seconds`` [samples]: with it ln(seconds) has the standard deviation validation shows.

    It is drawn under ``calibration.serve_spread.<rung>.<phase>``, and is 1 where the samples spread that far by themselves.
    """
    if len(seconds) < 2:
        return np.ones(len(seconds))
    ratios: Any = get("calibration", "serve_spread").ratios
    known = float(np.var(np.log(np.maximum(seconds, 1e-30))))
    left = math.sqrt(max(float(ratios[rung]) ** 2 - known, 0.0))
    if left == 0.0:
        return np.ones(len(seconds))
    number = replace(ratios[rung], low=math.exp(-Z95 * left), mid=1.0, high=math.exp(Z95 * left), dist="lognormal")
    return draw(number, f"calibration.serve_spread.{rung}.{phase}", len(seconds), seed)
