"""Fitting parameters to measurements: a bounded, deterministic search, and the spread of what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Range = tuple[float, float, float]
"""Lower bound, start and upper bound of a parameter."""


def search(
    loss: Callable[[Mapping[str, float]], float], space: Mapping[str, Range], evaluations: int, starts: int = 3
) -> dict[str, float]:
    """The parameters of least loss within bounds: Nelder-Mead from several starts, the best one polished.

    Args:
        loss: of parameters by name.
        space: bounds and start of each parameter.
        evaluations: of the loss, over all starts.
        starts: the given start, and others drawn around it; deterministic.
    """
    names = list(space)
    low, start, high = (np.array([space[n][i] for n in names]) for i in range(3))
    rng = np.random.default_rng(0)
    around = [start, *(start * np.exp(rng.normal(0.0, 0.5, len(names))) for _ in range(starts - 1))]
    inside = [np.clip(x, low + 1e-3 * (high - low), high - 1e-3 * (high - low)) for x in around]
    budget = evaluations // (2 * starts)
    found = [_descend(loss, names, x, low, high, budget) for x in inside]
    best = min(found, key=lambda f: f[0])[1]
    for _ in range(2):
        best = _descend(loss, names, best, low, high, evaluations // 4)[1]
    return _named(names, best)


def _named(names: Sequence[str], x: Array) -> dict[str, float]:
    return dict(zip(names, (float(v) for v in x), strict=True))


def _descend(
    loss: Callable[[Mapping[str, float]], float], names: Sequence[str], start: Array, low: Array, high: Array, evaluations: int
) -> tuple[float, Array]:  # fmt: skip
    from scipy.optimize import minimize

    scale = np.where(start != 0, start, 1e-3 * (high - low))

    def objective(y: Array) -> float:
        x = y * scale
        outside = (np.maximum(low - x, 0.0) + np.maximum(x - high, 0.0)) / (high - low)
        return loss(_named(names, np.clip(x, low, high))) + 10.0 * float(outside.sum())

    done: Any = minimize(
        objective, start / scale, method="Nelder-Mead",
        options={"maxfev": evaluations, "xatol": 1e-4, "fatol": 1e-6, "adaptive": True},
    )  # fmt: skip
    return float(done.fun), np.clip(done.x * scale, low, high)


def quantiles_80(residuals: Sequence[Array]) -> tuple[float, float]:
    """10th and 90th percentile over residuals, each table with the same weight."""
    size = max(len(r) for r in residuals)
    even = np.concatenate([np.quantile(r, (np.arange(size) + 0.5) / size) for r in residuals])
    return float(np.quantile(even, 0.1)), float(np.quantile(even, 0.9))
