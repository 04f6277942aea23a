"""Packs the porting facts into the small tables that ship in ``wafer2token/stack/audit/data``.

    python tools/pack_audit_tables.py FACTS_FOLDER

FACTS_FOLDER holds op_support.csv, api_support.csv, npu_custom_ops.csv, mindspeed_patch_targets.csv,
vllm_ascend_patches.csv, release_lag.csv and
op_coverage_by_version.csv. The output is byte-for-byte reproducible.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

DATA = Path(__file__).parent.parent / "src" / "wafer2token" / "stack" / "audit" / "data"
CLASSES = {
    "native_aclnn": "n", "native_aclop": "l", "native_fw": "w", "native_via_out": "o", "foreach_loop": "f",
    "comp_implicit": "i", "comp_explicit": "e", "cpu_fallback": "C", "other_backend_only": "x", "": "-",
}  # fmt: skip


def write(name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    packed = gzip.compress(text.getvalue().encode(), 9, mtime=0)
    (DATA / name).write_bytes(packed)
    print(f"{name}: {len(packed):,} bytes")


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def pack_operators(folder: Path) -> None:
    rows = read(folder, "op_support.csv")
    wheels = [k for k in rows[0] if k[0].isdigit()]
    out = [
        (
            r["op"],
            r["cuda_kernel"],
            {"implicit": "i", "explicit": "e"}.get(r["composite"], ""),
            "".join(CLASSES[r[w]] for w in wheels),
            r["doc_A2"][:1],
            r["doc_950DT"][:1],
            r["doc_dtypes"],
            r["doc_cpu_fallback"],
        )
        for r in rows
    ]
    header = ["op", "cuda", "composite", "|".join(wheels), "A2", "950", "dtypes", "may_fall_back"]
    write("operators.csv.gz", header, out)


def pack_apis(folder: Path) -> None:
    rows = read(folder, "api_support.csv")
    out = [
        (r["api"], r["A2"][:1], r["A3"][:1], r["950DT"][:1], r["dtypes"], r["cpu_fallback"], "1" if r["restr"] else "")
        for r in sorted(rows, key=lambda r: r["api"])
    ]
    write("apis.csv.gz", ["api", "A2", "A3", "950", "dtypes", "may_fall_back", "restricted"], out)


def pack_fused(folder: Path) -> None:
    rows = read(folder, "npu_custom_ops.csv")
    out = [(r["op"], r["category"], r["first_seen"], r["first_date"], r["last_seen"], r["impl"]) for r in rows]
    write("fused.csv.gz", ["op", "category", "first_wheel", "first_date", "last_wheel", "implementation"], out)


def pack_patches(folder: Path) -> None:
    branches: dict[str, set[str]] = defaultdict(set)
    for row in read(folder, "mindspeed_patch_targets.csv"):
        branches[row["patched_symbol"]].add(row["mindspeed_branch"])
    out = [("MindSpeed", symbol, " ".join(sorted(found)), "") for symbol, found in sorted(branches.items())]
    seen: set[tuple[str, str]] = set()
    for row in read(folder, "vllm_ascend_patches.csv"):
        for symbol in re.findall(r"`([A-Za-z_][\w.]*\w)", row["target"]):
            if "." in symbol and (symbol, row["category"]) not in seen:
                seen.add((symbol, row["category"]))
                out.append(("vllm-ascend", symbol, "182b75ea84", row["category"]))
    write("patched.csv.gz", ["library", "symbol", "branches", "category"], out)


def pack_lags(folder: Path) -> None:
    rows = read(folder, "release_lag.csv")
    fields = [
        "project",
        "version",
        "upstream_date",
        "ascend_rc_date",
        "ascend_final_date",
        "lag_rc_days",
        "lag_final_days",
    ]
    write("lags.csv.gz", fields, [[r[f] for f in fields] for r in rows])


def pack_wheels(folder: Path) -> None:
    rows = read(folder, "op_coverage_by_version.csv")
    out = [(r["torch_npu"], r["date"], r["runs_on_npu_pct"], r["native_pct"], r["custom_npu_ops"]) for r in rows]
    write("wheels.csv.gz", ["wheel", "date", "runs_on_npu_pct", "native_pct", "custom_npu_ops"], out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("facts", type=Path)
    folder = parser.parse_args().facts
    for pack in (pack_operators, pack_apis, pack_fused, pack_patches, pack_lags, pack_wheels):
        pack(folder)


if __name__ == "__main__":
    main()
