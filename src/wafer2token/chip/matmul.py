"""How long a matrix product takes on one accelerator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TILES = ((256, 128), (128, 128), (64, 128), (64, 64))
"""Output tiles (rows, columns) between which a library chooses, largest first."""


@dataclass(frozen=True)
class MatmulFit:
    """Parameters of `matmul_seconds`, fitted per chip, stack and data type.

    Attributes:
        floor: seconds that any call takes (launch, prologue, tail).
        compute: share of the dense peak that a full machine of the largest tiles reaches.
        memory: share of the memory bandwidth that a long stream reaches.
        prologue: inner-dimension steps that filling and draining one tile costs.
        quantisation: 0 = work spreads evenly over the compute units, 1 = whole waves only.
        overlap: exponent p of (t_compute^p + t_memory^p)^(1/p); large means perfect overlap.
        tile_step: efficiency of a 128 x 128 tile against 256 x 128.
        small_tile_step: efficiency of each halving below that.
        split_depth: inner-dimension steps below which a product is not split further.
        sustained: share of the dense peak that power allows over a long kernel.
    """

    floor: float
    compute: float
    memory: float
    prologue: float
    quantisation: float
    overlap: float
    tile_step: float
    small_tile_step: float
    split_depth: float
    sustained: float


def matmul_seconds(
    fit: MatmulFit, m: Array, n: Array, k: Array, groups: Array, peak: Array, bandwidth: Array, units: float, traffic: Array
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
        traffic: bytes read and written [B].
    """
    busy = compute_seconds(fit, m, n, k, groups, peak, units)
    return np.asarray(fit.floor + overlapped(busy, traffic / (fit.memory * bandwidth), fit.overlap))


def compute_seconds(fit: MatmulFit, m: Array, n: Array, k: Array, groups: Array, peak: Array, units: float) -> Array:
    """The compute side of `matmul_seconds` [s]."""
    per_step = units / (peak * fit.compute)
    deepest = np.maximum(k / fit.split_depth, 1.0)
    best: Array | None = None
    efficiency = 1.0
    for i, (rows, columns) in enumerate(TILES):
        if i:
            efficiency *= fit.tile_step if i == 1 else fit.small_tile_step
        load = np.ceil(m / rows) * np.ceil(n / columns) * (groups / units)
        split = np.minimum(np.maximum(1.0 / load, 1.0), deepest)
        full = np.maximum(load, 1.0)
        waves = fit.quantisation * np.ceil(full) + (1.0 - fit.quantisation) * full
        time = waves * (k / split + fit.prologue) * (per_step * (2.0 * rows * columns / efficiency))
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
