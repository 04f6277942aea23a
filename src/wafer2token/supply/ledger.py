"""Ledgers: what a published count of chips implies for wafers, dies and stacks, without any simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wafer2token.supply.result import SupplyResult

Array = NDArray[np.float64]
MONTHS = 12.0


@dataclass(frozen=True)
class Units:
    """Good chips that somebody says were made: single-die 910B and dual-die 910C (arrays allowed)."""

    singles: ArrayLike
    duals: ArrayLike

    @property
    def chips(self) -> Array:
        return np.asarray(np.asarray(self.singles, float) + np.asarray(self.duals, float))


def dies_needed(units: Units, attach_dual: ArrayLike, attach_single: ArrayLike = 1.0) -> Array:
    """Good dies that the units take, scrap taking its dies along."""
    singles = np.asarray(units.singles, float) / np.asarray(attach_single, float)
    return np.asarray(singles + 2.0 * np.asarray(units.duals, float) / np.asarray(attach_dual, float))


def stacks_needed(
    units: Units, per_single: float, per_dual: float, attach_dual: ArrayLike, attach_single: ArrayLike
) -> Array:
    """HBM stacks that the units take, scrap taking its stacks along."""
    singles = np.asarray(units.singles, float) * per_single / np.asarray(attach_single, float)
    return np.asarray(singles + np.asarray(units.duals, float) * per_dual / np.asarray(attach_dual, float))


def wafers_needed(dies: ArrayLike, gross: ArrayLike, usable: ArrayLike, years: float = 1.0) -> Array:
    """Wafers a month that make `dies` usable dies over `years`, `dies / (N Y 12 years)`."""
    made = np.asarray(gross, float) * np.asarray(usable, float) * MONTHS * years
    return np.asarray(np.maximum(np.asarray(dies, float), 0.0) / made)


@dataclass(frozen=True)
class Balance:
    """A stock against its uses: what is left, and what must come from elsewhere when it is short (both >= 0)."""

    used: Array
    left: Array
    short: Array


def balance(stock: ArrayLike, used: ArrayLike) -> Balance:
    """What uses leave of a stock, or lack."""
    difference = np.asarray(stock, float) - np.asarray(used, float)
    return Balance(np.asarray(used, float), np.maximum(difference, 0.0), np.maximum(-difference, 0.0))


def packages_left(left: ArrayLike, per_package: float, attach: ArrayLike) -> Array:
    """Good packages that the stacks (or dies) left over can become."""
    return np.asarray(np.asarray(left, float) / per_package * np.asarray(attach, float))


def shortfall(result: SupplyResult, year: int) -> str:
    """What runs out first in a year of a run, as a word for a message: the stage that binds in most quarters and samples."""
    stages = result.binding[:, result.timeline.year(year)]
    words = {"dies": "dies are", "hbm": "HBM stacks are", "assembly": "package starts are", "demand": "orders are"}
    return words[result.stages[int(np.bincount(stages.ravel(), minlength=len(result.stages)).argmax())]]
