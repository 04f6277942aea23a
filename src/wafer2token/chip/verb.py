"""``w2t kernel``: one kernel on one chip, beside another chip, and the chip's roofline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wafer2token.chip.fits import FamilyFit
from wafer2token.chip.formats import computed_in, stored_bytes
from wafer2token.chip.kernels import (
    OUTPUT_BYTES,
    attention_decode_time,
    attention_prefill_time,
    grouped_matmul_time,
    matmul_time,
    memory_time,
    quantise_time,
)
from wafer2token.chip.machine import Accelerator, accelerator
from wafer2token.evidence.errors import InputError, Problem, unknown

OPERATIONS = ("gemm", "grouped_gemm", "prefill", "decode", "mla_decode", "memory", "quantise")
_SIZES = {
    "gemm": ("m", "n", "k"),
    "grouped_gemm": ("tokens_per_expert", "experts", "n", "k"),
    "prefill": ("batch", "q_len", "heads", "kv_heads", "head_dim"),
    "decode": ("batch", "kv_len", "heads", "kv_heads", "head_dim"),
    "mla_decode": ("batch", "kv_len", "heads"),
    "memory": ("bytes",),
    "quantise": ("elements",),
}
"""Sizes that an operation needs."""
_FAMILY = {"gemm": "gemm", "grouped_gemm": "grouped_gemm", "prefill": "attention_prefill", "decode": "attention_decode",
           "mla_decode": "mla_decode", "memory": "memory", "quantise": "quantise"}  # fmt: skip
_LATENT, _ROPE = 512.0, 64.0
"""Latent and rotary width of DeepSeek's latent attention, the default of ``mla_decode``."""

Band = tuple[float, float, float]
SAME: Band = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class KernelOnChip:
    """One kernel on one chip.

    Attributes:
        chip, name: of the chip card.
        seconds, p10, p90: the prediction and its 80% interval [s].
        bound: what the time is made of mostly: "compute", "memory" or "latency".
        flops, bytes: arithmetic and traffic [FLOP, B].
        flops_per_s, bytes_per_s: reached.
        compute_share, memory_share: of the chip's peaks.
        basis: "calibrated" on this chip, or "inherited" from other chips.
        card: calibration card.
    """

    chip: str
    name: str
    seconds: float
    p10: float
    p90: float
    bound: str
    flops: float
    bytes: float
    flops_per_s: float
    bytes_per_s: float
    compute_share: float
    memory_share: float
    basis: str
    card: str


@dataclass(frozen=True)
class RooflinePoint:
    """Attainable rate at an arithmetic intensity: peak roofline, and with the fitted efficiencies [FLOP/s]."""

    chip: str
    intensity: float
    peak: float
    reached: float


@dataclass(frozen=True)
class KernelResult:
    """The result of ``kernel``: one row per chip, the ratio of their times, and roofline data."""

    operation: str
    dtype: str
    sizes: dict[str, float]
    chips: tuple[KernelOnChip, ...]
    roofline: tuple[RooflinePoint, ...]

    @property
    def ratio(self) -> float | None:
        """Time on the second chip over time on the first."""
        return self.chips[1].seconds / self.chips[0].seconds if len(self.chips) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "ratio": self.ratio}


def kernel(
    operation: str, chip: str, against: str | None = None, dtype: str = "bf16", weight_dtype: str | None = None,
    kv_dtype: str | None = None, stack: str | None = None, per: str = "chip", graph: bool = True, causal: bool = True,
    window: float | None = None, software: Sequence[Band] = (), **sizes: float,
) -> KernelResult:  # fmt: skip
    """How long one kernel takes on a chip, what bounds it, and how sure that is.

    Args:
        operation: one of `OPERATIONS`.
        chip: id or alias of a chip.
        against: a second chip to hold it against.
        dtype, weight_dtype, kv_dtype: of the arithmetic, of stored weights and of the cache.
        stack: software stack; None for the chip's default.
        per: "chip" or "die".
        graph: replayed from a graph; False adds the host's launch.
        causal, window: of attention.
        software: p10, p50 and p90 of a factor on the times of each chip, for software of another date than the measured.
        sizes: the operation's sizes (m, n, k ...).

    Raises:
        InputError: unknown operation, chip or stack, a missing, foreign or non-positive size, a data type a chip lacks.
    """
    if operation not in OPERATIONS:
        raise InputError(unknown("operation", operation, list(OPERATIONS)))
    _check(operation, sizes)
    asked = [c for c in (chip, against) if c]
    bands = list(software) or [SAME] * len(asked)
    machines = [
        accelerator(c, stack=stack, per="die" if per == "die" else "chip", slowdown=band[1])
        for c, band in zip(asked, bands, strict=True)
    ]
    rows = tuple(
        _on(acc, operation, dtype, weight_dtype, kv_dtype, graph, causal, window, sizes, band)
        for acc, band in zip(machines, bands, strict=True)
    )
    lines = (
        tuple(p for acc in machines for p in roofline(acc, dtype)) if operation not in ("memory", "quantise") else ()
    )
    return KernelResult(operation, dtype, dict(sizes), rows, lines)


def _check(operation: str, sizes: dict[str, float]) -> None:
    wanted = _SIZES[operation]
    optional = {"groups", "v_dim", "kv_len", "q_len"}
    problems = [Problem(f"{operation} needs {name}", name) for name in wanted if name not in sizes]
    problems += [
        Problem(f"{operation} has no such size", name, value, ", ".join(wanted))
        for name, value in sizes.items()
        if name not in wanted and name not in optional
    ]
    problems += [Problem("a size of zero or less", k, v, "above zero") for k, v in sizes.items() if not v > 0]
    if problems:
        raise InputError(problems)


def _on(
    acc: Accelerator, operation: str, dtype: str, weight_dtype: str | None, kv_dtype: str | None, graph: bool, causal: bool,
    window: float | None, s: dict[str, float], band: Band,
) -> KernelOnChip:  # fmt: skip
    family, arithmetic = _FAMILY[operation], computed_in(dtype)
    cache = kv_dtype or dtype
    if operation == "gemm":
        time = matmul_time(acc, s["m"], s["n"], s["k"], arithmetic, s.get("groups", 1), weight_dtype or dtype, graph)
    elif operation == "grouped_gemm":
        time = grouped_matmul_time(
            acc, s["tokens_per_expert"], s["experts"], s["n"], s["k"], arithmetic, weight_dtype or dtype, graph
        )
    elif operation == "prefill":
        time = attention_prefill_time(
            acc, s["batch"], s["q_len"], s.get("kv_len", s["q_len"]), s["heads"], s["kv_heads"], s["head_dim"],
            s.get("v_dim", s["head_dim"]), causal, window, arithmetic, cache, graph,
        )  # fmt: skip
    elif operation == "decode":
        time = attention_decode_time(
            acc, s["batch"], s["kv_len"], s["heads"], s["kv_heads"], s["head_dim"], s.get("v_dim", s["head_dim"]), cache,
            False, window, arithmetic, s.get("q_len", 1), graph,
        )  # fmt: skip
    elif operation == "mla_decode":
        time = attention_decode_time(
            acc, s["batch"], s["kv_len"], s["heads"], 1, _LATENT + _ROPE, _LATENT, cache, True, window, arithmetic,
            s.get("q_len", 1), graph,
        )  # fmt: skip
    elif operation == "memory":
        time = memory_time(acc, s["bytes"], 1, graph)
    else:
        time = quantise_time(acc, s["elements"])
    flops, traffic = work(operation, dtype, weight_dtype, cache, causal, window, s)
    return _row(acc, acc.fit(family, arithmetic), float(time), flops, traffic, arithmetic, band)


def _row(
    acc: Accelerator, fit: FamilyFit, seconds: float, flops: float, traffic: float, dtype: str, band: Band
) -> KernelOnChip:
    peak = float(acc.peak(dtype)) if flops else math.nan
    bandwidth = float(acc.hbm_bytes_per_s)
    floor = getattr(fit.values, "floor", 0.0)
    shares = {
        "compute": flops / peak / seconds if flops else 0.0,
        "memory": traffic / bandwidth / seconds,
        "latency": floor / seconds,
    }
    low = math.hypot(min(fit.low, 0.0), math.log(band[1] / band[0]))
    high = math.hypot(max(fit.high, 0.0), math.log(band[2] / band[1]))
    return KernelOnChip(
        acc.id, acc.name, seconds, seconds * math.exp(-low), seconds * math.exp(high),
        max(shares, key=lambda k: shares[k]), flops, traffic, flops / seconds, traffic / seconds, shares["compute"],
        shares["memory"], fit.basis, fit.card,
    )  # fmt: skip


def work(
    operation: str, dtype: str, weight_dtype: str | None, cache: str, causal: bool, window: float | None, s: dict[str, float]
) -> tuple[float, float]:  # fmt: skip
    """Arithmetic and least traffic of an operation [FLOP, B]."""
    act, weight = stored_bytes(dtype), stored_bytes(weight_dtype or dtype)
    if operation in ("gemm", "grouped_gemm"):
        m, many = (s["m"], s.get("groups", 1.0)) if operation == "gemm" else (s["tokens_per_expert"], s["experts"])
        return 2.0 * many * m * s["n"] * s["k"], many * (
            act * m * s["k"] + weight * s["n"] * s["k"] + OUTPUT_BYTES * m * s["n"]
        )
    if operation == "memory":
        return 0.0, s["bytes"]
    if operation == "quantise":
        return 0.0, 3.0 * s["elements"]
    latent = operation == "mla_decode"
    dq = _LATENT + _ROPE if latent else s["head_dim"]
    dv = _LATENT if latent else s.get("v_dim", s["head_dim"])
    q = s["q_len"] if operation == "prefill" else s.get("q_len", 1.0)
    keys = min(s.get("kv_len", q), window or math.inf)
    pairs = q * keys - (q * (q - 1.0) / 2.0 if operation == "prefill" and causal and keys >= q else 0.0)
    kv_heads = 1.0 if latent else s["kv_heads"]
    stored = dq if latent else dq + dv
    traffic = s["batch"] * (keys * kv_heads * stored * stored_bytes(cache) + q * s["heads"] * (dq + dv) * OUTPUT_BYTES)
    return 2.0 * s["batch"] * s["heads"] * pairs * (dq + dv), traffic


def roofline(acc: Accelerator, dtype: str = "bf16", points: int = 41) -> list[RooflinePoint]:
    """The chip's roofline over arithmetic intensity from 1/4 to 4096 FLOP/B: by the peaks, and as fitted to products."""
    arithmetic = computed_in(dtype)
    fit = acc.fit("gemm", arithmetic).values
    peak, bandwidth = float(acc.peak(arithmetic)), float(acc.hbm_bytes_per_s)
    reached = min(fit.compute, fit.sustained)
    return [
        RooflinePoint(acc.id, float(x), min(peak, x * bandwidth), min(reached * peak, x * fit.memory * bandwidth))
        for x in np.logspace(-2, 12, points, base=2.0)
    ]
