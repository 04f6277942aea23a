"""Which inputs move a result: rank correlation over the samples, with the grade of each input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wafer2token.evidence.number import Grade
from wafer2token.supply.inputs import Inputs
from wafer2token.supply.result import SupplyResult

Array = NDArray[np.float64]
NOTABLE = 0.1


@dataclass(frozen=True)
class Driver:
    """An input that moves a result: Spearman's rank correlation, grade, and the result's median over the samples in
    which the input is in its lowest and highest tenth."""

    name: str
    correlation: float
    grade: Grade
    low: float
    high: float


def ranks(values: Array) -> Array:
    """Ranks along the first axis, centred and scaled to unit length; ties share their order of appearance."""
    order = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0).astype(float)
    order -= order.mean(axis=0)
    norm = np.linalg.norm(order, axis=0)
    return np.asarray(order / np.where(norm > 0, norm, 1.0))


def moving(inputs: Inputs, quarter: int) -> dict[str, Array]:
    """The inputs that differ between samples, as they stand in a quarter, [samples]."""
    column = inputs.timeline.history + quarter
    out = {}
    for name, values in inputs.values.items():
        at = values[:, 0] if values.shape[1] == 1 else values[:, : column + 1].mean(axis=1)
        if np.ptp(at) > 0:
            out[name] = at
    return out


def drivers(result: SupplyResult, name: str = "units.ascend", quarter: int = -1, top: int = 10) -> list[Driver]:
    """The inputs that move a named result in a quarter, strongest first (a tornado)."""
    index = quarter % len(result.quarters)
    return drivers_of(result, result[name][:, index], index, top)


def drivers_of(result: SupplyResult, values: Array, quarter: int, top: int = 10) -> list[Driver]:
    """The inputs that move any per-sample figure [samples], such as the units of a year."""
    inputs = moving(result.inputs, quarter)
    if np.ptp(values) == 0 or not inputs:
        return []
    names = list(inputs)
    matrix = np.stack([inputs[n] for n in names], axis=1)
    correlations = ranks(values[:, None])[:, 0] @ ranks(matrix)
    tenth = max(len(values) // 10, 1)
    out = []
    for i in np.argsort(-np.abs(correlations))[:top]:
        order = np.argsort(matrix[:, i], kind="stable")
        grade = result.inputs.cards[names[i]].value.grade
        out.append(Driver(names[i], float(correlations[i]), grade, float(np.median(values[order[:tenth]])),
                          float(np.median(values[order[-tenth:]]))))  # fmt: skip
    return out


def rests_on(result: SupplyResult, name: str = "units.ascend") -> list[tuple[str, ...]]:
    """For every quarter, the assumed inputs that move a result notably (beyond chance), strongest first."""
    return [assumed_behind(result, result[name][:, quarter], quarter) for quarter in range(len(result.quarters))]


def assumed_behind(result: SupplyResult, values: Array, quarter: int = -1) -> tuple[str, ...]:
    """The assumed inputs, as they stand by a quarter, that move any figure notably (beyond chance), strongest first.

    values [n] belong to the first n samples of the run.
    """
    count = len(values)
    inputs = moving(result.inputs, quarter % len(result.quarters))
    names = [n for n in inputs if result.inputs.cards[n].value.grade == "assumed"]
    if not names or np.ptp(values) == 0:
        return ()
    matrix = ranks(np.stack([inputs[n][:count] for n in names], axis=1))
    correlations = np.abs(ranks(np.asarray(values)[:, None])[:, 0] @ matrix)
    notable = max(NOTABLE, 3.0 / np.sqrt(count))
    return tuple(names[i] for i in np.argsort(-correlations) if correlations[i] >= notable)
