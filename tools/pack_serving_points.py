"""Pack published serving points (a YAML list) and the InferenceX sample (CSV) into the compact file that the room ships.

    python tools/pack_serving_points.py serving.yaml src/wafer2token/serve/data/points.json.gz [inferencex_sample.csv.gz]

The sample lists one measurement up to four times, read from several dumps; it is kept once, from the dump that describes
it best. Dumps before the data base leave out whether draft tokens were used: where the data base has the same system,
engine and format, rows that it does not confirm are of grade C (told, not scored).
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from wafer2token.serve.points import INFERENCEX

DROPPED = ("derived", "basis", "unreliable")
TOLD = ("eager", "device variant")
"""Words of notes that a prediction needs."""
SOURCE = "aic-silicon"
CLIENT = "InferenceX random"
DRAFTING = ("DeepSeek-R1", "DeepSeek-V3", "Qwen3.5")
PARTS = {"tp": "tp_size", "pp": "pp_size", "dp": "attention_dp_size", "moe_tp": "moe_tp_size", "moe_ep": "moe_ep_size"}


def packed(point: dict[str, Any]) -> dict[str, Any]:
    """The fields that a prediction or a reader of the table needs."""
    kept = {k: v for k, v in point.items() if k not in DROPPED and v not in (None, {}, [])}
    kept["source"] = {"key": point["source"]["key"]}
    if str(point.get("notes", "")).startswith(INFERENCEX):
        kept["workload"] = {**kept["workload"], "dataset": CLIENT}
    if not any(word in str(kept.get("notes", "")) for word in TOLD):
        kept.pop("notes", None)
    return kept


def measurement(row: Mapping[str, str]) -> tuple[Any, ...]:
    """What makes two rows one measurement."""
    return (row["system"], row["backend"], row["mode"], row["isl"], row["osl"], row["concurrency"] or row["batch_size"],
            round(float(row["silicon_ttft_ms"]), 1), round(float(row["silicon_tpot_ms"]), 3))  # fmt: skip


def dump(row: Mapping[str, str]) -> int:
    """How well the dump of a row describes it: the data base, a gap analysis, the dumps before."""
    told = row["silicon_data_source"]
    return 0 if told.startswith("db-dump") else 3 if "2026-04-06.csv" in told else 2 if "2026-03-25.csv" in told else 1


def series(row: Mapping[str, str]) -> tuple[str, ...]:
    """Rows that the data base would list together."""
    name = "deepseek" if "DeepSeek" in row["model_path"] else row["model_path"]
    return (name, row["system"], row["backend"], row["precision"], row["mode"])


def sample(path: Path, known: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], set[str]]:
    """(points of the rows that ``known`` does not hold, rows whose drafts are not told), each measurement once."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    named = {p["source"].get("table", "").removeprefix("row ") for p in known if p["source"]["key"] == SOURCE}
    based = {series(r) for r in rows if dump(r) == 0}
    confirmed = {measurement(r) for r in rows if dump(r) == 0}
    doubtful = {r["id"] for r in rows if any(m in r["model_path"] for m in DRAFTING) and series(r) in based and measurement(r) not in confirmed}
    taken = {measurement(r) for r in rows if r["id"] in named}
    out = []
    for row in sorted(rows, key=lambda r: (dump(r), r["id"])):
        told = row["mode"] == "agg" or row["decode_num_workers"]
        if row["id"] in named or measurement(row) in taken or not told or not (row["concurrency"] or row["batch_size"]):
            continue
        taken.add(measurement(row))
        out.append(_point(row, row["id"] in doubtful))
    return out, doubtful


def _point(row: Mapping[str, str], doubtful: bool) -> dict[str, Any]:
    """One row in the published format."""

    def split(prefix: str) -> dict[str, int]:
        return {k: int(row[prefix + v]) for k, v in PARTS.items() if row[prefix + v]}

    apart = row["mode"] == "disagg"
    parallel: dict[str, Any] = {"pd": True} if apart else split("")
    for pool in ("prefill", "decode") if apart else ():
        parallel[pool] = {"workers": int(row[f"{pool}_num_workers"]), **split(f"{pool}_")}
    told = f"source: {row['silicon_data_source']}"
    drawn = {"dataset": CLIENT} if told.startswith(INFERENCEX) else {}
    form = row["gemm_quant_mode"] or ("" if row["precision"] == "bf16" else row["precision"]) or "bf16"
    return {
        "id": f"{SOURCE}-{row['id']}", "source": {"key": SOURCE},
        "hardware": {"chip": row["chip"], "n_devices": int(row["n_devices"]), "device_unit": "GPU"},
        "model": {"name": row["model_path"].split("/")[-1], "family": row["family"], "weights": form},
        "engine": {"name": row["backend"], "version": row["backend_version"]}, "parallelism": parallel,
        "workload": {"input_len": int(row["isl"]), "output_len": int(row["osl"]), "concurrency": int(row["concurrency"] or row["batch_size"]), **drawn},
        "phase": "end-to-end",
        "measured": {"ttft_ms": round(float(row["silicon_ttft_ms"]), 2), "tpot_ms": round(float(row["silicon_tpot_ms"]), 4)},
        "grade": "C" if doubtful else "A", **({"flags": ["drafts_not_stated"]} if doubtful else {}),
    }  # fmt: skip


def main(source: str, target: str, rows: str | None = None) -> None:
    """Read, pack, write; the bytes depend on the points only."""
    points = yaml.load(Path(source).read_text("utf-8"), Loader=yaml.CSafeLoader)
    more: list[dict[str, Any]] = []
    if rows:
        more, doubtful = sample(Path(rows), points)
        for point in points:
            if point["source"].get("table", "").removeprefix("row ") in doubtful and point["source"]["key"] == SOURCE:
                point.update(grade="C", flags=[*point.get("flags", []), "drafts_not_stated"])
    text = json.dumps([*(packed(p) for p in points), *more], ensure_ascii=False, separators=(",", ":"))
    Path(target).write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(points)} points and {len(more)} of the sample, {Path(target).stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:4])
