"""Gross dies per wafer and reticle fit: three published ways of counting, and the exact one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def dies_per_wafer_simple(die_area: ArrayLike, wafer_diameter: float) -> Array:
    """Gross dies by area less the rim, `pi d^2 / 4A - pi d / sqrt(2A)`.

    die_area [m^2] any shape, wafer_diameter [m]; returns dies of the same shape, not rounded.
    Source: textbook first-order form, also used without edge by google/chiplets-cost-model.
    """
    area = np.asarray(die_area, float)
    return np.asarray(np.pi * (wafer_diameter / 2) ** 2 / area - np.pi * wafer_diameter / np.sqrt(2 * area))


def dies_per_wafer_edge(
    width: ArrayLike, height: ArrayLike, wafer_diameter: float, edge_exclusion: float, scribe: float
) -> Array:
    """Gross dies with scribe lanes and edge exclusion, `(d-2e) pi (d/4A' - 1/sqrt(2A'))`, `A' = (w+s)(h+s)`.

    Lengths in m, any broadcastable shape; returns dies, not rounded. Source: google/chiplets-cost-model, GDPW.
    """
    pitch_area = (np.asarray(width, float) + scribe) * (np.asarray(height, float) + scribe)
    usable = wafer_diameter - 2 * edge_exclusion
    return np.asarray(usable * np.pi * (wafer_diameter / (4 * pitch_area) - 1 / np.sqrt(2 * pitch_area)))


def _count(offsets: Array, width: float, height: float, radius: float, scribe: float) -> Array:
    """Whole dies inside the usable circle for each grid offset; offsets [k, 2] in m -> counts [k]."""
    pitch_x, pitch_y = width + scribe, height + scribe
    rows = np.arange(-int(radius / pitch_y) - 2, int(radius / pitch_y) + 3)
    bottom = rows[None, :] * pitch_y + offsets[:, 1:2]
    reach = np.maximum(np.abs(bottom), np.abs(bottom + height))
    chord = np.sqrt(np.clip(radius**2 - reach**2, 0.0, None))
    slack = 1e-9 * pitch_x
    last = np.floor((chord - width - offsets[:, :1] + slack) / pitch_x)
    first = np.ceil((-chord - offsets[:, :1] - slack) / pitch_x)
    inside = (reach <= radius * (1 + 1e-12)) & (2 * chord + slack >= width)
    return np.asarray(np.where(inside, np.clip(last - first + 1, 0, None), 0).sum(axis=1), float)


def _rim_circles(width: float, height: float, radius: float, scribe: float) -> Array:
    """Centres [c, 2] of the circles on which a die corner meets the rim, for offsets within one grid cell."""
    pitch_x, pitch_y = width + scribe, height + scribe
    columns = np.arange(-int(radius / pitch_x) - 3, int(radius / pitch_x) + 4)
    rows = np.arange(-int(radius / pitch_y) - 3, int(radius / pitch_y) + 4)
    x = (columns[:, None] * pitch_x + np.array([0.0, width])).ravel()
    y = (rows[:, None] * pitch_y + np.array([0.0, height])).ravel()
    corners = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    middle = corners + np.array([pitch_x, pitch_y]) / 2
    near = np.abs(np.hypot(middle[:, 0], middle[:, 1]) - radius) <= math.hypot(pitch_x, pitch_y) / 2
    return np.asarray(-corners[near], float)


def _intersections(centres: Array, radius: float, pitch: Array) -> Iterator[Array]:
    """Yield, circle by circle, the offsets within one cell where two rim circles cross."""
    for index in range(len(centres) - 1):
        step = centres[index + 1 :] - centres[index]
        distance = np.hypot(step[:, 0], step[:, 1])
        meets = (distance > 0) & (distance <= 2 * radius)
        step, distance = step[meets], distance[meets]
        half = np.sqrt(radius**2 - (distance / 2) ** 2)
        normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / distance[:, None]
        middle = centres[index] + step / 2
        points = np.concatenate([middle + half[:, None] * normal, middle - half[:, None] * normal])
        yield points[np.all((points >= -1e-12) & (points <= pitch + 1e-12), axis=1)]


@lru_cache(maxsize=256)
def dies_per_wafer_grid(
    width: float,
    height: float,
    wafer_diameter: float,
    edge_exclusion: float,
    scribe: float,
    offsets: int | None = None,
) -> int:
    """Whole dies on a regular grid at the best offset, all lengths in m.

    offsets=None is exact: the best offset of a grid lies where two die corners touch the rim, so every such crossing
    is counted (about 0.1 s for a reticle-size die, seconds below 20 mm^2). offsets=n tries n x n offsets instead, as
    CATCH does. Source: nanocad-lab/CATCH (brute-force grid); the exact enumeration follows from the convexity of the
    set of offsets that keep one die inside the rim.
    """
    radius = wafer_diameter / 2 - edge_exclusion
    pitch = np.array([width + scribe, height + scribe])
    if offsets is not None:
        steps = np.arange(offsets) / offsets
        grid = np.stack(np.meshgrid(steps * pitch[0], steps * pitch[1], indexing="ij"), axis=-1).reshape(-1, 2)
        return int(_count(grid, width, height, radius, scribe).max())
    centres = _rim_circles(width, height, radius, scribe)
    best = int(_count(np.zeros((1, 2)), width, height, radius, scribe).max())
    for points in _intersections(centres, radius, pitch):
        if len(points):
            best = max(best, int(_count(points, width, height, radius, scribe).max()))
    return best


def fits_reticle(width: ArrayLike, height: ArrayLike, reticle_width: float, reticle_height: float) -> NDArray[np.bool_]:
    """Whether a die fits one exposure field in either orientation; lengths in m. Source: ASML field size."""
    w, h = np.asarray(width, float), np.asarray(height, float)
    upright = (w <= reticle_width) & (h <= reticle_height)
    return np.asarray(upright | ((h <= reticle_width) & (w <= reticle_height)))


def reticle_utilisation(
    width: ArrayLike, height: ArrayLike, reticle_width: float, reticle_height: float
) -> Array:
    """Share of the exposure field filled by whole dies, `A floor(W/w) floor(H/h) / (W H)`, best orientation.

    Lengths in m; 0 where the die does not fit. Scales exposures per wafer. Source: nanocad-lab/CATCH.
    """
    w, h = np.asarray(width, float), np.asarray(height, float)
    upright = np.floor(reticle_width / w) * np.floor(reticle_height / h)
    turned = np.floor(reticle_width / h) * np.floor(reticle_height / w)
    return np.asarray(w * h * np.maximum(upright, turned) / (reticle_width * reticle_height))
