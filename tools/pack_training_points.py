"""Packs a collection of published training measurements (YAML) into src/wafer2token/train/data/points.json.gz.

usage: python tools/pack_training_points.py TRAINING.yaml
"""

import gzip
import json
import sys
from pathlib import Path

import yaml

KEEP = (
    "id",
    "family",
    "kind",
    "grade",
    "target_metric",
    "weight",
    "group",
    "precision",
    "precision_label",
    "seq_len",
    "global_batch",
    "micro_batch",
    "parallelism",
    "mfu_definition",
    "framework",
    "notes",
)
SOURCE = ("title", "url", "repo", "path", "section", "first_seen", "last_seen", "snapshot_date")
HARDWARE = ("chip_key", "chip", "devices_per_node", "scale_up", "scale_out", "n_devices")
MODEL = (
    "name",
    "layers",
    "hidden",
    "heads",
    "kv_heads",
    "ffn",
    "vocab",
    "swiglu",
    "experts",
    "top_k",
    "first_dense",
    "head_dim",
    "mla",
    "moe_ffn",
    "shared_experts",
    "sliding_window",
    "params_b",
)
MEASURED = (
    "tokens_per_s_per_device",
    "step_time_s",
    "tflops_per_device",
    "mfu",
    "samples_per_s_total",
    "total_gpu_hours",
    "time_to_train_min",
    "total_tokens_t",
    "peak_memory_gib",
    "peak_reserved_gib",
)


def part(record: dict, name: str, keys: tuple[str, ...]) -> dict:
    return {k: v for k, v in (record.get(name) or {}).items() if k in keys and v is not None}


def pack(record: dict) -> dict:
    out = {k: record[k] for k in KEEP if record.get(k) is not None}
    return out | {
        "source": part(record, "source", SOURCE),
        "hardware": part(record, "hardware", HARDWARE),
        "model": part(record, "model", MODEL),
        "measured": part(record, "measured", MEASURED),
    }


def main() -> None:
    records = yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8"))
    target = Path(__file__).parents[1] / "src/wafer2token/train/data/points.json.gz"
    target.parent.mkdir(exist_ok=True)
    text = json.dumps([pack(r) for r in records], separators=(",", ":"), default=str).encode()
    target.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{len(records)} records, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
