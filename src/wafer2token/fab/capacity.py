"""Wafers out of a set of tools: lithography, every other class, fleets over time, cycle time.

Rates per second inside; a month is 720 tool hours, as the field counts (30 days).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
MONTH_S = 720.0 * 3600.0
YEAR_S = 8766.0 * 3600.0


def wafers_per_month(tools: ArrayLike, wafers_per_hour: ArrayLike, efficiency: ArrayLike, steps: ArrayLike) -> Array:
    """Wafers a month that a tool class carries, `N wph 720 eta / steps`.

    tools [count], wafers_per_hour per step, efficiency = uptime x utilisation x (1 - rework), steps = passes through
    the class per finished wafer. All broadcast.
    """
    hours = MONTH_S / 3600.0
    rate = np.asarray(tools, float) * np.asarray(wafers_per_hour, float) * hours * np.asarray(efficiency, float)
    return np.asarray(rate / np.asarray(steps, float))


def tools_needed(wafers: ArrayLike, wafers_per_hour: ArrayLike, efficiency: ArrayLike, steps: ArrayLike) -> Array:
    """Tools that carry `wafers` a month; inverse of `wafers_per_month`."""
    return np.asarray(np.asarray(wafers, float) / wafers_per_month(1.0, wafers_per_hour, efficiency, steps))


def tool_limit(capacity: Mapping[str, ArrayLike]) -> tuple[Array, NDArray[np.int64], tuple[str, ...]]:
    """Minimum over tool classes: wafers a month, index of the class that binds, and the classes in order."""
    names = tuple(capacity)
    stacked = np.stack(np.broadcast_arrays(*[np.asarray(capacity[name], float) for name in names]))
    return np.asarray(stacked.min(axis=0)), np.asarray(stacked.argmin(axis=0)), names


def fleet(initial: ArrayLike, arrivals: ArrayLike, loss: ArrayLike) -> Array:
    """Tools at the end of each period, `N(t) = N(t-1) (1 - loss) + arrivals`.

    initial [samples], arrivals and loss [samples, periods] (loss = share lost per period: near 0 under service, more
    once service is cut); returns [samples, periods].
    """
    added, lost = np.broadcast_arrays(np.asarray(arrivals, float), np.asarray(loss, float))
    out = np.empty(added.shape)
    stock = np.broadcast_to(np.asarray(initial, float), added.shape[:-1])
    for period in range(added.shape[-1]):
        stock = stock * (1.0 - lost[..., period]) + added[..., period]
        out[..., period] = stock
    return out


def cycle_time(masks: ArrayLike, days_per_layer: ArrayLike) -> Array:
    """Fab cycle time [s] of a flow with `masks` layers at `days_per_layer` [day]. Leachman via SemiEngineering."""
    return np.asarray(np.asarray(masks, float) * np.asarray(days_per_layer, float) * 86400.0)


def work_in_progress(wafers: ArrayLike, cycle: ArrayLike) -> Array:
    """Wafers in the line by Little's law: wafers a month x cycle time [s]."""
    return np.asarray(np.asarray(wafers, float) * np.asarray(cycle, float) / MONTH_S)


@dataclass(frozen=True)
class ToolClass:
    """One class of tools in a fab: count, wafers per hour and step, efficiency, steps per wafer (arrays allowed)."""

    name: str
    tools: ArrayLike
    wafers_per_hour: ArrayLike
    efficiency: ArrayLike
    steps: ArrayLike

    def wafers_per_month(self) -> Array:
        return wafers_per_month(self.tools, self.wafers_per_hour, self.efficiency, self.steps)
