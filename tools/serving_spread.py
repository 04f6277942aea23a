"""Measure the spread of serving predictions by rung, sources weighted equally, and write the card ``serve_spread``.

    python tools/serving_spread.py [serving.yaml]
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import numpy as np

from wafer2token.serve.validate import Z80, validate

ENGINES = Path(__file__).parents[1] / "src/wafer2token/catalog/data/calibration/engines.toml"


def sigma(errors: dict[str, list[float]]) -> float:
    """Deviation of a normal distribution whose 80% interval holds 80% of the points, sources weighted equally."""
    values = np.concatenate([np.abs(e) for e in errors.values()])
    weights = np.concatenate([np.full(len(e), 1.0 / len(e)) for e in errors.values()])
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, 0.8)]) / Z80


def main(points: str | None = None) -> None:
    """Validate, measure, write."""
    found: dict[str, dict[str, list[float]]] = {}
    for p in validate(points).points:
        if not p.skipped and p.weight > 0:
            found.setdefault(p.group, {}).setdefault(p.source, []).append(math.log(p.predicted / p.measured))
    text = ENGINES.read_text("utf-8")
    for rung, errors in found.items():
        value = sigma(errors)
        n = sum(len(e) for e in errors.values())
        key = rung.replace(" ", "_")
        line = f'{key} = {{ value = {value:.3f}, grade = "measured", source = ["w2t"], note = "{n} points of {len(errors)} sources" }}'
        text = re.sub(rf"(?m)^{key} = .*$", lambda _, new=line: new, text)
        print(f"{rung}: {value:.3f} ({n} points)")
    ENGINES.write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])
