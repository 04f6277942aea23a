"""Parameters of a matrix product carried from the chip that they were measured on to another."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from wafer2token.chip.matmul import MatmulFit


@dataclass(frozen=True)
class Traits:
    """What of a chip the parameters of a matrix product go with.

    Attributes:
        clock: of the compute units [Hz].
        unit_rate: dense rate of one compute unit in the data type [FLOP/s].
        units: compute units.
        bandwidth: of the memory [B/s].
    """

    clock: float
    unit_rate: float
    units: float
    bandwidth: float


REFERENCE = Traits(clock=1.9e9, unit_rate=6e12, units=132.0, bandwidth=4e12)
"""The chip for which the parameters of a class are stated; a convention."""


def transferred(fit: MatmulFit, of: Traits, to: Traits, cache_power: float) -> MatmulFit:
    """The parameters for a chip of other traits.

    Launch and drain take a number of cycles; splitting k pays from a depth that takes a certain time; the columns that
    keep the machine busy grow with its units; a unit reads its cache faster the more arithmetic it has to feed, and casts
    at a rate that does not depend on the memory.

    Args:
        fit: the parameters as stated for ``of``.
        of, to: traits of the chip that was measured and of the one asked for.
        cache_power: power of the rate of one unit that its cache rate follows.
    """
    rate = to.unit_rate / of.unit_rate
    return replace(
        fit,
        floor=fit.floor * of.clock / to.clock,
        cast_floor=fit.cast_floor * of.clock / to.clock,
        split_depth=fit.split_depth * rate,
        full_width=fit.full_width * to.units / of.units,
        cache=fit.cache * rate**cache_power,
        cast=fit.cast * (to.units / of.units) * (of.bandwidth / to.bandwidth),
    )


def share_at(share: float, rate: float) -> float:
    """Share of peak of the same units when they compute ``rate`` times as much in a cycle.

    The time that a unit spends beside its arithmetic stays: 1 / share = 1 + beside, and beside grows with the rate.
    """
    return 1.0 / (1.0 + (1.0 / share - 1.0) * rate)


FUSED = 0.7
"""Rates per cycle nearer than this to each other are the same units: cards state clocks in more than one way."""


def on_same_units(fit: MatmulFit, of: Traits, to: Traits) -> MatmulFit:
    """The parameters for a chip of the same die whose units compute more or less in a cycle (fused down, as H20's)."""
    rate = (to.unit_rate / to.clock) / (of.unit_rate / of.clock)
    if FUSED < rate < 1.0 / FUSED:
        return fit
    return replace(fit, compute=share_at(fit.compute, rate), sustained=share_at(fit.sustained, rate))


def uncast(fit: MatmulFit) -> MatmulFit:
    """The parameters without the cast of A: of a library's product on operands that are narrow already."""
    return replace(fit, cast_floor=0.0, cast=math.inf)
