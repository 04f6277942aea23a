"""Measured kernels of a table of points, one by one: what each row is, or why the model cannot express it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from wafer2token.catalog import get
from wafer2token.chip.calibration.aiconfigurator import weight_copies
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.chip.machine import accelerator
from wafer2token.evidence.errors import EvidenceError, InputError

_PRODUCTS = {"gemm": "gemm", "quant_gemm": "gemm", "w8a16_gemm": "gemm", "w4a16_gemm": "gemm", "batched_gemm": "gemm",
             "fused_experts": "grouped_gemm", "grouped_gemm": "grouped_gemm", "grouped_gemm_masked": "grouped_gemm", "grouped_gemm_contiguous": "grouped_gemm"}  # fmt: skip
_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "fp8_block": "fp8", "bf16/fp16": "bf16", "fp16/bf16": "bf16",
           "bf16 (fp8 kv)": "bf16", "nvfp4": "fp4", "e4m3": "fp8", "float32": "fp32"}  # fmt: skip
_WEIGHT_ONLY = {"w8a16": ("fp16", "int8"), "w4a16": ("fp16", "int4_g128")}
_SOFTWARE = (("trt", "trtllm"), ("vllm", "vllm"), ("sglang", "sglang"), ("deepgemm", "deepgemm"), ("flashinfer", "flashinfer"),
             ("flashmla", "flashmla"), ("flashattention-3", "fa3"), ("fa3", "fa3"), ("flashattention-2", "fa2"), ("fa2", "fa2"),
             ("triton", "triton"), ("cudnn", "cudnn"), ("catlass", "cann"), ("torch_npu", "cann"), ("cann", "cann"), ("ascendc", "cann"), ("tilelang", "cann"),
             ("awq", "cann"), ("simumax", "torch"), ("pytorch", "torch"), ("torch", "torch"), ("hip", "rocm"), ("rocm", "rocm"))  # fmt: skip
_OTHER_KINDS = {("delta rule", False): "linear_prefill", ("delta rule", True): "linear_decode", ("sparse index", False): "attention_index", ("sparse index", True): "attention_index"}  # fmt: skip
"""Kind and whether it decodes -> the family of what stands beside attention in some models."""
_NOT_MEASURED = ("derived", "capped_at_10x_roofline", "capped_or_derived_10x_roofline")


@dataclass(frozen=True)
class Row:
    """One measured kernel, or the reason why it cannot be predicted (``skipped``).

    ``columns`` are sizes by argument name; ``flag`` is what the table says against the point.
    """

    id: str
    chip: str = ""
    per: str = "chip"
    stack: str = ""
    family: str = ""
    dtype: str = ""
    weight_dtype: str = ""
    kv_dtype: str = ""
    causal: bool = True
    direction: str = "forward"
    columns: Mapping[str, float] | None = None
    seconds: float = math.nan
    flag: str = ""
    source: str = ""
    skipped: str = ""


def rows_of(table: Iterable[Mapping[str, str]], name: str = "row") -> list[Row]:
    """Every row of a gemm or attention table (columns as in docs/points.md), in order."""
    return [_row(raw, f"{name}-{i:04d}") for i, raw in enumerate(table, 1)]


def _row(raw: Mapping[str, str], default_id: str) -> Row:
    identity = raw.get("id") or default_id
    source = raw.get("source", "")
    if raw.get("grade") in ("derived", "estimate") or raw.get("quality_flag") in _NOT_MEASURED:
        return Row(identity, source=source, skipped="derived from a roofline or estimated, not measured")
    chip, per = resolve_chip(raw.get("chip", ""))
    if not chip:
        return Row(identity, source=source, skipped=f"no chip card for {raw.get('chip', '')!r}")
    try:
        row = _attention(raw) if raw.get("phase") or "heads_q" in raw else _product(raw)
        if not row.skipped:
            accelerator(chip).peak(row.dtype)
    except InputError as error:
        return Row(identity, chip=chip, source=source, skipped=error.problems[0].what)
    except EvidenceError as error:
        return Row(identity, chip=chip, source=source, skipped=str(error))
    except ValueError as error:
        return Row(identity, chip=chip, source=source, skipped=f"not a number: {error}")
    stack = _stack(raw)
    flag = raw.get("quality_flag", "")
    return Row(
        identity, chip, per, stack, row.family, row.dtype, row.weight_dtype, row.kv_dtype, row.causal, row.direction,
        row.columns, row.seconds, "" if flag.startswith("m_is_mean_rows") else flag, source, row.skipped,
    )  # fmt: skip


def _product(raw: Mapping[str, str]) -> Row:
    op = raw.get("op") or "gemm"
    if op not in _PRODUCTS:
        return Row(
            "", skipped=f"{op} is a rate, not the time of a shape" if "gemm" in op else f"unknown operation {op!r}"
        )
    if not all(raw.get(c) for c in ("m", "n", "k")):
        return Row("", skipped="no shape: m, n and k are needed")
    m, n, k, groups = float(raw["m"]), float(raw["n"]), float(raw["k"]), float(raw.get("groups") or 1)
    if min(m, n, k, groups) <= 0:
        return Row("", skipped="a size of zero or less")
    dtype, weight = _formats(raw.get("dtype", ""))
    seconds = _seconds(raw, 2.0 * m * n * k * groups)
    if math.isnan(seconds):
        return Row("", skipped="no latency_us and no tflops")
    cycled = _copies(raw, dtype, n * k)
    if _PRODUCTS[op] == "grouped_gemm":
        columns = {"tokens_per_expert": m, "experts": groups, "n": n, "k": k} | cycled
        if op == "fused_experts":
            columns["down_k"] = float(raw.get("down_k") or 0)
            if min(columns["down_k"], columns.get("copies", 0.0)) < 1:
                return Row("", skipped="fused experts need down_k and copies")
        return Row("", family="grouped_gemm", dtype=dtype, weight_dtype=weight, columns=columns, seconds=seconds)
    columns = {"m": m, "n": n, "k": k, "groups": groups} | cycled
    return Row("", family="gemm", dtype=dtype, weight_dtype=weight, columns=columns, seconds=seconds)


def _copies(raw: Mapping[str, str], dtype: str, elements: float) -> dict[str, float]:
    """Copies of the weights that the benchmark cycled through: as the row says, or as the known collectors do."""
    if raw.get("copies"):
        return {"copies": float(raw["copies"])}
    chip = resolve_chip(raw.get("chip", ""))[0]
    stack = _stack(raw)
    if "aiconfigurator" in raw.get("source", "").lower() and chip and stack:
        return {"copies": float(weight_copies(chip, stack, dtype, np.array([elements]))[0])}
    return {}


def _stack(raw: Mapping[str, str]) -> str:
    return next((s for word, s in _SOFTWARE if word in raw.get("software", "").lower()), "")


def _attention(raw: Mapping[str, str]) -> Row:
    phase, kind = raw.get("phase", ""), raw.get("kind", "")
    direction = "forward" if "bwd" not in phase else "both" if "fwd" in phase else "backward"
    names = {"batch": "batch", "q_len": "q_len", "kv_len": "kv_len", "heads": "heads_q", "kv_heads": "heads_kv", "qk_dim": "dim_qk", "v_dim": "dim_v"}  # fmt: skip
    missing = [theirs for theirs in names.values() if not raw.get(theirs)]
    if missing:
        return Row("", skipped=f"no shape: {', '.join(missing)} missing")
    columns = {ours: float(raw[theirs]) for ours, theirs in names.items()}
    columns["kv_heads"] = columns["kv_heads"] or columns["heads"]
    if min(columns.values()) <= 0:
        return Row("", skipped="a size of zero or less")
    if raw.get("window"):
        columns["window"] = float(raw["window"])
    causal = raw.get("causal", "").lower() not in ("false", "0", "no", "")
    wide = columns["kv_heads"] == 1 and columns["qk_dim"] > 2 * 128 and columns["qk_dim"] > columns["v_dim"]
    latent = "mla" in kind or wide
    decode = "decode" in phase
    family = _OTHER_KINDS.get((kind, decode)) or ("mla_" if latent else "attention_") + (
        "decode" if decode or wide else "prefill"
    )
    dtype, _ = _formats(raw.get("dtype", ""))
    cache = raw.get("kv_dtype", "")
    seconds = _seconds(raw, _attention_flops(columns, causal, direction))
    if math.isnan(seconds):
        return Row("", skipped="no latency_us and no tflops")
    return Row(
        "", family=family, dtype=dtype, kv_dtype=_formats(cache)[0] if cache else "", causal=causal, direction=direction,
        columns=columns, seconds=seconds,
    )  # fmt: skip


def _attention_flops(c: Mapping[str, float], causal: bool, direction: str) -> float:
    pairs = c["q_len"] * c["kv_len"] - (c["q_len"] * (c["q_len"] - 1) / 2.0 if causal else 0.0)
    times = {"forward": 1.0, "backward": 2.5, "both": 3.5}[direction]
    return times * 2.0 * c["batch"] * c["heads"] * pairs * (c["qk_dim"] + c["v_dim"])


def _seconds(raw: Mapping[str, str], flops: float) -> float:
    if raw.get("latency_us"):
        return float(raw["latency_us"]) * 1e-6
    if raw.get("tflops"):
        full = raw.get("quality_flag") == "flop_convention_full_causal"
        return (2.0 if full else 1.0) * flops / (float(raw["tflops"]) * 1e12)
    return math.nan


def _formats(name: str) -> tuple[str, str]:
    low = name.lower()
    return _WEIGHT_ONLY.get(low, (_DTYPES.get(low, low), ""))


@cache
def resolve_chip(name: str) -> tuple[str, str]:
    """Chip id and "chip" or "die" of a measured device's name; an empty id when no card speaks of it."""
    per = "die" if re.search(r"\bdies?\b", name) and "package" not in name else "chip"
    bare = re.sub(r"\(.*?\)", " ", name)
    for candidate in (
        name,
        bare,
        re.sub(r"\b(die|dies|package|SXM\d?|x\d+)\b.*", " ", bare),
        *re.findall(r"\((.*?)\)", name),
    ):
        try:
            chip = get("chip", candidate.strip())
        except InputError:
            continue
        two = chip.compute_dies is not None and float(chip.compute_dies) > 1
        return chip.id, per if two else "chip"
    return "", per


def as_tables(rows: Iterable[Row], flagged: bool = False, source: str = "") -> list[KernelTable]:
    """The forward rows grouped as tables for fitting; flagged rows stay out unless asked for."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.skipped or row.columns is None or (row.flag and not flagged) or row.direction != "forward":
            continue
        key = (
            row.chip,
            row.per,
            row.stack or "torch",
            row.family,
            row.dtype,
            row.weight_dtype,
            row.kv_dtype,
            str(row.causal),
        )
        groups.setdefault((*key, source or row.source, *sorted(set(row.columns) & {"copies", "down_k"})), []).append(row)
    out = []
    for (chip, per, stack, family, dtype, weight, cache_dtype, causal, origin, *_), members in groups.items():
        names = sorted({c for r in members for c in r.columns or ()})
        columns = {c: np.array([float((r.columns or {}).get(c, 0.0)) for r in members]) for c in names}
        out.append(KernelTable(
            chip, stack, "", family, dtype, columns, np.array([r.seconds for r in members]), origin, per, weight,
            cache_dtype, causal == "True",
        ))  # fmt: skip
    return out
