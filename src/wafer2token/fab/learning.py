"""How yield, substitution and announced dates move with time. Times share any one unit (quarters, years)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def density_after(initial: ArrayLike, floor: ArrayLike, elapsed: ArrayLike, constant: ArrayLike) -> Array:
    """Defect density that relaxes to a floor, `D_inf + (D_i - D_inf) exp(-t / tau)`; never before t = 0."""
    low = np.asarray(floor, float)
    decay = np.exp(-np.maximum(np.asarray(elapsed, float), 0.0) / np.asarray(constant, float))
    return np.asarray(low + (np.asarray(initial, float) - low) * decay)


def density_wright(initial: ArrayLike, cumulative: ArrayLike, exponent: ArrayLike) -> Array:
    """Wright's law, `D_i n^-b` after n cumulative wafers (n >= 1)."""
    return np.asarray(np.asarray(initial, float) * np.power(np.asarray(cumulative, float), -np.asarray(exponent, float)))


def yield_gompertz(ceiling: ArrayLike, displacement: ArrayLike, rate: ArrayLike, elapsed: ArrayLike) -> Array:
    """Gompertz ramp, `Y_max exp(-b exp(-c t))`."""
    inner = np.asarray(displacement, float) * np.exp(-np.asarray(rate, float) * np.asarray(elapsed, float))
    return np.asarray(np.asarray(ceiling, float) * np.exp(-inner))


def substituted_by(elapsed: ArrayLike, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Probability that a substitute exists after `elapsed`, Weibull hazard: `1 - exp(-(t / theta)^kappa)`."""
    ratio = np.maximum(np.asarray(elapsed, float), 0.0) / np.asarray(scale, float)
    return np.asarray(-np.expm1(-np.power(ratio, np.asarray(shape, float))))


def slipped(announced: ArrayLike, said: ArrayLike, factor: ArrayLike) -> Array:
    """Date that an announcement becomes when its lead time stretches by `factor`: `said + factor (announced - said)`."""
    start = np.asarray(said, float)
    return np.asarray(start + np.asarray(factor, float) * (np.asarray(announced, float) - start))
