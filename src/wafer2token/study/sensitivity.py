"""What drives a result: rank correlation and swing of every number under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wafer2token.evidence.number import Grade
from wafer2token.study.graph import Array, Graph


@dataclass(frozen=True)
class Driver:
    """How a result moves with one number: its median when the number is in its lowest and in its highest tenth."""

    result: str
    name: str
    unit: str
    correlation: float
    low: float
    high: float
    grade: Grade

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def ranks(values: Array) -> Array:
    """Ranks along the samples, shape as given; ties share their mean rank."""
    order = np.argsort(values, kind="stable")
    position = np.empty(values.size)
    position[order] = np.arange(values.size)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.bincount(inverse, position) / counts)[inverse])


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's rank correlation; 0 where one of the two does not vary."""
    x, y = ranks(a), ranks(b)
    if x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def chance_correlation(samples: int) -> float:
    """Three standard errors of the rank correlation of two independent samples, 3/sqrt(n - 1) [1]."""
    return float(3 / np.sqrt(samples - 1))


def explained(drivers: Sequence[Driver]) -> float:
    """Share of the rank variance of a result that its drivers explain, taken as independent [1]."""
    return min(sum(d.correlation**2 for d in drivers), 1.0)


def tornado(graph: Graph, result: str, most: int = 10) -> list[Driver]:
    """The numbers that move a result most, strongest first.

    Left out are numbers without a range, and those whose rank correlation is within three standard errors of chance.
    """
    values = graph.values[result]
    values = values[..., -1] if values.ndim > 1 else values
    drivers = []
    for name in graph.leaves_under(result):
        leaf = graph.values[name]
        if np.ptp(leaf) == 0:
            continue
        correlation = rank_correlation(leaf, values)
        if abs(correlation) < chance_correlation(values.size):
            continue
        low, high = np.quantile(leaf, [0.1, 0.9])
        drivers.append(Driver(result, name, graph.quantities[result].unit, correlation,
                              float(np.median(values[leaf <= low])), float(np.median(values[leaf >= high])), graph.grade(name)))  # fmt: skip
    return sorted(drivers, key=lambda d: (-abs(d.correlation), d.name))[:most]
