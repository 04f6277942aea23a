"""Kernel times of an accelerator: what the training and the serving model ask."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import get
from wafer2token.chip.attention import ANY_GROUP, DecodeFit, cache_tiles, decode_seconds, index_seconds, prefill_seconds
from wafer2token.chip.fits import attention_format
from wafer2token.chip.formats import stored_bytes
from wafer2token.chip.machine import Accelerator, lead
from wafer2token.chip.matmul import held_share, matmul_seconds
from wafer2token.chip.recurrent import recurrent_seconds
from wafer2token.chip.streaming import stream_seconds
from wafer2token.evidence.errors import InputError, Problem, unknown

Array = npt.NDArray[np.float64]
Floats = npt.ArrayLike
BLOCK = 8192
"""Rows that are evaluated together: their intermediate arrays fit a core's cache."""
VECTOR = "attention_decode_vector"
"""Decode kernels without matrix units, which serve the groups of query heads that others leave out."""
INDEX_FORMAT = "fp8"
"""The data type in which kernels of a sparse index have been measured; its shares of peak serve the others."""
PASSES = 7.0
"""Operations per element of a state and token of a gated delta rule: decay, read by key, rank-one write, read by query."""
SCORE_BYTES, STATE_BYTES = 4.0, 4.0
"""Bytes of one score of a sparse index, and of one element of a recurrent state: both are kept in 32 bits."""
WIDE_BYTES = 2.0
"""Bytes of one activation before it is cast to a narrow format."""
OUTPUT_BYTES = 2.0
"""Bytes of one output element: products accumulate wide and are written in 16 bits."""


def matmul_time(
    acc: Accelerator, m: Floats, n: Floats, k: Floats, dtype: str = "bf16", groups: Floats = 1,
    weight_dtype: str | None = None, graph: bool = True, copies: Floats | None = None,
) -> Array:  # fmt: skip
    """Time of ``groups`` products C[m,n] = A[m,k] B[k,n] in one kernel [s]; arguments broadcast.

    Args:
        acc: the accelerator.
        m, n, k: rows (tokens), columns and inner size, at least 1.
        dtype: data type of the arithmetic and of A.
        groups: independent products of this size (a batched product).
        weight_dtype: data type in which B is stored; ``dtype`` when None.
        graph: replayed from a captured graph; False adds the host's launch of one operator.
        copies: how a benchmark repeats the call: copies of B that it cycles through, so that small ones are still in
            the last-level cache. None is the run of a model: other layers have evicted B.

    Raises:
        InputError: a size below 1, or a data type that the chip lacks.
    """
    return _product(acc, "gemm", m, n, k, dtype, groups, weight_dtype, graph, copies)


def grouped_matmul_time(
    acc: Accelerator, tokens_per_expert: Floats, experts: Floats, n: Floats, k: Floats, dtype: str = "bf16",
    weight_dtype: str | None = None, graph: bool = True, copies: Floats | None = None,
) -> Array:  # fmt: skip
    """Time of one product per expert in one kernel [s]; arguments broadcast.

    Args:
        acc: the accelerator.
        tokens_per_expert: mean rows per expert; below 1 only that share of the experts is read.
        experts: experts on this chip.
        n, k: columns and inner size of each expert.
        dtype, weight_dtype, graph, copies: as in `matmul_time`.
    """
    tokens = positive("tokens_per_expert", tokens_per_expert, least=0.0)
    return _product(
        acc, "grouped_gemm", np.maximum(tokens, 1.0), n, k, dtype,
        np.asarray(experts, float) * np.minimum(tokens, 1.0), weight_dtype, graph, copies,
    )  # fmt: skip


def experts_time(acc: Accelerator, sizes: Mapping[str, Any], dtype: str, weight_dtype: str | None = None) -> Array:
    """Time of a grouped product, or of the two of a mixture of experts where ``sizes`` has ``down_k`` [s].

    Args:
        acc: the accelerator.
        sizes: ``tokens_per_expert``, ``experts``, ``n``, ``k``; ``down_k``: inner size of the second product, which has
            ``k`` columns; ``copies`` of the weights of both that a benchmark cycles through.
        dtype, weight_dtype: as in `matmul_time`.
    """
    tokens, experts, n, k = (sizes[c] for c in ("tokens_per_expert", "experts", "n", "k"))
    copies = sizes.get("copies")
    if "down_k" not in sizes:
        return grouped_matmul_time(acc, tokens, experts, n, k, dtype, weight_dtype, copies=copies)
    down = sizes["down_k"]
    up, both = (None, None) if copies is None else (copies * (1.0 + down / n), copies * (1.0 + n / down))
    first = grouped_matmul_time(acc, tokens, experts, n, k, dtype, weight_dtype, copies=up)
    return np.asarray(first + grouped_matmul_time(acc, tokens, experts, k, down, dtype, weight_dtype, copies=both))


def _product(
    acc: Accelerator, family: str, m: Floats, n: Floats, k: Floats, dtype: str, groups: Floats,
    weight_dtype: str | None, graph: bool, copies: Floats | None,
) -> Array:  # fmt: skip
    rows, columns, inner = (positive(name, value) for name, value in (("m", m), ("n", n), ("k", k)))
    many = positive("groups", groups, least=0.0)
    sets = 0.0 if copies is None or math.isnan(acc.cache_bytes) else positive("copies", copies)
    ndim = max(np.ndim(v) for v in (rows, columns, inner, many, sets))
    act, weight = stored_bytes(dtype), stored_bytes(weight_dtype or dtype)
    peak, bandwidth = lead(acc.peak(dtype), ndim), lead(acc.hbm_bytes_per_s, ndim)
    fit = acc.fit(family, dtype).values

    def seconds(m: Any, n: Any, k: Any, g: Any, c: Any) -> Array:
        weights, activations = g * weight * k * n, g * (act * m * k + OUTPUT_BYTES * m * n)
        held = _held(acc, c, weights, activations) if np.ndim(c) or c else None
        narrowed = g * m * np.maximum(k, fit.cast_row) * (WIDE_BYTES + act) if fit.cast < math.inf else 0.0
        return matmul_seconds(fit, m, n, k, g, peak, bandwidth, acc.units, weights, activations, held, narrowed)

    together = seconds if acc.samples is not None else _in_blocks(seconds)
    return _finished(acc, family, dtype, together(rows, columns, inner, many, sets), ndim, graph)


def _held(acc: Accelerator, copies: Any, weights: Array, activations: Array) -> tuple[Array, Array]:
    """Shares of the weights and of the activations that the last-level cache holds when a benchmark repeats a call."""
    edge = float(get("calibration", "last_level_cache").ratios["edge"])
    return (
        held_share(copies * weights + activations, acc.cache_bytes, edge),
        held_share(weights + activations, acc.cache_bytes, edge),
    )


def _in_blocks(function: Callable[..., Array]) -> Callable[..., Array]:
    """The same function, evaluated over large arrays in blocks that stay in the cache."""

    def blocked(*arguments: Any) -> Array:
        shape = np.broadcast_shapes(*(np.shape(a) for a in arguments))
        size = math.prod(shape)
        if size <= 2 * BLOCK:
            return function(*arguments)
        flat = [np.broadcast_to(a, shape).reshape(-1) if np.ndim(a) else a for a in arguments]
        out = np.empty(size)
        for start in range(0, size, BLOCK):
            part = slice(start, start + BLOCK)
            out[part] = function(*(a[part] if np.ndim(a) else a for a in flat))
        return out.reshape(shape)

    return blocked


def attention_prefill_time(
    acc: Accelerator, batch: Floats, q_len: Floats, kv_len: Floats, heads: Floats, kv_heads: Floats, qk_dim: Floats,
    v_dim: Floats, causal: bool = True, window: Floats | None = None, dtype: str = "bf16", kv_dtype: str | None = None,
    graph: bool = True, mla: bool = False, backward: bool = False,
) -> Array:  # fmt: skip
    """Time of attention of whole queries over keys, causal tiles skipped [s]; arguments broadcast.

    Args:
        acc: the accelerator.
        batch: sequences.
        q_len: new tokens per sequence; the last sees ``kv_len`` keys.
        kv_len: keys per sequence, at least ``q_len``.
        heads, kv_heads: query heads and key heads.
        qk_dim, v_dim: head sizes of queries and keys, and of values.
        causal: whether later keys are skipped.
        window: keys that one query sees at most; None without a window.
        dtype, kv_dtype: of the arithmetic and of the keys and values.
        graph: as in `matmul_time`.
        mla: whether the measured kernels of latent attention speak for it.
        backward: the gradients of the same attention instead.
    """
    b, q, h, hk, dq, dv = (
        positive(name, value)
        for name, value in (("batch", batch), ("q_len", q_len), ("heads", heads), ("kv_heads", kv_heads), ("qk_dim", qk_dim), ("v_dim", v_dim))
    )  # fmt: skip
    kv = np.maximum(positive("kv_len", kv_len), q)
    seen = _window(window)
    ndim = max(np.ndim(v) for v in (b, q, kv, h, hk, dq, dv, seen))
    act, cache = stored_bytes(dtype), stored_bytes(kv_dtype or dtype)
    traffic = b * (q * h * (dq + dv) * act + np.minimum(kv, seen + q) * hk * (dq + dv) * cache)
    family, kind = "mla_prefill" if mla else "attention_prefill", attention_format(dtype, kv_dtype or dtype)
    time = prefill_seconds(
        acc.fit(family, kind).values, b, q, kv, h, hk, (dq + dv) / 2.0, traffic, seen, causal,
        lead(acc.peak(dtype), ndim), lead(acc.hbm_bytes_per_s, ndim), acc.units,
    )  # fmt: skip
    if backward:
        time = time * acc.fit("attention_backward").values.ratio
    return _finished(acc, family, dtype, time, ndim, graph)


def attention_decode_time(
    acc: Accelerator, batch: Floats, kv_len: Floats, heads: Floats, kv_heads: Floats, qk_dim: Floats, v_dim: Floats,
    kv_dtype: str = "bf16", mla: bool = False, window: Floats | None = None, dtype: str = "bf16", q_len: Floats = 1,
    graph: bool = True,
) -> Array:  # fmt: skip
    """Time of attention of ``q_len`` new tokens per sequence over its cache [s]; arguments broadcast.

    Args:
        acc: the accelerator.
        batch: sequences.
        kv_len: tokens in the cache per sequence.
        heads, kv_heads: query heads and key heads; for latent attention ``kv_heads`` is 1.
        qk_dim, v_dim: head sizes; for latent attention latent + rope and latent.
        kv_dtype: data type of the cache.
        mla: latent attention in its absorbed form: values are part of the keys, read once.
        window: tokens that are read at most (a sliding window, or the tokens that an indexer selects).
        dtype: data type of the arithmetic.
        q_len: tokens per sequence and step (more than one with speculative decoding).
        graph: as in `matmul_time`.
    """
    b, q, h, hk, dq, dv = (
        positive(name, value)
        for name, value in (("batch", batch), ("q_len", q_len), ("heads", heads), ("kv_heads", kv_heads), ("qk_dim", qk_dim), ("v_dim", v_dim))
    )  # fmt: skip
    kv, seen = positive("kv_len", kv_len), _window(window)
    ndim = max(np.ndim(v) for v in (b, q, kv, seen, h, hk, dq, dv))
    stored = (dq if mla else dq + dv) * stored_bytes(kv_dtype)
    peak, bandwidth = lead(acc.peak(dtype), ndim), lead(acc.hbm_bytes_per_s, ndim)

    def seconds(fit: DecodeFit, walks: Any) -> Array:
        blocks = np.ceil(q * h / walks / fit.rows)
        tiles = cache_tiles(fit, kv, seen)
        traffic = b * (hk * np.minimum(kv, tiles * fit.step) * stored + q * h * (dq + dv) * OUTPUT_BYTES)
        return decode_seconds(
            fit, b * walks, tiles, fit.step * stored, blocks, 2.0 * fit.rows * fit.step * (dq + dv), traffic,
            (b > 1) & (hk > 1) & (h > hk), peak, bandwidth, acc.units,
        )  # fmt: skip

    family, kind = "mla_decode" if mla else "attention_decode", attention_format(dtype, kv_dtype)
    fit = acc.fit(family, kind).values
    time = seconds(fit, hk)
    if fit.group_most < ANY_GROUP:
        vector, group = seconds(acc.fit(VECTOR, kind).values, h), h / hk
        inside = np.minimum(time, vector) if fit.group_least > 1 else time
        time = np.where((group < fit.group_least) | (group > fit.group_most), vector, inside)
    return _finished(acc, family, dtype, time, ndim, graph)


def attention_index_time(
    acc: Accelerator, batch: Floats, q_len: Floats, kv_len: Floats, heads: Floats, qk_dim: Floats, dtype: str = "fp8",
    kv_dtype: str | None = None, graph: bool = True, ratio: Floats = 1,
) -> Array:  # fmt: skip
    """Time of the scores of a sparse index, later keys skipped [s]; arguments broadcast.

    Args:
        acc: the accelerator.
        batch, q_len, kv_len: sequences, new tokens of each, and keys of each, at least ``q_len``.
        heads, qk_dim: of the index.
        dtype, kv_dtype: of the arithmetic and of the stored keys.
        graph: as in `matmul_time`.
        ratio: tokens that share one key.
    """
    b, q, h, d = (positive(name, value) for name, value in (("batch", batch), ("q_len", q_len), ("heads", heads), ("qk_dim", qk_dim)))  # fmt: skip
    kv = np.maximum(positive("kv_len", kv_len), q)
    every = positive("ratio", ratio)
    ndim = max(np.ndim(v) for v in (b, q, kv, h, d, every))
    pairs = b * q * (kv - (q - 1.0) / 2.0) / every
    traffic = (
        b * (kv / every * d * stored_bytes(kv_dtype or dtype) + q * h * d * stored_bytes(dtype)) + SCORE_BYTES * pairs
    )
    time = index_seconds(
        acc.fit("attention_index", INDEX_FORMAT).values, 2.0 * pairs * h * d, traffic, lead(acc.peak(dtype), ndim),
        lead(acc.hbm_bytes_per_s, ndim),
    )  # fmt: skip
    return _finished(acc, "attention_index", dtype, time, ndim, graph)


def linear_attention_time(
    acc: Accelerator, batch: Floats, q_len: Floats, heads: Floats, qk_dim: Floats, v_dim: Floats, dtype: str = "bf16",
    graph: bool = True, passes: float = PASSES,
) -> Array:  # fmt: skip
    """Time of a gated delta rule, in chunks or token by token, whichever is faster [s]; arguments broadcast.

    Args:
        acc: the accelerator.
        batch, q_len: sequences, and tokens of each.
        heads: states per sequence (value heads).
        qk_dim, v_dim: sizes of a state.
        dtype: of queries, keys and values; the states are kept in 32 bits.
        graph: as in `matmul_time`.
        passes: operations per element of a state and token; recurrences without a delta rule have fewer.
    """
    b, q, h, dq, dv = (
        positive(name, value)
        for name, value in (("batch", batch), ("q_len", q_len), ("heads", heads), ("qk_dim", qk_dim), ("v_dim", v_dim))
    )  # fmt: skip
    ndim = max(np.ndim(v) for v in (b, q, h, dq, dv))
    bandwidth = lead(acc.hbm_bytes_per_s, ndim)
    states = 2.0 * STATE_BYTES * b * h * dq * dv
    rows = 2.0 * b * h * (dq + dv) * stored_bytes(dtype)
    chunks = recurrent_seconds(
        acc.fit("linear_prefill", "bf16").values,
        b * h,
        q,
        dq * dv * passes / PASSES,
        states + q * rows,
        bandwidth,
        acc.units,
    )
    single = stream_seconds(acc.fit("linear_decode").values, q * (states + rows), q, bandwidth)
    return _finished(acc, "linear_prefill", "bf16", np.minimum(chunks, single), ndim, graph)


def memory_time(acc: Accelerator, bytes: Floats, ops: Floats = 1, graph: bool = True) -> Array:
    """Time of kernels that only move bytes (norm, activation, residual, rope, embedding) [s]; arguments broadcast.

    Args:
        acc: the accelerator.
        bytes: read and written by all of them together [B].
        ops: kernels.
        graph: as in `matmul_time`.
    """
    traffic, calls = positive("bytes", bytes, least=0.0), positive("ops", ops, least=0.0)
    ndim = max(np.ndim(traffic), np.ndim(calls))
    time = stream_seconds(acc.fit("memory").values, traffic, calls, lead(acc.hbm_bytes_per_s, ndim))
    out = _finished(acc, "memory", "", time, ndim, True)
    return out if graph else out + calls * acc.fit("host").values.eager


def quantise_time(acc: Accelerator, elements: Floats, from_bytes: float = 2.0, to_bytes: float = 1.0) -> Array:
    """Time of scaling and casting ``elements`` to a narrower type [s]: one read, one write."""
    size = positive("elements", elements)
    ndim = np.ndim(size)
    fit = acc.fit("quantise").values
    time = stream_seconds(fit, size * (from_bytes + to_bytes), np.ones(()), lead(acc.hbm_bytes_per_s, ndim))
    return _finished(acc, "quantise", "", time, ndim, True)


def roofline_time(acc: Accelerator, flops: Floats, traffic: Floats, dtype: str = "bf16", graph: bool = True) -> Array:
    """Time of a kernel without measurements of its own, by the chip's matrix-product efficiencies [s].

    Args:
        acc: the accelerator.
        flops: arithmetic [FLOP].
        traffic: bytes read and written [B].
        dtype, graph: as in `matmul_time`.
    """
    work, moved = positive("flops", flops, least=0.0), positive("traffic", traffic, least=0.0)
    ndim = max(np.ndim(work), np.ndim(moved))
    fit = acc.fit("gemm", dtype).values
    peak, bandwidth = lead(acc.peak(dtype), ndim), lead(acc.hbm_bytes_per_s, ndim)
    time = fit.floor + np.maximum(work / (fit.compute * peak), moved / (fit.memory * bandwidth))
    return _finished(acc, "gemm", dtype, time, ndim, graph)


def host_overhead(acc: Accelerator, mode: str = "graph", n_ops: Floats = 1) -> Array:
    """Time the host needs to put ``n_ops`` operators on the device [s].

    It runs beside the device: a step takes the larger of the two, and the sum where the host waits for results.

    Args:
        acc: the accelerator.
        mode: "eager" (the framework launches each operator) or "graph" (one captured graph is replayed).
        n_ops: operators of the step.
    """
    fit = acc.fit("host").values
    if mode not in ("eager", "graph"):
        raise InputError(unknown("mode", mode, ["eager", "graph"]))
    count = positive("n_ops", n_ops, least=0.0)
    return np.asarray(count * fit.eager if mode == "eager" else np.minimum(count, 1.0) * fit.replay)


def _finished(acc: Accelerator, family: str, dtype: str, time: Array, ndim: int, graph: bool) -> Array:
    out = time * lead(acc.factor(family, dtype), ndim)
    return np.asarray(out if graph else out + acc.fit("host").values.eager)


def positive(name: str, value: Floats, least: float = 1.0) -> Any:
    array = np.asarray(value, dtype=float)
    if array.size and not array.min() >= least:
        what = "a size of zero or less" if least else "negative or not a number"
        raise InputError(Problem(what, name, float(array.min()), f"{least:g} or more"))
    return array if array.ndim else float(array)


def _window(window: Floats | None) -> Any:
    return np.inf if window is None else positive("window", window)
