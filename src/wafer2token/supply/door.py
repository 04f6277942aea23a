"""The packaging door: what stands before it in a quarter, what starts, and which stage binds. Arrays are [samples]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STAGES = ("dies", "hbm", "assembly", "demand")
GENERATIONS = {"foreign": "hbm2e", "smuggled": "hbm2e", "cxmt": "hbm3", "xmc": "hbm3", "hibl": "hibl", "hizq": "hizq"}
"""Source of stacks -> their generation."""
POOLS = {"hbm2e": "foreign", "hbm3": "domestic", "hibl": "own", "hizq": "own"}
"""Generation -> the pool it fills: HBM2E fits the 910, HiBL the 950PR, HiZQ the 950DT, domestic HBM3 the 910 and 950PR."""


@dataclass(frozen=True)
class Recipe:
    """Stacks per start: a 950 package, and a pair of 910 dies (one 910C or two 910B)."""

    stacks_950: Array
    stacks_pair: Array


@dataclass(frozen=True)
class Door:
    """Dies, stacks by pool, package starts and orders that stand ready."""

    dies_910: Array
    dies_950: Array
    foreign: Array
    domestic: Array
    own: Array
    assembly: Array
    demand: Array

    def looser(self, stage: str, factor: float) -> Door:
        """The same with `factor` times as much of one stage."""
        fields = {"dies": ("dies_910", "dies_950"), "hbm": ("foreign", "domestic", "own")}.get(stage, (stage,))
        return replace(self, **{name: getattr(self, name) * factor for name in fields})


@dataclass(frozen=True)
class Starts:
    """What starts: 950 packages, pairs of 910 dies, and the stacks each takes from each pool."""

    newer: Array
    pairs: Array
    stacks_newer: Mapping[str, Array]
    stacks_pairs: Mapping[str, Array]

    @property
    def packages(self) -> Array:
        return np.asarray(self.newer + self.pairs)


def allocate(door: Door, recipe: Recipe) -> Starts:
    """Starts of a quarter, each product the minimum over its stages.

    The 950 goes first and takes Huawei's own memory before domestic HBM; the 910 takes foreign stacks before what is
    left of domestic ones.
    """
    newer = np.minimum.reduce([door.dies_950 / 2.0, (door.own + door.domestic) / recipe.stacks_950, door.assembly, door.demand])
    need = newer * recipe.stacks_950
    own = np.minimum(door.own, need)
    left = np.maximum(door.domestic - (need - own), 0.0)
    pairs = np.minimum.reduce([door.dies_910 / 2.0, (door.foreign + left) / recipe.stacks_pair, door.assembly - newer, door.demand - newer])
    pairs = np.maximum(pairs, 0.0)
    wanted = pairs * recipe.stacks_pair
    foreign = np.minimum(door.foreign, wanted)
    zero = np.zeros_like(own)
    return Starts(newer, pairs, {"own": own, "domestic": need - own, "foreign": zero},
                  {"own": zero, "domestic": wanted - foreign, "foreign": foreign})  # fmt: skip


def binding_stage(door: Door, recipe: Recipe) -> NDArray[np.int8]:
    """Index in STAGES of the stage whose loosening by 1 % raises this quarter's starts the most."""
    base = allocate(door, recipe).packages
    gains = np.stack([allocate(door.looser(stage, 1.01), recipe).packages - base for stage in STAGES])
    return np.asarray(gains.argmax(axis=0), np.int8)
