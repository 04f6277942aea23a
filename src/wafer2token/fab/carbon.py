"""Energy and greenhouse gas of a usable die (optional outputs)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def die_carbon(
    area: ArrayLike,
    energy_per_area: ArrayLike,
    grid_intensity: ArrayLike,
    gas_per_area: ArrayLike,
    material_per_area: ArrayLike,
    usable: ArrayLike,
) -> Array:
    """Carbon of one usable die [kg CO2e], `A (EPA CI + GPA + MPA) / Y`.

    area [m^2], energy_per_area [J/m^2], grid_intensity [kg/J], gas and material [kg/m^2], usable yield (harvested dies
    count). Source: Gupta et al., ACT (facebookresearch/ACT).
    """
    per_area = np.asarray(energy_per_area, float) * np.asarray(grid_intensity, float)
    per_area = per_area + np.asarray(gas_per_area, float) + np.asarray(material_per_area, float)
    return np.asarray(np.asarray(area, float) * per_area / np.asarray(usable, float))
