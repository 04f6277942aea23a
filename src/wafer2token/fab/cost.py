"""What an exposure, a wafer and a good die cost. Money in USD, areas in m^2, times in s."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wafer2token.fab.capacity import YEAR_S

Array = NDArray[np.float64]


def exposure_depreciation(price: ArrayLike, life: ArrayLike, uptime: ArrayLike, wafers_per_hour: ArrayLike) -> Array:
    """Scanner capital per exposure [USD], `P / (life x uptime x wph)`; price [USD], life [s]."""
    exposures = np.asarray(life, float) / 3600.0 * np.asarray(uptime, float) * np.asarray(wafers_per_hour, float)
    return np.asarray(np.asarray(price, float) / exposures)


def exposure_cost(
    depreciation: ArrayLike, consumables: ArrayLike, mask_price: ArrayLike, wafers_per_mask: ArrayLike
) -> Array:
    """Cost of one exposure of one wafer [USD]: capital, consumables (resist, track, energy) and its share of the mask."""
    mask = np.asarray(mask_price, float) / np.asarray(wafers_per_mask, float)
    return np.asarray(np.asarray(depreciation, float) + np.asarray(consumables, float) + mask)


def wafer_price_scaled(price: ArrayLike, litho_share: ArrayLike, exposures: ArrayLike, reference: ArrayLike) -> Array:
    """Wafer price [USD] with its lithography share scaled by exposures over a reference flow. Source: CATCH."""
    share = np.asarray(litho_share, float)
    scale = np.asarray(exposures, float) / np.asarray(reference, float)
    return np.asarray(np.asarray(price, float) * (1.0 - share + share * scale))


def wafer_price_structure(capital_consumed: ArrayLike, other: ArrayLike) -> Array:
    """Price = capital consumed + other cost and markup [USD per wafer]. Source: Khan and Mann, CSET 2020, table 9."""
    return np.asarray(np.asarray(capital_consumed, float) + np.asarray(other, float))


def good_die_cost(wafer_price: ArrayLike, gross: ArrayLike, die_yield: ArrayLike, line: ArrayLike = 1.0) -> Array:
    """`P / (N Y_line Y)` [USD per good die]; gross dies per wafer, yields as fractions."""
    good = np.asarray(gross, float) * np.asarray(line, float) * np.asarray(die_yield, float)
    return np.asarray(np.asarray(wafer_price, float) / good)


def nre_per_die(design: ArrayLike, mask_set: ArrayLike, spins: ArrayLike, volume: ArrayLike) -> Array:
    """Design and masks spread over `volume` good dies [USD per die]; spins counts the mask sets bought."""
    total = np.asarray(design, float) + np.asarray(mask_set, float) * np.asarray(spins, float)
    return np.asarray(total / np.asarray(volume, float))


def years(count: ArrayLike) -> Array:
    """Years of 8,766 hours in seconds."""
    return np.asarray(np.asarray(count, float) * YEAR_S)
