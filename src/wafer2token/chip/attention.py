"""How long attention takes on one accelerator: prefill over causal tiles, decode over the cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wafer2token.chip.matmul import overlapped

Array = npt.NDArray[np.float64]

TILE = 128.0
"""Query rows of one tile, and the step in which keys are read."""
FULL_HEAD = 128.0
"""Head size at which the matrix unit is full in the fits."""


@dataclass(frozen=True)
class PrefillFit:
    """Parameters of `prefill_seconds`.

    Attributes:
        floor: seconds that any call takes.
        compute: share of the dense peak that full tiles of head size 128 reach.
        memory: share of the memory bandwidth.
        prologue: key columns that starting one query tile costs.
        imbalance: share of the longest tile that the makespan adds to the mean load.
        overlap: exponent p of (t_compute^p + t_memory^p)^(1/p).
        head_power: efficiency goes as (head size / 128)^head_power below 128.
        wide_power: the same above 128.
    """

    floor: float
    compute: float
    memory: float
    prologue: float
    imbalance: float
    overlap: float
    head_power: float
    wide_power: float


@dataclass(frozen=True)
class DecodeFit:
    """Parameters of `decode_seconds`.

    Attributes:
        floor: seconds that any call takes.
        compute: share of the dense peak.
        memory: share of the memory bandwidth that a long stream reaches.
        reduction: seconds that joining the parts of a split cache costs, reached at 512 tokens.
        overlap: exponent p of (t_compute^p + t_memory^p)^(1/p).
        splits: parts into which the cache of one sequence and key head is cut at most.
        head_power: the bandwidth reached goes as (head size / 128)^head_power below 128.
        rows: query rows that the matrix unit computes at once: the heads of a group are padded to it.
    """

    floor: float
    compute: float
    memory: float
    reduction: float
    overlap: float
    splits: float
    head_power: float
    rows: float


def prefill_columns(q_len: Array, kv_len: Array, window: Array, causal: bool) -> tuple[Array, Array]:
    """Key columns over all query tiles of one head, and those of its longest tile.

    Args:
        q_len: query tokens; the last of them sees ``kv_len`` keys.
        kv_len: keys, at least ``q_len``.
        window: keys that one query sees at most (infinite without a window).
        causal: whether later keys are skipped, tile by tile.
    """
    tiles = np.ceil(q_len / TILE)
    longest = np.minimum(kv_len, window + TILE)
    if not causal:
        return tiles * longest, longest
    first = np.minimum(kv_len - q_len + np.minimum(TILE, q_len), longest)
    growing = np.minimum(np.ceil((longest - first) / TILE), tiles - 1.0)
    total = tiles * first + growing * (growing + 1.0) / 2.0 * TILE + (tiles - 1.0 - growing) * (longest - first)
    return np.minimum(total, tiles * longest), longest


def prefill_seconds(fit: PrefillFit, batch: Array, q_len: Array, kv_len: Array, heads: Array, width: Array, traffic: Array,
                    window: Array, causal: bool, peak: Array, bandwidth: Array, units: float) -> Array:  # fmt: skip
    """Time of attention over whole queries [s]: the makespan of 128-row causal tiles over the compute units.

    Args:
        fit: the parameters.
        batch, q_len, kv_len, heads: sizes.
        width: mean of the query-key and the value head size.
        traffic: bytes read and written [B].
        window: keys that one query sees at most (infinite without a window).
        causal: whether later keys are skipped.
        peak, bandwidth, units: of the chip.
    """
    total, longest = prefill_columns(q_len, kv_len, window, causal)
    size = width / FULL_HEAD
    reached = np.minimum(
        fit.compute * np.minimum(size, 1.0) ** fit.head_power * np.maximum(size, 1.0) ** fit.wide_power, 1.0
    )
    per_column = 4.0 * TILE * width * units / (peak * reached)
    mean = batch * heads * (total + np.ceil(q_len / TILE) * fit.prologue) / units
    last = longest + fit.prologue
    busy = per_column * np.maximum(last, mean + fit.imbalance * last)
    return np.asarray(fit.floor + overlapped(busy, traffic / (fit.memory * bandwidth), fit.overlap))


def decode_seconds(
    fit: DecodeFit, flops: Array, traffic: Array, kv_len: Array, tasks: Array, width: Array, peak: Array, bandwidth: Array,
    units: float,
) -> Array:  # fmt: skip
    """Time of attention of a few new tokens per sequence over its cache [s].

    Args:
        fit: the parameters.
        flops: arithmetic with query rows padded to ``fit.rows`` per key head [FLOP].
        traffic: bytes read and written, the cache in steps of `TILE` tokens [B].
        kv_len: tokens that are read per sequence.
        tasks: sequences times key heads.
        width: mean of the query-key and the value head size.
        peak, bandwidth, units: of the chip.
    """
    busy_units = np.minimum(tasks * fit.splits / units, 1.0)
    head = np.minimum(width / FULL_HEAD, 1.0) ** fit.head_power
    stream = traffic / (fit.memory * bandwidth * busy_units * head)
    join = fit.reduction * np.clip(np.log2(kv_len / TILE), 0.0, 2.0) / 2.0
    return np.asarray(fit.floor + join + overlapped(flops / (fit.compute * peak), stream, fit.overlap))
