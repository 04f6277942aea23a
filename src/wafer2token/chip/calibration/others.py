"""Other measurement tables as kernel tables: Vidur profiles and Huawei msmodeling operator tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.tables import read_rows

Array = npt.NDArray[np.float64]

_VIDUR: dict[str, Callable[[Mapping[str, float]], tuple[float, float]]] = {
    "attn_pre_proj": lambda r: ((r["n_head"] + 2.0 * r["n_kv_head"]) / r["num_tensor_parallel_workers"] * (r["n_embd"] / r["n_head"]), r["n_embd"]),
    "attn_post_proj": lambda r: (r["n_embd"], r["n_embd"] / r["num_tensor_parallel_workers"]),
    "mlp_up_proj": lambda r: ((2.0 if r["use_gated_mlp"] else 1.0) * r["n_expanded_embd"] / r["num_tensor_parallel_workers"], r["n_embd"]),
    "mlp_down_proj": lambda r: (r["n_embd"], r["n_expanded_embd"] / r["num_tensor_parallel_workers"]),
}  # fmt: skip
"""Vidur's name of a product -> its columns and inner size, from the model's shape on the row."""
_SIZES = (
    "n_head",
    "n_kv_head",
    "n_embd",
    "n_expanded_embd",
    "num_tensor_parallel_workers",
    "use_gated_mlp",
    "num_tokens",
)


def read_vidur(path: Path, chip: str) -> KernelTable:
    """Matrix products of a Vidur ``mlp`` profile (CSV or parquet), medians in milliseconds.

    Raises:
        InputError: not such a profile.
    """
    rows = _records(path)
    m, n, k, seconds = [], [], [], []
    for row in rows:
        for name, shape in _VIDUR.items():
            time = row.get(f"time_stats.{name}.median")
            if time is None or time == "" or not float(time) > 0:
                continue
            sizes = {key: _number(row, key) for key in _SIZES}
            columns, inner = shape(sizes)
            m.append(sizes["num_tokens"])
            n.append(columns)
            k.append(inner)
            seconds.append(float(time) * 1e-3)
    if not seconds:
        raise InputError(Problem("no matrix products", str(path), remedy="give the mlp profile of Vidur"))
    shapes: Mapping[str, Array] = {"m": np.array(m), "n": np.array(n), "k": np.array(k)}
    return KernelTable(chip, "torch", "Vidur", "gemm", "bf16", shapes, np.array(seconds), "vidur")


_STREAMS: dict[str, Callable[[Mapping[str, float]], float]] = {
    "emb": lambda r: 2.0 * r["n_embd"],
    "input_layernorm": lambda r: 2.0 * r["n_embd"],
    "post_attention_layernorm": lambda r: 2.0 * r["n_embd"],
    "attn_rope": lambda r: 2.0 * (r["n_head"] + r["n_kv_head"]) / r["num_tensor_parallel_workers"] * (r["n_embd"] / r["n_head"]),
    "mlp_act": lambda r: (3.0 if r["use_gated_mlp"] else 2.0) * r["n_expanded_embd"] / r["num_tensor_parallel_workers"],
    "add": lambda r: 3.0 * r["n_embd"],
}  # fmt: skip
"""Vidur's name of a kernel that only moves bytes -> elements of 16 bits that it reads and writes per token."""


def read_vidur_streams(path: Path, chip: str) -> KernelTable | None:
    """Kernels of a Vidur ``mlp`` profile that only move bytes, as one table; None where it holds none."""
    moved, seconds = [], []
    for row in _records(path):
        for name, elements in _STREAMS.items():
            time = row.get(f"time_stats.{name}.median")
            if time is None or time == "" or not float(time) > 0:
                continue
            sizes = {k: _number(row, k) for k in _SIZES}
            moved.append(2.0 * sizes["num_tokens"] * elements(sizes))
            seconds.append(float(time) * 1e-3)
    if not seconds:
        return None
    return KernelTable(chip, "torch", "Vidur", "memory", "", {"bytes": np.array(moved)}, np.array(seconds), "vidur")


def _number(row: Mapping[str, Any], key: str) -> float:
    value = row.get(key, "")
    if str(value).lower() in ("true", "false"):
        return float(str(value).lower() == "true")
    return float(value) if value not in ("", None) else 0.0


def _records(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as parquet

        return list(parquet.read_table(path).to_pylist())
    return [dict(r) for r in read_rows(path)]


_MATMUL = {
    "MatMulV2": "bf16",
    "MatMulV3": "bf16",
    "MatMul": "bf16",
    "BatchMatMulV2": "bf16",
    "QuantBatchMatmulV3": "int8",
}
_DIE = "ascend_910c"


def read_msmodeling(folder: Path) -> Iterable[KernelTable]:
    """Operator tables of Huawei msmodeling (one CSV per operator: Input Shapes, Input Data Types, Duration(us)), of a 910C die.

    The repository keeps them as Git-LFS pointers: fetch them with ``git lfs pull`` first.

    Raises:
        InputError: no table, or LFS pointers instead of tables.
    """
    found: dict[str, list[tuple[float, float, float, float, float]]] = {}
    pointers = 0
    for file in sorted(folder.rglob("*.csv")):
        operator = next((op for op in _MATMUL if op.lower() in file.stem.lower()), None)
        if operator is None:
            continue
        if file.read_bytes()[:12] == b"version http":
            pointers += 1
            continue
        for row in read_rows(file):
            shape = _product(row)
            if shape is not None:
                found.setdefault(_MATMUL[operator], []).append(shape)
    if not found:
        what = "Git-LFS pointers instead of tables" if pointers else "no operator table"
        raise InputError(Problem(what, str(folder), remedy="run git lfs pull in the repository" if pointers else ""))
    for dtype, rows in found.items():
        groups, m, n, k, microseconds = (np.array(c) for c in zip(*rows, strict=True))
        columns = {"m": m, "n": n, "k": k, "groups": groups}
        yield KernelTable(
            _DIE, "cann", "msmodeling", "gemm", dtype, columns, microseconds * 1e-6, "msmodeling_tables", per="die"
        )


def _product(row: Mapping[str, str]) -> tuple[float, float, float, float, float] | None:
    shapes = [
        [float(x) for x in part.split(",") if x] for part in row.get("Input Shapes", "").strip('"').split(";")[:2]
    ]
    output = [float(x) for x in row.get("Output Shapes", "").strip('"').split(";")[0].split(",") if x]
    duration = row.get("Duration(us)") or row.get("Duration") or ""
    if len(shapes) < 2 or not all(len(s) >= 2 for s in shapes) or len(output) < 2 or not duration:
        return None
    m, n = output[-2], output[-1]
    groups = float(np.prod(output[:-2])) if len(output) > 2 else 1.0
    inner = shapes[0][-1] if shapes[0][-2] == m else shapes[0][-2]
    return groups, m, n, inner, float(duration)
