"""A run given observations: its samples drawn again in proportion to their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.supply.backtest import posterior
from wafer2token.supply.result import SupplyResult

Array = NDArray[np.float64]


def systematic(weights: Array, count: int) -> NDArray[np.int64]:
    """Indices [count] in proportion to weights [n] that sum to 1, by one comb of evenly spaced points (deterministic)."""
    points = (np.arange(count) + 0.5) / count
    return np.asarray(np.minimum(np.searchsorted(np.cumsum(weights), points), len(weights) - 1), np.int64)


def given(result: SupplyResult, observations: Sequence[str] | None = None) -> SupplyResult:
    """The posterior of a run as a run of as many samples: every array drawn again by importance weight.

    observations: ids of statements that have a likelihood, None for all of them. Samples repeat; ``effective_samples`` of
    the result says how many stand behind it. Raises EvidenceError as ``posterior``.
    """
    found = posterior(result, observations)
    index = systematic(found.weights, result.samples)
    drawn: SupplyResult = _take(result, index, result.samples)
    return replace(drawn, given=found.used, effective_samples=found.effective_samples)


def _take(value: Any, index: NDArray[np.int64], samples: int) -> Any:
    """The same structure with every array of samples indexed along its first axis."""
    if isinstance(value, np.ndarray):
        return value[index] if value.ndim and value.shape[0] == samples else value
    if is_dataclass(value) and not isinstance(value, type):
        changes = {f.name: _take(getattr(value, f.name), index, samples) for f in fields(value) if f.init}
        return type(value)(**changes)
    if isinstance(value, Mapping):
        return {key: _take(item, index, samples) for key, item in value.items()}
    return value
