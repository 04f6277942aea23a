"""One parameter set for every die of a node: what a split into good, harvested and scrapped dies implies elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wafer2token.fab import yields

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NodeFit:
    """Density [1/m^2] and core share that give a split on one die; arrays of the split's shape. nan where none does."""

    density: Array
    core_share: Array
    clustering: float | None

    def full(self, area: ArrayLike) -> Array:
        """Fully good share of a die of another area [m^2] at the same density."""
        if self.clustering is None:
            return yields.poisson(area, self.density)
        return yields.negative_binomial(area, self.density, self.clustering)


def fit_split(
    full: ArrayLike, usable: ArrayLike, area: float, cores: int, needed: int, clustering: float | None = None
) -> NodeFit:
    """Density and core share that reproduce fully good and usable yields of a die of equal cores.

    full, usable: fractions, broadcasting, full <= usable. The density follows from `full`; the core share is then the
    one at which harvesting gives `usable`. Two numbers are fitted with two parameters: the test of the fit is what it
    says of other dies (a phone chip, a dual-die package), not the split itself.
    """
    y, sold = np.broadcast_arrays(np.asarray(full, float), np.asarray(usable, float))
    model = "poisson" if clustering is None else "negative_binomial"
    density = yields.defect_density(model, area, y, clustering or 2.0)
    low, high = np.zeros(y.shape), np.ones(y.shape)
    for _ in range(60):
        middle = (low + high) / 2
        under = yields.harvest(area, density, cores, needed, middle, clustering) < sold
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    reached = yields.harvest(area, density, cores, needed, 1.0, clustering) >= sold
    share = np.where(reached & (sold >= y), (low + high) / 2, np.nan)
    return NodeFit(density, np.asarray(share), clustering)
