"""Fits the cards of kind `training` on the shipped points and writes catalog/data/training/fitted.toml.

usage: PYTHONPATH=src python tools/calibrate_training.py [--dry]

Prints the error by group, and each source's own bias and what is left once it is taken away, as fitted and with the
source left out.
"""

import sys
from datetime import date
from pathlib import Path

import numpy as np

from wafer2token.evidence.validation import weighted_median
from wafer2token.train.calibrate import (
    cards,
    fit,
    fitted_points,
    leave_families_out,
    leave_out,
    leave_sources_out,
    log_errors,
    predicted,
    problem,
    source_of,
    to_toml,
    unmeasured,
)
from wafer2token.train.circumstances import fit_circumstances, weighted_middle
from wafer2token.train.validate import prepare_all, shipped, tags

TARGET = Path(__file__).parents[1] / "src/wafer2token/catalog/data/training/fitted.toml"
GROUPS = ("pretraining", "dense", "MoE", "Ascend", ">1000 devices")


def print_groups(points, weight, columns) -> None:
    print(f"{'weighted median error':22s} {'n':>4s} " + " ".join(f"{name:>13s}" for name in columns))
    for name in GROUPS:
        rows = np.array([name in tags(p) for p in points])
        errors = [weighted_median(list(np.abs(np.expm1(e[rows]))), list(weight[rows])) for e in columns.values()]
        print(f"{name:22s} {rows.sum():4d} " + " ".join(f"{e:13.1%}" for e in errors))


def print_sources(points, weight, columns) -> None:
    names = np.array([source_of(p) for p in points])
    print(f"\n{'source':22s} {'n':>4s} {'weight':>6s} " + " ".join(f"{f'bias, rest {c}':>22s}" for c in columns))
    for name in sorted(dict.fromkeys(names), key=lambda n: -weight[names == n].sum()):
        rows = names == name
        cells = []
        for errors in columns.values():
            bias = weighted_middle(errors[rows], weight[rows])
            rest = weighted_median(list(np.abs(np.expm1(errors[rows] - bias))), list(weight[rows]))
            cells.append(f"{np.expm1(bias):+11.1%} {rest:10.1%}")
        print(f"{name:22s} {rows.sum():4d} {weight[rows].sum():6.1f} " + " ".join(cells))


def main() -> None:
    ready, _ = prepare_all(shipped())
    points = fitted_points(ready)
    task = problem(points)
    theta = fit(task)
    outside, chips = leave_sources_out(task), leave_families_out(task)
    columns = {
        "seen": np.log(predicted(task, theta) / task.measured_s),
        "family out": leave_out(task, [p.case.family for p in points]),
        "source out": outside,
        "chips out": chips,
    }
    print_groups(points, task.weight, columns)
    print_sources(points, task.weight, {name: columns[name] for name in ("seen", "source out")})
    if "--dry" in sys.argv:
        return
    rows = cards(task, theta, outside)
    rows.append(unmeasured(rows, chips, task.weight))
    TARGET.write_text(to_toml(rows, date.today().isoformat()), encoding="utf-8")
    others = [p for p in ready if p not in points]
    errors, spreads = log_errors(others)
    weight = np.array([max(p.case.weight, 1e-3) for p in others])
    rows += fit_circumstances([p.case for p in others], errors, spreads, weight)
    TARGET.write_text(to_toml(rows, date.today().isoformat()), encoding="utf-8")
    print(f"\n{len(task.names)} parameters from {len(points)} points in {TARGET.name}")


if __name__ == "__main__":
    main()
