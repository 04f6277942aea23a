"""Writes the measured kernels and collectives that ship with the package, for `w2t validate kernels`.

    python tools/kernel_points.py FACTS [--aiconfigurator FOLDER]

FACTS is a folder with gemm.csv, attention.csv and collectives.csv (columns as in docs/points.md). Of the
aiconfigurator tables only rows go in that every fit held out, a few hundred per chip and family.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from wafer2token.chip.calibration.aiconfigurator import CHIPS, package_data, read
from wafer2token.chip.calibration.tables import KernelTable
from wafer2token.fabric.calibration import read_aiconfigurator

SRC = Path(__file__).parents[1] / "src" / "wafer2token"
GEMM = (
    "id",
    "chip",
    "dtype",
    "op",
    "groups",
    "m",
    "n",
    "k",
    "down_k",
    "copies",
    "latency_us",
    "tflops",
    "software",
    "grade",
    "quality_flag",
    "source",
    "licence",
)
ATTENTION = ("id", "chip", "kind", "phase", "dtype", "kv_dtype", "batch", "q_len", "kv_len", "heads_q", "heads_kv", "dim_qk", "dim_v",
             "causal", "window", "latency_us", "tflops", "software", "grade", "quality_flag", "source", "licence")  # fmt: skip
COLLECTIVES = ("id", "system", "op", "ranks", "nodes", "scope", "message_bytes", "latency_us", "busbw_GBps", "algbw_GBps", "library",
               "grade", "quality_flag", "source", "licence", "block_bytes")  # fmt: skip
PER_TABLE = {"gemm": 250, "grouped_gemm": 100, "attention_prefill": 120, "attention_decode": 120, "mla_decode": 60, "mla_prefill": 40,
             "attention_index": 40, "linear_prefill": 40, "linear_decode": 30}  # fmt: skip
NARROW = 50
"""Rows of a table whose cache or arithmetic has 8 bits."""
LEAST = 1000
"""Rows below which the table of a kernel that a stack uses beside its own is left out."""
KINDS = {"mla_decode": "mla", "mla_prefill": "mla", "attention_index": "sparse index", "linear_prefill": "delta rule", "linear_decode": "delta rule"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facts", type=Path)
    parser.add_argument("--aiconfigurator")
    given = parser.parse_args()
    folder = package_data(given.aiconfigurator)
    tables = list(read(folder, experts=True))
    write(SRC / "chip" / "data" / "gemm.csv.gz", GEMM, [*facts(given.facts / "gemm.csv"), *gemm_rows(tables), *expert_rows(tables)])
    write(
        SRC / "chip" / "data" / "attention.csv.gz",
        ATTENTION,
        [*facts(given.facts / "attention.csv"), *attention_rows(tables)],
    )
    write(
        SRC / "fabric" / "data" / "collectives.csv.gz",
        COLLECTIVES,
        [*facts(given.facts / "collectives.csv"), *collective_rows(folder)],
    )


def facts(file: Path) -> Iterable[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as handle:
        for i, row in enumerate(csv.DictReader(handle), 1):
            yield {**row, "id": f"{file.stem}-{i:04d}"}


def held_out(table: KernelTable) -> KernelTable:
    narrow = table.family.startswith("attention") and "fp8" in (table.dtype, table.kv_dtype)
    return table.halves()[1].thinned(min(PER_TABLE[table.family], NARROW) if narrow else PER_TABLE[table.family])


def origin(table: KernelTable) -> dict[str, str]:
    return {
        "chip": table.chip, "dtype": table.dtype, "software": f"{table.stack} {table.version}", "grade": "measured",
        "source": "aiconfigurator-core 0.12.0", "licence": "Apache-2.0",
    }  # fmt: skip


def gemm_rows(tables: Iterable[KernelTable]) -> Iterable[dict[str, str]]:
    for table in (t for t in tables if t.family == "gemm"):
        rows = held_out(table)
        for i in range(len(rows)):
            shape = {k: f"{rows.columns[k][i]:g}" for k in ("m", "n", "k", "copies")}
            yield {**origin(table), **shape, "id": f"aic-{table.chip}-{table.stack}-gemm-{table.dtype}-{i}", "op": "gemm",
                   "groups": "1", "latency_us": f"{rows.seconds[i] * 1e6:.5g}"}  # fmt: skip


def expert_rows(tables: Iterable[KernelTable]) -> Iterable[dict[str, str]]:
    names = {"m": "tokens_per_expert", "n": "n", "k": "k", "down_k": "down_k", "groups": "experts", "copies": "copies"}
    for table in (t for t in tables if t.family == "grouped_gemm"):
        rows = held_out(table)
        for i in range(len(rows)):
            shape = {theirs: f"{rows.columns[ours][i]:.6g}" for theirs, ours in names.items()}
            yield {**origin(table), **shape, "id": f"aic-{table.chip}-{table.stack}-experts-{table.dtype}-{i}",
                   "op": "fused_experts", "latency_us": f"{rows.seconds[i] * 1e6:.5g}"}  # fmt: skip


def attention_rows(tables: Iterable[KernelTable]) -> Iterable[dict[str, str]]:
    names = {"batch": "batch", "q_len": "q_len", "kv_len": "kv_len", "heads": "heads_q", "kv_heads": "heads_kv", "qk_dim": "dim_qk", "v_dim": "dim_v", "window": "window"}  # fmt: skip
    for table in (t for t in tables if t.family in PER_TABLE and "gemm" not in t.family):
        if table.stack in ("triton", "flashinfer") and len(table) < LEAST:
            continue
        rows = held_out(table)
        kind, phase = KINDS.get(table.family, "gqa"), "decode" if table.family.endswith("decode") else "prefill"
        formats = "-".join(f for f in (table.dtype, table.kv_dtype) if f)
        for i in range(len(rows)):
            c = {k: float(v[i]) for k, v in rows.columns.items()}
            if "ratio" in c:
                c["kv_len"] = np.ceil(c["kv_len"] / c["ratio"])
            c = {"kv_len": c["q_len"], "kv_heads": c["heads"] if kind == "delta rule" else 1.0, "v_dim": c["qk_dim"], **c}
            shape = {theirs: f"{c[ours]:g}" for ours, theirs in names.items() if ours in c}
            yield {**origin(table), **shape, "dtype": table.dtype or "bf16", "kv_dtype": table.kv_dtype, "kind": kind, "phase": phase,
                   "id": f"aic-{table.chip}-{table.stack}-{table.version}-{table.family}-{formats}-{i}",
                   "causal": str(phase == "prefill"), "latency_us": f"{rows.seconds[i] * 1e6:.5g}"}  # fmt: skip


def collective_rows(folder: Path) -> Iterable[dict[str, str]]:
    for table in read_aiconfigurator(folder, CHIPS):
        rows = table.halves()[1]
        for i in range(len(rows.bytes)):
            yield {
                "id": f"aic-{table.chip}-{rows.op[i]}-{rows.ranks[i]:g}-{rows.bytes[i]:g}", "system": table.chip, "op": str(rows.op[i]),
                "ranks": f"{rows.ranks[i]:g}", "nodes": "1", "scope": "scale-up", "message_bytes": f"{rows.bytes[i]:.0f}",
                "latency_us": f"{rows.seconds[i] * 1e6:.5g}", "library": table.version, "grade": "measured",
                "source": "aiconfigurator-core 0.12.0", "licence": "Apache-2.0",
            }  # fmt: skip


def write(file: Path, columns: Iterable[str], rows: Iterable[Mapping[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    print(file.name, text.getvalue().count("\n") - 1, "rows", file.stat().st_size, "bytes")


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
