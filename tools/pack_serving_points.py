"""Pack published serving points (a YAML list) into the compact file that the serving room ships.

    python tools/pack_serving_points.py serving.yaml src/wafer2token/serve/data/points.json.gz
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import yaml

DROPPED = ("derived", "basis", "unreliable")


def packed(point: dict[str, Any]) -> dict[str, Any]:
    """The fields that a prediction or a reader of the table needs."""
    kept = {k: v for k, v in point.items() if k not in DROPPED and v not in (None, {}, [])}
    kept["source"] = {"key": point["source"]["key"]}
    if "eager" not in str(kept.get("notes", "")):
        kept.pop("notes", None)
    return kept


def main(source: str, target: str) -> None:
    """Read, pack, write; the bytes depend on the points only."""
    points = yaml.load(Path(source).read_text("utf-8"), Loader=yaml.CSafeLoader)
    text = json.dumps([packed(p) for p in points], ensure_ascii=False, separators=(",", ":"))
    Path(target).write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(points)} points, {Path(target).stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:3])
