"""Kernel times held against published measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import get
from wafer2token.chip.fits import FamilyFit, attention_format, stacks
from wafer2token.chip.formats import stored_bytes
from wafer2token.chip.kernels import (
    OUTPUT_BYTES,
    SCORE_BYTES,
    STATE_BYTES,
    attention_decode_time,
    attention_index_time,
    attention_prefill_time,
    experts_time,
    linear_attention_time,
    matmul_time,
)
from wafer2token.chip.machine import Accelerator, accelerator
from wafer2token.chip.matmul import roofline_seconds
from wafer2token.chip.points import Row, rows_of
from wafer2token.evidence.tables import shipped_tables
from wafer2token.evidence.validation import Z80, Point

Array = npt.NDArray[np.float64]


def shipped() -> list[Row]:
    """The measured kernels that come with the package."""
    return [row for name, table in shipped_tables("wafer2token.chip") for row in rows_of(table, name)]


def kernel_points(rows: Sequence[Row]) -> list[Point]:
    """A prediction, an interval and a baseline for every row; rows that cannot be expressed keep their reason."""
    points: dict[int, Point] = {}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, row in enumerate(rows):
        if row.skipped or row.columns is None:
            points[i] = Point(
                row.id,
                f"{row.chip or 'other'} {row.family}".strip(),
                row.seconds,
                skipped=row.skipped,
                source=row.source,
            )
        else:
            key = (
                row.chip,
                row.per,
                row.stack,
                row.family,
                row.dtype,
                row.weight_dtype,
                row.kv_dtype,
                row.causal,
                row.direction,
            )
            groups.setdefault((*key, *sorted(set(row.columns) & {"window", "copies", "down_k"})), []).append(i)
    for members in groups.values():
        points |= dict(zip(members, _predicted([rows[i] for i in members]), strict=True))
    return [points[i] for i in range(len(rows))]


def _predicted(rows: Sequence[Row]) -> list[Point]:
    """Predictions of rows that differ in their sizes only."""
    first = rows[0]
    known = stacks(first.chip)
    stack = first.stack if first.stack in known or _measured_elsewhere(first.stack) else None
    acc = accelerator(first.chip, stack=stack, per="die" if first.per == "die" else "chip")
    columns = {name: np.array([float((r.columns or {})[name]) for r in rows]) for name in first.columns or {}}
    time = row_times(acc, first, columns)
    attends = first.family.startswith(("attention", "mla"))
    kind = attention_format(first.dtype, first.kv_dtype or first.dtype) if attends else first.dtype
    fit = acc.fit(first.family, kind)
    low, high = interval(fit, first.stack)
    base = baseline_times(acc, first, columns)
    return [
        Point(
            row.id, _group(row), row.seconds, float(t), float(t * math.exp(low)), float(t * math.exp(high)), "s",
            baseline=float(b), source=row.source, tags=_tags(row, fit),
        )
        for row, t, b in zip(rows, time, base, strict=True)
    ]  # fmt: skip


def _measured_elsewhere(stack: str) -> bool:
    from wafer2token.catalog import all_cards

    return any(c.stack == stack and c.subject == "chip" for c in all_cards("calibration").values())


def interval(fit: FamilyFit, stack: str) -> tuple[float, float]:
    """ln of the 10th and 90th percentile over the prediction: the fit's own spread, with its systematic error added
    where the point comes from other software than the fit (the spread of a class holds it already)."""
    if fit.basis == "calibrated" and stack != fit.stack:
        extra = Z80 * fit.bias
        return -math.hypot(fit.low, extra), math.hypot(fit.high, extra)
    return min(fit.low, 0.0), max(fit.high, 0.0)


def row_times(acc: Accelerator, row: Row, columns: Mapping[str, Array]) -> Array:
    """Predicted times of rows like ``row`` [s]; both directions of attention together where the row says so."""
    if row.direction == "both":
        parts = (_forward(acc, row, columns, backward) for backward in (False, True))
        return np.asarray(sum(parts))
    return _forward(acc, row, columns, row.direction == "backward")


def _forward(acc: Accelerator, row: Row, columns: Mapping[str, Array], backward: bool) -> Array:
    c = dict(columns)
    if row.family == "gemm":
        return matmul_time(
            acc, c["m"], c["n"], c["k"], row.dtype, c["groups"], row.weight_dtype or None, copies=c.get("copies")
        )
    if row.family == "grouped_gemm":
        return experts_time(acc, c, row.dtype, row.weight_dtype or None)
    if row.family == "attention_index":
        return attention_index_time(acc, c["batch"], c["q_len"], c["kv_len"], c["heads"], c["qk_dim"], row.dtype)
    if row.family.startswith("linear"):
        return linear_attention_time(acc, c["batch"], c["q_len"], c["heads"], c["qk_dim"], c["v_dim"], row.dtype)
    window = c.pop("window", None)
    seen = None if window is None else np.where(window > 0, window, np.inf)
    cache, mla = row.kv_dtype or row.dtype, row.family.startswith("mla")
    if row.family.endswith("prefill"):
        return attention_prefill_time(
            acc, c["batch"], c["q_len"], c["kv_len"], c["heads"], c["kv_heads"], c["qk_dim"], c["v_dim"],
            causal=row.causal, window=seen, dtype=row.dtype, kv_dtype=cache, mla=mla, backward=backward,
        )  # fmt: skip
    return attention_decode_time(
        acc, c["batch"], c["kv_len"], c["heads"], c["kv_heads"], c["qk_dim"], c["v_dim"], kv_dtype=cache, mla=mla,
        window=seen, dtype=row.dtype, q_len=c["q_len"],
    )  # fmt: skip


def baseline_times(acc: Accelerator, row: Row, columns: Mapping[str, Array]) -> Array:
    """The plain roofline at one constant efficiency (card ``roofline_baseline``) [s]."""
    share = float(get("calibration", "roofline_baseline").ratios["efficiency"])
    flops, traffic = _work(row, columns)
    return roofline_seconds(flops, traffic, np.asarray(acc.peak(row.dtype)), np.asarray(acc.hbm_bytes_per_s), share)


def _work(row: Row, c: Mapping[str, Array]) -> tuple[Array, Array]:
    act, weight = stored_bytes(row.dtype), stored_bytes(row.weight_dtype or row.dtype)
    if row.family in ("gemm", "grouped_gemm"):
        m, many = c.get("m", c.get("tokens_per_expert")), c.get("groups", c.get("experts"))
        assert m is not None
        assert many is not None
        down = c["down_k"] if "down_k" in c else np.zeros(())
        traffic = many * (act * m * (c["k"] + down) + weight * c["k"] * (c["n"] + down) + OUTPUT_BYTES * m * (c["n"] + c["k"] * (down > 0)))
        return 2.0 * many * m * (c["n"] + down) * c["k"], traffic
    if row.family == "attention_index":
        pairs = c["batch"] * c["q_len"] * (c["kv_len"] - (c["q_len"] - 1.0) / 2.0)
        return 2.0 * pairs * c["heads"] * c["qk_dim"], SCORE_BYTES * pairs + c["batch"] * c["kv_len"] * c[
            "qk_dim"
        ] * act
    if row.family.startswith("linear"):
        states = c["batch"] * c["heads"] * c["qk_dim"] * c["v_dim"]
        rows = c["batch"] * c["q_len"] * c["heads"]
        return 7.0 * states * c["q_len"], 2.0 * STATE_BYTES * states + 2.0 * rows * (c["qk_dim"] + c["v_dim"]) * act
    window = c.get("window", np.zeros(()))
    keys = np.where(window > 0, np.minimum(c["kv_len"], window), c["kv_len"])
    pairs = c["q_len"] * keys * (0.5 if row.causal and row.family.endswith("prefill") else 1.0)
    width = c["qk_dim"] + c["v_dim"]
    stored = c["qk_dim"] if row.family.startswith("mla") else width
    cache = c["batch"] * c["kv_heads"] * keys * stored * stored_bytes(row.kv_dtype or row.dtype)
    times = {"forward": 1.0, "backward": 2.5, "both": 3.5}[row.direction]
    flops = times * 2.0 * c["batch"] * c["heads"] * pairs * width
    return flops, times * (cache + c["batch"] * c["q_len"] * c["heads"] * width * act)


_LLM = (1024.0, 32768.0)
_SHORT = {"attention_prefill": "prefill", "attention_decode": "decode", "mla_decode": "mla", "mla_prefill": "mla prefill",
          "attention_index": "sparse index", "linear_prefill": "delta rule", "linear_decode": "delta rule, decode"}  # fmt: skip


def _group(row: Row) -> str:
    return f"{row.chip} {_SHORT.get(row.family, row.family)}" + (" (flagged)" if row.flag else "")


def _tags(row: Row, fit: FamilyFit) -> tuple[str, ...]:
    """The other groups a point belongs to: its family, data type, size class and how its parameters came about."""
    if row.flag:
        return (f"flagged: {row.flag}",)
    c = row.columns or {}
    name = _SHORT.get(row.family, row.family)
    tags = [name, f"{name}, {fit.basis}"]
    if row.family != "gemm" and row.stack:
        tags.append(
            f"{name} {row.chip} {row.stack}"
            + (f", {row.kv_dtype} cache" if row.kv_dtype not in ("", row.dtype) else "")
        )
    if row.family == "attention_decode":
        tokens = c["batch"] * c["kv_len"]
        tags.append(
            "decode, "
            + (
                "up to 16 k tokens"
                if tokens <= 2**14
                else "to 256 k tokens"
                if tokens <= 2**18
                else "over 256 k tokens"
            )
        )
    if row.family == "attention_prefill":
        tags.append(
            "prefill, "
            + (
                "up to 256 tokens"
                if c["q_len"] <= 256
                else "to 2 k tokens"
                if c["q_len"] <= 2048
                else "over 2 k tokens"
            )
        )
    if row.family == "gemm":
        tags.append(f"gemm {row.dtype}")
        llm = all(_LLM[0] <= c[k] <= _LLM[1] for k in ("n", "k"))
        tags.append("gemm, LLM-shaped" if llm else "gemm, other shapes")
        if llm:
            tags.append(f"gemm, LLM-shaped {row.dtype} {row.chip}")
        tags.append(
            "gemm, " + ("up to 64 rows" if c["m"] <= 64 else "65 to 1024 rows" if c["m"] <= 1024 else "over 1024 rows")
        )
    return tuple(tags)
