"""Fitting parameters to measurements: a bounded, deterministic search, and the spread of what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Range = tuple[float, float, float]
"""Lower bound, start and upper bound of a parameter."""


def search(loss: Callable[[Mapping[str, float]], float], space: Mapping[str, Range], evaluations: int) -> dict[str, float]:
    """The parameters of least loss within bounds, by restarted Nelder-Mead; deterministic."""
    from scipy.optimize import minimize

    names = list(space)
    low, start, high = (np.array([space[n][i] for n in names]) for i in range(3))

    def named(x: Array) -> dict[str, float]:
        return dict(zip(names, (float(v) for v in np.clip(x, low, high)), strict=True))

    def objective(y: Array) -> float:
        x = y * start
        outside = np.maximum(low - x, 0.0) / high + np.maximum(x - high, 0.0) / high
        return loss(named(x)) + 10.0 * float(outside.sum())

    x = np.ones(len(names))
    for _ in range(3):
        found: Any = minimize(
            objective, x, method="Nelder-Mead",
            options={"maxfev": evaluations // 3, "xatol": 1e-4, "fatol": 1e-6, "adaptive": True},
        )  # fmt: skip
        x = np.clip(found.x * start, low, high) / start
    return named(x * start)


def quantiles_80(residuals: Sequence[Array]) -> dict[str, float]:
    """10th and 90th percentile over residuals, each table with the same weight."""
    size = max(len(r) for r in residuals)
    even = np.concatenate([np.quantile(r, (np.arange(size) + 0.5) / size) for r in residuals])
    return {"low": float(np.quantile(even, 0.1)), "high": float(np.quantile(even, 0.9))}
