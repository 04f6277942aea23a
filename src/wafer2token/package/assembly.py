"""From dies to packages: wafer-test escapes, bonding, assembly, interposers. Yields are fractions, all broadcast."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def known_good(die_yield: ArrayLike, coverage: ArrayLike) -> Array:
    """Share of good dies among those that pass wafer test, `y / (y + (1 - y)(1 - cov))`; coverage of bad dies."""
    y = np.asarray(die_yield, float)
    return np.asarray(y / (y + (1.0 - y) * (1.0 - np.asarray(coverage, float))))


def package_yield(
    die_yield: ArrayLike, coverage: ArrayLike, dies: ArrayLike, bond: ArrayLike = 1.0, assembly: ArrayLike = 1.0
) -> Array:
    """Yield of a package of `dies` tested dies: escapes, then bonding and assembly, `kgd^n Y_bond Y_asm`."""
    escapes = np.power(known_good(die_yield, coverage), np.asarray(dies, float))
    return np.asarray(escapes * np.asarray(bond, float) * np.asarray(assembly, float))


def implied_coverage(target: ArrayLike, die_yield: ArrayLike, dies: ArrayLike, assembly: ArrayLike) -> Array:
    """Test coverage at which `package_yield` meets a reported package yield; 1 where even perfect test falls short."""
    share = np.power(np.asarray(target, float) / np.asarray(assembly, float), 1.0 / np.asarray(dies, float))
    y = np.asarray(die_yield, float)
    escaped = y * (1.0 / np.minimum(share, 1.0) - 1.0) / (1.0 - y)
    return np.asarray(np.clip(1.0 - escaped, 0.0, 1.0))


def recovered(scrapped: ArrayLike, per_package: ArrayLike, rework: ArrayLike) -> Array:
    """Dies or stacks won back from scrapped packages at a rework share; 0 means that scrap takes its parts along."""
    return np.asarray(np.asarray(scrapped, float) * np.asarray(per_package, float) * np.asarray(rework, float))


def interposers_per_month(wafers: ArrayLike, per_wafer: ArrayLike, interposer_yield: ArrayLike = 1.0) -> Array:
    """Packages a month that interposer wafers carry; packages per wafer from geometry or from a report."""
    return np.asarray(np.asarray(wafers, float) * np.asarray(per_wafer, float) * np.asarray(interposer_yield, float))
