"""What compute costs and what being slower costs: ownership, slowdown, iteration lag, the price of independence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def cost_rate(price: Array, life: Array, power: Array, pue: Array, energy_price: Array) -> Array:
    """Cost of owning and powering hardware per second of wall time [USD/s].

    Args:
        price: purchase price [USD].
        life: straight-line life [s].
        power: power at the board or rack [W].
        pue: facility power over IT power [1].
        energy_price: [USD/J].
    """
    return price / life + power * pue * energy_price


def cost_per_flop(cost: Array, peak: Array, utilisation: Array | float = 1.0) -> Array:
    """Cost of one floating-point operation [USD/FLOP] at a share ``utilisation`` of ``peak`` [FLOP/s]."""
    return cost / (peak * utilisation)


def subsidy_break_even(foreign: Array, domestic: Array) -> Array:
    """Share of the domestic total cost that a subsidy must pay to match the foreign cost per operation [1]."""
    return 1 - foreign / domestic


def slowdown(mfu_ratio: Array, availability_ratio: Array, engineering: Array) -> Array:
    """How many times longer the same training takes at equal peak [1].

    Args:
        mfu_ratio: MFU there over MFU here.
        availability_ratio: share of wall time that trains, there over here.
        engineering: calendar time of engineering there over here.
    """
    return engineering / (mfu_ratio * availability_ratio)


def iteration_lag(initial: Array, slowdown: Array, diffusion: Array, elapsed: Array | float) -> Array:
    """Lag behind the leader after ``elapsed``, from dG/dt = (1 - 1/k) - c G; in the unit of time of the arguments.

    Args:
        initial: lag at the start [s].
        slowdown: k, how many times longer an iteration takes [1].
        diffusion: c, share of the lag closed per unit of time by papers, open weights and distillation [1/s].
        elapsed: [s].
    """
    loss = 1 - 1 / slowdown
    rate = np.maximum(diffusion, 1e-6 / np.maximum(elapsed, 1e-300))
    return initial * np.exp(-rate * elapsed) + loss * -np.expm1(-rate * elapsed) / rate


def steady_diffusion(lag: Array, slowdown: Array) -> Array:
    """The diffusion c that holds a lag steady, (1 - 1/k)/G [1/s]."""
    return (1 - 1 / slowdown) / lag


def break_even_loss(cost_ratio: Array, hazard: Array, horizon: Array) -> Array:
    """Loss if cut off, as a multiple of the foreign budget, above which independence pays: (kappa - 1)/(h T) [1].

    Args:
        cost_ratio: kappa, domestic over foreign cost of the same work [1].
        hazard: new controls per second [1/s].
        horizon: years of work at stake [s].
    """
    return (cost_ratio - 1) / (hazard * horizon)
