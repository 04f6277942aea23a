"""HBM stacks: stack yield, stacks a month from TSV wafers, bandwidth and its density."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def stack_yield(
    core: ArrayLike, height: ArrayLike, bond: ArrayLike = 1.0, base: ArrayLike = 1.0, test: ArrayLike = 1.0
) -> Array:
    """Yield of a stack of `height` core dies on a base die, `y_core^n y_bond^n y_base y_test` (n bonds to the base).

    core = 1 for known-good cores. All fractions, broadcasting.
    """
    n = np.asarray(height, float)
    dies = np.power(np.asarray(core, float) * np.asarray(bond, float), n)
    return np.asarray(dies * np.asarray(base, float) * np.asarray(test, float))


def stacks_per_month(
    wafers: ArrayLike, dies_per_wafer: ArrayLike, core: ArrayLike, assembly: ArrayLike, height: ArrayLike
) -> Array:
    """Good stacks a month from TSV wafers with known-good cores: `wpm N y_core Y_assembly / n`."""
    good = np.asarray(wafers, float) * np.asarray(dies_per_wafer, float) * np.asarray(core, float)
    return np.asarray(good * np.asarray(assembly, float) / np.asarray(height, float))


def bandwidth(stacks: ArrayLike, pins: ArrayLike, rate: ArrayLike) -> Array:
    """Memory bandwidth [B/s] of `stacks` with `pins` data pins at `rate` [bit/s] each, `n pins rate / 8`."""
    return np.asarray(np.asarray(stacks, float) * np.asarray(pins, float) * np.asarray(rate, float) / 8.0)


def bandwidth_density(bytes_per_s: ArrayLike, area: ArrayLike) -> Array:
    """Bandwidth per area [B/s per m^2] of a stack or package, the quantity of ECCN 3A090.c."""
    return np.asarray(np.asarray(bytes_per_s, float) / np.asarray(area, float))


def packages_supported(stacks: ArrayLike, per_package: ArrayLike, attach: ArrayLike) -> Array:
    """Good packages that a stock of stacks can become at an attach yield, scrap taking its stacks along."""
    return np.asarray(np.asarray(stacks, float) / np.asarray(per_package, float) * np.asarray(attach, float))
