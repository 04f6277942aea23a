"""Cost of a good package."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def package_cost(
    die: ArrayLike, dies: ArrayLike, stack: ArrayLike, stacks: ArrayLike, substrate: ArrayLike, attach: ArrayLike
) -> Array:
    """Cost of one good package [USD], `(n_d die + n_h stack + substrate) / Y`; parts in USD, attach yield a fraction.

    Substrate stands for substrate, interposers and assembly; scrap takes its parts along.
    """
    parts = np.asarray(die, float) * np.asarray(dies, float) + np.asarray(stack, float) * np.asarray(stacks, float)
    return np.asarray((parts + np.asarray(substrate, float)) / np.asarray(attach, float))
