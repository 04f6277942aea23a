"""How long attention takes on one accelerator: prefill over causal tiles, decode over the cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wafer2token.chip.matmul import overlapped

Array = npt.NDArray[np.float64]

TILE = 128.0
"""Query rows of one prefill tile, and the step in which its keys are read."""
FULL_HEAD = 128.0
"""Head size at which the matrix unit is full in the fits."""
ANY_GROUP = 1024.0
"""Query heads per key head that no model has."""
PAIR = 2.0
"""Tiles after which the parts of a split cache have to be joined; the join costs its full time at twice as many."""


@dataclass(frozen=True)
class PrefillFit:
    """Parameters of `prefill_seconds`.

    Attributes:
        floor: seconds that any call takes.
        start: seconds that starting one query tile costs the compute unit that runs it.
        compute: share of the dense peak that full tiles of head size 128 reach.
        memory: share of the memory bandwidth.
        imbalance: share of the longest tile that the makespan adds to the mean load.
        overlap: exponent p of (t_compute^p + t_memory^p)^(1/p).
        head_power: efficiency goes as (head size / 128)^head_power below 128.
        wide_power: the same above 128.
        edge: key columns beyond window and tile that a windowed tile reads.
        packing: 1 where the query heads of a key head fill the rows of a tile together, 0 where each has its own.
    """

    floor: float
    start: float
    compute: float
    memory: float
    imbalance: float
    overlap: float
    head_power: float
    wide_power: float
    edge: float
    packing: float


@dataclass(frozen=True)
class DecodeFit:
    """Parameters of `decode_seconds`, and the groups of query heads that the kernel serves.

    Attributes:
        floor: seconds that any call takes.
        start: seconds that one sequence and key head costs the compute unit that runs it, whatever its length.
        reduction: seconds that joining the parts of a split cache costs.
        regroup: seconds that reordering the queries of several key heads costs.
        beat: seconds that a unit needs for one step of the cache and one block of query rows beside the arithmetic.
        compute: share of the dense peak.
        memory: share of the memory bandwidth that a long stream reaches.
        share: bandwidth that one unit reaches alone, over its even share of the whole.
        overlap: exponent p of (t_units^p + t_memory^p)^(1/p).
        quantisation: share of the tasks that run in whole waves.
        spread: parts per compute unit into which the kernel cuts the work while there are fewer tasks than that.
        splits: parts into which the cache of one sequence and key head is cut at most.
        rows: query rows that the matrix unit computes at once: the heads of a group are padded to it.
        step: tokens in which the cache is read.
        group_least, group_most: query heads per key head that this kernel serves, `ANY_GROUP` and more without a limit;
            other groups run on a kernel without matrix units, which walks the cache once per query head. One that
            leaves single heads to that kernel (``group_least`` above 1) yields to it wherever it is faster.
    """

    floor: float
    start: float
    reduction: float
    regroup: float
    beat: float
    compute: float
    memory: float
    share: float
    overlap: float
    quantisation: float
    spread: float
    splits: float
    rows: float
    step: float
    group_least: float
    group_most: float


@dataclass(frozen=True)
class IndexFit:
    """Parameters of `index_seconds`: seconds of any call, shares of the dense peak and of the memory bandwidth, and how
    both overlap."""

    floor: float
    compute: float
    memory: float
    overlap: float


def prefill_columns(
    q_len: Array, kv_len: Array, window: Array, causal: bool, tile: Array | float = TILE, edge: float = 0.0
) -> tuple[Array, Array]:
    """Key columns over all query tiles of one head, and those of its longest tile.

    Args:
        q_len: query tokens; the last of them sees ``kv_len`` keys.
        kv_len: keys, at least ``q_len``.
        window: keys that one query sees at most (infinite without a window).
        causal: whether later keys are skipped, tile by tile.
        tile: query tokens of one tile.
        edge: columns that a windowed tile reads in vain.
    """
    tiles = np.ceil(q_len / tile)
    longest = np.minimum(kv_len, window + TILE + edge)
    if not causal:
        return tiles * longest, longest
    first = np.minimum(kv_len - q_len + np.minimum(tile, q_len), longest)
    growing = np.minimum(np.ceil((longest - first) / tile), tiles - 1.0)
    total = tiles * first + growing * (growing + 1.0) / 2.0 * tile + (tiles - 1.0 - growing) * (longest - first)
    return np.minimum(total, tiles * longest), longest


def prefill_seconds(fit: PrefillFit, batch: Array, q_len: Array, kv_len: Array, heads: Array, kv_heads: Array, width: Array,
                    traffic: Array, window: Array, causal: bool, peak: Array, bandwidth: Array, units: float) -> Array:  # fmt: skip
    """Time of attention over whole queries [s]: the makespan of 128-row causal tiles over the compute units.

    Args:
        fit: the parameters.
        batch, q_len, kv_len, heads, kv_heads: sizes.
        width: mean of the query-key and the value head size.
        traffic: bytes read and written [B].
        window: keys that one query sees at most (infinite without a window).
        causal: whether later keys are skipped.
        peak, bandwidth, units: of the chip.
    """
    group = np.clip(heads / kv_heads, 1.0, TILE) if fit.packing else 1.0
    tile = np.asarray(TILE / group)
    total, longest = prefill_columns(q_len, kv_len, window, causal, tile, fit.edge)
    size = width / FULL_HEAD
    reached = np.minimum(
        fit.compute * np.minimum(size, 1.0) ** fit.head_power * np.maximum(size, 1.0) ** fit.wide_power, 1.0
    )
    per_column = 4.0 * TILE * width * units / (peak * reached)
    mean = batch * (heads / group) * (total * per_column + np.ceil(q_len / tile) * fit.start) / units
    last = longest * per_column + fit.start
    busy = np.maximum(last, mean + fit.imbalance * last)
    return np.asarray(fit.floor + overlapped(busy, traffic / (fit.memory * bandwidth), fit.overlap))


def cache_tiles(fit: DecodeFit, kv_len: Array, window: Array) -> Array:
    """Steps of the cache that one sequence and key head reads; a window straddles one step more."""
    return np.minimum(np.ceil(kv_len / fit.step), np.ceil(np.minimum(kv_len, window) / fit.step) + 1.0)


def decode_seconds(fit: DecodeFit, tasks: Array, tiles: Array, tile_bytes: Array, blocks: Array, block_flops: Array, traffic: Array,
                   reorder: Array, peak: Array, bandwidth: Array, units: float) -> Array:  # fmt: skip
    """Time of attention of a few new tokens per sequence over its cache [s].

    Each task walks its tiles on one compute unit; while tasks are few, each is cut into parts that run beside each
    other. Whatever the units could do, the memory delivers no faster than it can.

    Args:
        fit: the parameters.
        tasks: sequences times key heads.
        tiles: steps of the cache that one task reads.
        tile_bytes: bytes of one of them [B].
        blocks: blocks of ``fit.rows`` query rows of one task.
        block_flops: arithmetic of one of them on one step of the cache [FLOP].
        traffic: bytes that all tasks together read and write in memory [B].
        reorder: 1 where the queries of several key heads have to be put in order first, else 0.
        peak, bandwidth, units: of the chip.
    """
    parts = np.clip(fit.spread * units / tasks, 1.0, np.minimum(tiles, fit.splits))
    waves = tasks * parts / units
    whole = np.maximum(waves + fit.quantisation * (np.ceil(waves) - waves), 1.0)
    tile = tile_bytes * units / (fit.share * bandwidth) + blocks * (
        fit.beat + block_flops * units / (fit.compute * peak)
    )
    busy = whole * (fit.start + tiles / parts * tile)
    join = fit.reduction * np.clip(tiles / PAIR - 0.5, 0.0, 1.0) + fit.regroup * reorder
    return np.asarray(fit.floor + join + overlapped(busy, traffic / (fit.memory * bandwidth), fit.overlap))


def index_seconds(fit: IndexFit, flops: Array, traffic: Array, peak: Array, bandwidth: Array) -> Array:
    """Time of the scores of a sparse index [s]: floor + (t_compute^p + t_memory^p)^(1/p).

    Args:
        fit: the parameters.
        flops: of the scores that are not skipped, in whole tiles [FLOP].
        traffic: keys, queries and scores [B].
        peak, bandwidth: of the chip.
    """
    return np.asarray(
        fit.floor + overlapped(flops / (fit.compute * peak), traffic / (fit.memory * bandwidth), fit.overlap)
    )
