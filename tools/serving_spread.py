"""Measure the spread of serving predictions by rung, a source weighted as the root of its points, and write the card ``serve_spread``.

    python tools/serving_spread.py [serving.yaml]

Each figure counts with its error in the table as it is, and where engines were fitted to it also with its error when its
source, its model family or its chip was held out: an interval speaks of points that nobody has seen. It holds at most
nine in ten of the points as they are.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import numpy as np

from wafer2token.catalog import get
from wafer2token.chip.fits import platform
from wafer2token.evidence.validation import Z80
from wafer2token.serve.decompose import figures
from wafer2token.serve.fitting import GROUPS, fit, held_out
from wafer2token.serve.points import cases, read_points
from wafer2token.serve.predict import Predictor
from wafer2token.serve.validate import validate

ENGINES = Path(__file__).parents[1] / "src/wafer2token/catalog/data/calibration/engines.toml"


MOST, FEW = 0.9, 10


def sigma(errors: dict[str, list[float]], part: float = 0.8) -> float:
    """Deviation of a normal distribution whose 80% interval holds ``part`` of the points, a source weighted as the root of its points."""
    values = np.concatenate([np.abs(e) for e in errors.values()])
    weights = np.concatenate([np.full(len(e), 1.0 / np.sqrt(len(e))) for e in errors.values()])
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, part)]) / Z80


def unseen(points: str | None) -> dict[str, dict[str, list[float]]]:
    """ln(predicted / measured) by rung and source, with what the figure stands for left out of the fit."""
    good, _ = cases(read_points(points))
    found = figures([c for c in good if platform(get("chip", c.chip).vendor) == "cuda"], Predictor())
    best = fit(found)
    out: dict[str, dict[str, list[float]]] = {}
    for by in GROUPS:
        for figure, error in zip(found, held_out(found, by, near=best), strict=True):
            out.setdefault(figure.case.rung, {}).setdefault(figure.case.source, []).append(float(error))
    return out


def main(points: str | None = None) -> None:
    """Validate, measure, write."""
    found: dict[str, dict[str, list[float]]] = {}
    for p in validate(points).points:
        if not p.skipped and p.weight > 0:
            found.setdefault(p.group, {}).setdefault(p.source, []).append(math.log(p.predicted / p.measured))
    most = {rung: sigma(errors, MOST) for rung, errors in found.items() if sum(map(len, errors.values())) >= FEW}
    for rung, errors in unseen(points).items():
        for source, values in errors.items():
            found.setdefault(rung, {}).setdefault(source, []).extend(values)
    text = ENGINES.read_text("utf-8")
    for rung, errors in found.items():
        value = min(sigma(errors), most.get(rung, np.inf))
        n = sum(len(e) for e in errors.values())
        key = rung.replace(" ", "_")
        line = f'{key} = {{ value = {value:.3f}, grade = "measured", source = ["w2t"], note = "{n} errors of points of {len(errors)} sources, as they are and held out" }}'
        text = re.sub(rf"(?m)^{key} = .*$", lambda _, new=line: new, text)
        print(f"{rung}: {value:.3f} ({n} points)")
    ENGINES.write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])
