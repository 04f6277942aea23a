"""Sobol indices of a supply result: which inputs' ranges, alone and with others, make its variance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.evidence.number import Grade
from wafer2token.supply.inputs import Inputs, Overrides
from wafer2token.supply.run import evaluate, supply

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sobol:
    """First-order and total indices of one input, each with its bootstrap standard error."""

    name: str
    first: float
    first_error: float
    total: float
    total_error: float
    grade: Grade


def indices(base: Array, other: Array, mixed: Array) -> tuple[Array, Array]:
    """First-order (Saltelli 2010) and total (Jansen 1999) indices.

    base f(A) and other f(B) are [n], mixed f(A with column i from B) is [inputs, n]; returns two arrays [inputs].
    """
    variance = np.var(np.concatenate([base, other]))
    if variance == 0:
        return np.zeros(len(mixed)), np.zeros(len(mixed))
    first = np.mean(other * (mixed - base), axis=1) / variance
    total = 0.5 * np.mean((base - mixed) ** 2, axis=1) / variance
    return np.asarray(first), np.asarray(total)


def bootstrap(base: Array, other: Array, mixed: Array, seed: int, repeats: int = 100) -> tuple[Array, Array]:
    """Standard errors of both indices by resampling the samples, two arrays [inputs]."""
    rng = np.random.default_rng(seed)
    draws = [indices(base[rows], other[rows], mixed[:, rows]) for rows in rng.integers(0, len(base), (repeats, len(base)))]
    return np.std([d[0] for d in draws], axis=0), np.std([d[1] for d in draws], axis=0)


def sobol(
    measure: Callable[[Inputs], Array], first: Inputs, second: Inputs, names: Sequence[str], seed: int = 0
) -> list[Sobol]:
    """Indices of `measure` ([samples] per set of inputs) over two independent draws of the inputs.

    Runs the model 2 + len(names) times. The draws are centred before the estimator, which lowers its error.
    """
    base, other = measure(first), measure(second)
    middle = np.mean(np.concatenate([base, other]))
    mixed = np.stack([measure(first.taking(second, name)) for name in names]) - middle
    base, other = base - middle, other - middle
    alone, whole = indices(base, other, mixed)
    alone_error, whole_error = bootstrap(base, other, mixed, seed)
    out = [
        Sobol(name, float(alone[i]), float(alone_error[i]), float(whole[i]), float(whole_error[i]),
              first.cards[name].value.grade)
        for i, name in enumerate(names)
    ]  # fmt: skip
    return sorted(out, key=lambda s: -s.total)


def supply_sobol(
    name: str = "units.ascend",
    year: int = 2026,
    scenario: str | None = None,
    overrides: Overrides | None = None,
    samples: int = 2000,
    seed: int = 0,
    until: str = "",
    progress: Callable[[str], None] | None = None,
) -> list[Sobol]:
    """Sobol indices of a yearly result of the supply run over every input that varies."""
    end = until or f"{year}Q4"
    first = supply(scenario, overrides, samples, seed, end).inputs
    second = supply(scenario, overrides, samples, seed + 1_000_003, end).inputs
    varying = [n for n, values in first.values.items() if np.ptp(values, axis=0).max() > 0]
    step = progress or (lambda _: None)

    def measure(inputs: Inputs) -> Array:
        step(name)
        return evaluate(inputs).yearly(name)[year]

    return sobol(measure, first, second, varying, seed)


def by_claimant(
    input_name: str, name: str = "units.ascend", scenario: str | None = None, overrides: Overrides | None = None,
    samples: int = 4000, seed: int = 0, until: str = "2028Q4",
) -> dict[str, dict[int, tuple[float, float, float]]]:  # fmt: skip
    """A yearly result under each claimant of a contested input alone: claimant -> year -> p5, p50, p95."""
    card = catalog.get("supply", input_name)
    claimants = [c.by for c in card.series] or [c.by for c in card.value.claims] or [""]
    out = {}
    for by in claimants:
        changes = {**(overrides or {}), **({input_name: {by: 1.0}} if by else {})}
        result = supply(scenario, changes, samples, seed, until)
        out[by] = {
            year: tuple(float(x) for x in np.quantile(units, (0.05, 0.5, 0.95)))
            for year, units in result.yearly(name).items()
        }
    return out  # type: ignore[return-value]
