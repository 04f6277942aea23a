"""From what is reported about yield to defect density, and from density to the yield of every die on the node."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wafer2token.fab import geometry, learning, yields
from wafer2token.supply.inputs import Inputs
from wafer2token.supply.timeline import QUARTER_S

Array = NDArray[np.float64]
LAST_REPORT = 2027.0
WAFER_DIAMETER = 0.3
BEST = 0.98


@dataclass(frozen=True)
class NodeYield:
    """Density [1/m^2] and yields over history and quarters, [samples, history + quarters]; gross dies per wafer [samples].

    One density serves every die: the phone chip, the 910B (fully good, better bin, sold), the 950 die. ``prime_bank`` is
    the share of sold bank dies in the better bin, at the density of a mature line [samples].
    """

    density: Array
    full_910b: Array
    prime_910b: Array
    usable_910b: Array
    usable_950: Array
    kirin: Array
    gross_910b: Array
    gross_950: Array
    gross_kirin: Array
    prime_bank: Array


@dataclass(frozen=True)
class CoreDie:
    """A die of equal cores that sells with `needed` of them; arrays are [samples]."""

    area: Array
    cores: int
    needed: int
    core_share: Array
    clustering: Array

    def of(self, samples: NDArray[np.bool_]) -> CoreDie:
        """The die in some samples only."""
        return replace(self, area=self.area[samples], core_share=self.core_share[samples], clustering=self.clustering[samples])

    def usable(self, density: Array) -> Array:
        """Sold share at densities [samples, n]."""
        return yields.harvest(self.area[:, None], density, self.cores, self.needed, self.core_share[:, None],
                              self.clustering[:, None])  # fmt: skip

    def full(self, density: Array) -> Array:
        """Fully good share at densities [samples, n]."""
        return yields.negative_binomial(self.area[:, None], density, self.clustering[:, None])

    def density_of_usable(self, sold: Array, points: int = 48) -> Array:
        """Density at which `sold` [samples, n] of the dies sell, by a table in log density and one Newton step."""
        grid = np.geomspace(1e-2, 3e1, points)
        table = self.usable(grid[None, :] / self.area[:, None])
        below = np.clip((table[:, None, :] > sold[:, :, None]).sum(axis=2), 1, points - 1)
        rows = np.arange(len(table))[:, None]
        upper, lower = table[rows, below - 1], table[rows, below]
        step = np.clip((np.log(upper) - np.log(sold)) / (np.log(upper) - np.log(lower)), 0.0, 1.0)
        log_density = np.log(grid[below - 1]) + step * (np.log(grid[below]) - np.log(grid[below - 1]))
        density = np.asarray(np.exp(log_density) / self.area[:, None])
        width = 1e-4
        here, beside = self.usable(density), self.usable(density * (1 + width))
        slope = (beside - here) / width
        correction = np.where(slope < -1e-9, (sold - here) / np.where(slope < -1e-9, slope, -1.0), 0.0)
        return np.asarray(density * np.exp(np.clip(correction, -0.2, 0.2)))


def core_die(inputs: Inputs, product: str) -> CoreDie:
    """The die of a product ("910b", "950") as the inputs describe it."""
    cores, needed = inputs.one(f"cores_{product}"), inputs.one(f"needed_{product}")
    return CoreDie(inputs.one(f"die_area_{product}"), round(float(cores[0])), round(float(needed[0])),
                   inputs.one("core_share"), inputs.one("clustering"))  # fmt: skip


def node_yield(inputs: Inputs) -> NodeYield:
    """Defect density from the reported yield as it is counted, then every die's yield from that density.

    After the last reported year the density relaxes towards that of a mature line, never upwards. EUV takes away the
    defects of the passes it saves. A yield factor of a scenario multiplies Ascend yields, up to BEST.
    """
    die, newer = core_die(inputs, "910b"), core_die(inputs, "950")
    reported = np.clip(inputs.all("reported_yield"), 1e-3, 0.999)
    density = yields.defect_density("negative_binomial", die.area[:, None], reported, die.clustering[:, None])
    sold = inputs.one("yield_counting") <= 0.5
    density[sold] = die.of(sold).density_of_usable(reported[sold])
    saved = inputs.all("euv_share") * (inputs.one("euv_passes_saved") * inputs.one("pass_density"))[:, None]
    density = np.maximum(_learn(density, inputs) - saved, 1e-3 * density)
    factor = inputs.all("yield_factor")
    prime, mature = replace(die, needed=round(float(inputs.one("prime_910b")[0]))), inputs.one("density_floor")[:, None]
    kirin = yields.negative_binomial(inputs.one("die_area_kirin")[:, None], density, die.clustering[:, None])
    return NodeYield(
        density=density,
        full_910b=np.minimum(die.full(density) * factor, BEST),
        prime_910b=np.minimum(prime.usable(density) * factor, BEST),
        usable_910b=np.minimum(die.usable(density) * factor, BEST),
        usable_950=np.minimum(newer.usable(density) * factor, BEST),
        kirin=kirin,
        gross_910b=inputs.one("gross_dies_910b"),
        gross_950=geometry.dies_per_wafer_simple(newer.area, WAFER_DIAMETER),
        gross_kirin=geometry.dies_per_wafer_simple(inputs.one("die_area_kirin"), WAFER_DIAMETER),
        prime_bank=(prime.usable(mature) / die.usable(mature))[:, 0],
    )


def _learn(density: Array, inputs: Inputs) -> Array:
    floor = np.minimum(inputs.one("density_floor")[:, None], density)
    elapsed = np.maximum(inputs.timeline.middles - LAST_REPORT, 0.0)[None, :] * 4
    constant = inputs.one("learning_time")[:, None] / QUARTER_S
    return learning.density_after(density, floor, elapsed, constant)
