"""How long a matrix product takes on one accelerator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TILES = ((256, 128, 0), (128, 256, 0), (128, 128, 1), (64, 128, 2), (64, 64, 3), (32, 64, 4), (16, 64, 5))
"""Output tiles between which a library chooses: rows, columns, and steps of efficiency below the largest."""
FULL_STREAM_SECONDS = 20e-6
"""Length of a stream at full memory bandwidth at which `MatmulFit.memory` is stated [s]."""


@dataclass(frozen=True)
class MatmulFit:
    """Parameters of `matmul_seconds`, fitted per chip, stack and data type.

    Attributes:
        floor: seconds that any call takes (launch, prologue, tail).
        compute: share of the dense peak that a full machine of the largest tiles reaches.
        memory: share of the memory bandwidth that a stream of `FULL_STREAM_SECONDS` or more reaches.
        stream_power: power by which that share falls for shorter streams.
        full_width: columns from which reading B keeps the whole machine busy.
        narrow_power: power by which reading B slows below that.
        prologue: inner-dimension steps that filling and draining one tile costs.
        quantisation: 0 = work spreads evenly over the compute units, 1 = whole waves only.
        overlap: exponent p of (t_compute^p + t_memory^p)^(1/p); large means perfect overlap.
        tile_step: efficiency of a 128 x 128 tile against a 256 x 128 one.
        small_tile_step: efficiency of each halving below that.
        split_depth: inner-dimension steps below which a product is not split further.
        sustained: share of the dense peak that power allows over a long kernel.
        cache: rate at which each compute unit reads what the last-level cache holds [B/s].
        rows: rows of the smallest tile that the library cuts.
        cast_floor: seconds that a cast of A to a narrow format takes at least, where the stack casts in the same call.
        cast: share of the memory bandwidth that this cast reaches; infinite where nothing is cast.
        cast_row: elements as which a shorter row is cast.
    """

    floor: float
    compute: float
    memory: float
    stream_power: float
    full_width: float
    narrow_power: float
    prologue: float
    quantisation: float
    overlap: float
    tile_step: float
    small_tile_step: float
    split_depth: float
    sustained: float
    cache: float
    rows: float = 64.0
    cast_floor: float = 0.0
    cast: float = math.inf
    cast_row: float = 1.0


def matmul_seconds(
    fit: MatmulFit, m: Array, n: Array, k: Array, groups: Array, peak: Array, bandwidth: Array, units: float,
    weights: Array, activations: Array, held: tuple[Array, Array] | None = None, narrowed: Array | float = 0.0,
) -> Array:  # fmt: skip
    """Time of ``groups`` products C[m,n] = A[m,k] B[k,n] in one kernel [s]; every argument broadcasts.

    The product is cut into tiles; the library takes the tile that is fastest and splits k when there are fewer
    tiles than compute units. The time never falls when m, n, k or traffic grow and never beats the two peaks.

    Args:
        fit: the parameters.
        m, n, k: sizes, at least 1.
        groups: independent products of this size.
        peak: dense rate of the data type [FLOP/s].
        bandwidth: memory bandwidth [B/s].
        units: compute units (SMs, cube cores) that share the work.
        weights: bytes of B [B].
        activations: bytes of A and C [B].
        held: shares of B and of A and C that the last-level cache still holds from the call before; None for neither.
        narrowed: bytes that a cast of A reads and writes [B].
    """
    fixed = fit.floor + fit.cast_floor + narrowed / (fit.cast * bandwidth)
    busy = compute_seconds(fit, m, n, k, groups, peak, units)
    read = weights * np.maximum(fit.full_width / n, 1.0) ** fit.narrow_power
    if held is None:
        return np.asarray(fixed + overlapped(busy, stream_seconds(fit, read + activations, bandwidth), fit.overlap))
    near = read * held[0] + activations * held[1]
    far = np.maximum(read + activations - near, 1.0)
    stream = stream_seconds(fit, far, bandwidth) + near / (fit.cache * units)
    return np.asarray(fixed + overlapped(busy, stream, fit.overlap))


def stream_seconds(fit: MatmulFit, moved: Array, bandwidth: Array) -> Array:
    """The memory side of `matmul_seconds` for bytes that come from memory [s]."""
    return moved / (fit.memory * bandwidth) * np.maximum(FULL_STREAM_SECONDS * bandwidth / moved, 1.0) ** fit.stream_power


def held_share(cycled: Array, cache: float, edge: float) -> Array:
    """Share of cyclically read bytes that a last-level cache still holds when they come round again.

    All of them while they fit; none where they exceed the cache by ``edge``, since what was used longest ago leaves
    first; in between in proportion.

    Args:
        cycled: bytes read from one use of a buffer to its next [B].
        cache: capacity of the cache [B].
        edge: multiple of the capacity from which nothing survives.
    """
    return np.clip((edge - cycled / cache) / (edge - 1.0), 0.0, 1.0)


def compute_seconds(fit: MatmulFit, m: Array, n: Array, k: Array, groups: Array, peak: Array, units: float) -> Array:
    """The compute side of `matmul_seconds` [s]."""
    per_step = units / (peak * fit.compute)
    deepest = np.maximum(k / fit.split_depth, 1.0)
    steps = (1.0, *(fit.tile_step * fit.small_tile_step**halved for halved in range(5)))
    loose = 1.0 - fit.quantisation
    best: Array | None = None
    for rows, columns, step in (tile for tile in TILES if tile[0] >= fit.rows):
        load = np.ceil(m / rows) * np.ceil(n / columns) * (groups / units)
        spread = 1.0 / load
        split = np.minimum(np.maximum(fit.quantisation * np.floor(spread) + loose * spread, 1.0), deepest)
        full = np.maximum(load, 1.0)
        waves = fit.quantisation * np.ceil(full) + loose * full
        time = waves * (k / split + fit.prologue) * (per_step * (2.0 * rows * columns / steps[step]))
        best = time if best is None else np.minimum(best, time)
    assert best is not None
    return np.maximum(best, 2.0 * m * n * k * groups / (peak * fit.sustained))


def overlapped(a: Array, b: Array, exponent: float) -> Array:
    """(a^p + b^p)^(1/p): the larger of two times, more where they are alike."""
    large, small = np.maximum(a, b), np.minimum(a, b)
    return np.asarray(large * (1.0 + (small / large) ** exponent) ** (1.0 / exponent))


def roofline_seconds(flops: Array, traffic: Array, peak: Array, bandwidth: Array, efficiency: float = 1.0) -> Array:
    """max(F / (e P), B / (e BW)) [s]: the plain roofline at one constant efficiency."""
    return np.maximum(flops / (efficiency * peak), traffic / (efficiency * bandwidth))
