"""Fits the cards of kind `training` on the shipped points and writes catalog/data/training/fitted.toml.

usage: PYTHONPATH=src python tools/calibrate_training.py [--dry]
"""

import sys
from datetime import date
from pathlib import Path

import numpy as np

from wafer2token.evidence.validation import weighted_median
from wafer2token.train.calibrate import (
    cards,
    fit,
    leave_families_out,
    leave_sources_out,
    predicted,
    problem,
    to_toml,
    unmeasured,
)
from wafer2token.train.validate import prepare_all, shipped, tags


def main() -> None:
    ready, _ = prepare_all(shipped())
    points = [
        p
        for p in ready
        if p.case.kind == "pretrain_steady_state"
        and p.case.weight > 0
        and p.case.plan is not None
        and "borrowed" not in p.case.stated
    ]
    task = problem(points)
    theta = fit(task)
    inside = np.log(predicted(task, theta) / task.measured_s)
    outside = leave_sources_out(task)
    for name in ("pretraining", "dense", "MoE", "Ascend", ">1000 devices"):
        rows = np.array([name in tags(p) for p in points])
        errors = [weighted_median(list(np.abs(np.expm1(e[rows]))), list(task.weight[rows])) for e in (inside, outside)]
        print(
            f"{name:14s} n={rows.sum():4d}  weighted median error: seen {errors[0]:.1%}, source left out {errors[1]:.1%}"
        )
    if "--dry" not in sys.argv:
        target = Path(__file__).parents[1] / "src/wafer2token/catalog/data/training/fitted.toml"
        rows = cards(task, theta, outside)
        rows.append(unmeasured(rows, leave_families_out(task), task.weight))
        print(f"families left out: spread {rows[-1]['spread']:.2f}")
        target.write_text(to_toml(rows, date.today().isoformat()), encoding="utf-8")
        print(f"{len(task.names)} parameters from {len(points)} points in {target.name}")


if __name__ == "__main__":
    main()
