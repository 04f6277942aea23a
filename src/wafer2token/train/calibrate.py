"""Fitting the cards of kind `training`: one joint fit over all published points, per vendor, chip family, precision and stack.

Every parameter has a prior; what the points do not speak to stays there. No parameter belongs to a source: a source only
counts through the chip family, precision and stack that it shares with others, and the error that counts is the one on
sources that the fit has not seen (`leave_sources_out`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token.train.calibration import family_of, parent_of, planner, precision_class, vendor_of
from wafer2token.train.circumstances import circumstances, spread_of
from wafer2token.train.layer import Work
from wafer2token.train.plan import PlanTable, table
from wafer2token.train.predict import Prepared, calibrated_case, seconds_of, step_seconds
from wafer2token.train.step import Parts, Software, step_time
from wafer2token.train.wording import OVERLAPS

Array = npt.NDArray[np.float64]
SOFT = 0.05
# parameter -> (scope, prior mean, prior standard deviation), in the scale of its link: logarithms for multipliers and seconds, logits for shares
PRIORS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "kernel": (
        ("vendor", 0.1, 0.15),
        ("class", 0.0, 0.2),
        ("precision", 0.0, 0.1),
        ("stack", 0.0, 0.1),
        ("release", 0.0, 0.07),
    ),
    "attention": (("vendor", 0.25, 0.2), ("family", 0.0, 0.2), ("unfused", 0.1, 0.25)),
    "expert": (("vendor", 0.7, 0.3), ("class", 0.0, 0.2)),
    "vector": (("vendor", 0.2, 0.2), ("stack", 0.0, 0.15)),
    "scan": (("vendor", 0.0, 0.5),),
    "launch": (("vendor", -11.5, 0.5),),
    "per_micro_batch": (("vendor", -7.5, 0.35),),
    "per_step": (("vendor", -4.0, 0.7),),
    "straggling": (("vendor", -5.0, 0.7),),
    "tensor_hidden": (("stack", 0.0, 0.7), ("overlap", 0.7, 0.5)),
    "expert_hidden": (("vendor", 0.0, 0.7),),
    "data_hidden": (("stack", 1.5, 0.7),),
    "pipeline_hidden": (("stack", 1.0, 0.7),),
    "data_slowdown": (("stack", 0.1, 0.35),),
}
SHARES = ("tensor_hidden", "expert_hidden", "data_hidden", "pipeline_hidden")


@dataclass(frozen=True)
class Problem:
    """All points stacked: one row per point."""

    points: tuple[Prepared, ...]
    parts: Parts
    plans: PlanTable
    ranks: Array
    measured_s: Array
    weight: Array
    off: Array
    names: tuple[str, ...]
    mean: Array
    sd: Array
    design: dict[str, Array]


def fitted_points(ready: Sequence[Prepared]) -> list[Prepared]:
    """The points that the fit reads: steady pre-training whose plan is stated, or on one node with few to choose from.

    What a source itself calls a regression of its software is left out.
    """
    out = []
    for p in ready:
        steady = p.case.kind == "pretrain_steady_state" and "regression" not in p.case.features
        if steady and p.case.weight > 0 and not circumstances(p.case):
            out.append(p)
    return out


def scopes(point: Prepared) -> dict[str, str]:
    """The scope targets of a point."""
    family, kind = family_of(point.case.chip), precision_class(point.case.precision)
    out = {
        "vendor": vendor_of(point.place.vendor),
        "family": family,
        "class": kind,
        "precision": f"{family}.{kind}",
        "stack": parent_of(point.stack),
        "release": point.stack,
    }
    out |= {"overlap": "tensor"} if point.case.features & set(OVERLAPS) else {}
    return out | ({"unfused": point.stack} if not float(np.ravel(point.parts.fused)[0]) else {})


def problem(points: Sequence[Prepared]) -> Problem:
    """Stack the points and lay out the parameters."""
    names: dict[str, int] = {}
    priors: list[tuple[float, float]] = []
    cells: dict[str, list[tuple[int, int]]] = {p: [] for p in PRIORS}
    for row, point in enumerate(points):
        where = scopes(point)
        for parameter, layers in PRIORS.items():
            for scope, mean, sd in layers:
                if scope not in where:
                    continue
                name = f"{parameter}@{scope}:{where[scope]}"
                if name not in names:
                    names[name] = len(names)
                    priors.append((mean, sd))
                cells[parameter].append((row, names[name]))
    design = {}
    for parameter, pairs in cells.items():
        matrix = np.zeros((len(points), len(names)))
        for row, column in pairs:
            matrix[row, column] = 1.0
        design[parameter] = matrix
    mean, sd = np.array(priors).T
    off = np.array([any("overlap switched off" in f for f in p.case.features) for p in points])
    return Problem(
        tuple(points),
        stack_parts([p.parts for p in points]),
        table([p.plan for p in points]),
        np.array([p.ranks for p in points], float),
        np.array([seconds_of(p, p.case.measured) for p in points]),
        np.array([p.case.weight for p in points]),
        off,
        tuple(names),
        mean,
        sd,
        design,
    )


def stack_parts(parts: Sequence[Parts]) -> Parts:
    """Pieces of single plans as one table."""
    out: dict[str, Any] = {}
    for f in fields(Parts):
        values = [getattr(p, f.name) for p in parts]
        if isinstance(values[0], Work):
            out[f.name] = Work(*(np.concatenate([_one(getattr(v, g.name)) for v in values]) for g in fields(Work)))
        else:
            out[f.name] = np.concatenate([_one(v) for v in values])
    return Parts(**out)


def _one(value: Array | float) -> Array:
    return np.asarray(value, float).reshape(-1)[:1]


def software(task: Problem, theta: Array) -> Software:
    """The software of every point under parameters."""
    link = {p: task.design[p] @ theta for p in PRIORS}
    shares = {p: np.where(task.off, 0.0, 1 / (1 + np.exp(-link[p]))) for p in SHARES}
    kernel = np.exp(link["kernel"])
    return Software(
        compute=kernel,
        expert=kernel * np.exp(link["expert"]),
        attention=kernel * np.exp(link["attention"]),
        vector=np.exp(link["vector"]),
        scan=np.exp(link["scan"]),
        launch_s=np.exp(link["launch"]),
        tensor_hidden=shares["tensor_hidden"],
        context_hidden=np.where(task.off, 0.0, planner("context_hidden")),
        expert_hidden=shares["expert_hidden"],
        data_hidden=shares["data_hidden"],
        pipeline_hidden=shares["pipeline_hidden"],
        data_slowdown=np.exp(link["data_slowdown"]),
        micro_batch_s=np.exp(link["per_micro_batch"]),
        step_s=np.exp(link["per_step"]),
        straggling=np.exp(link["straggling"]),
    )


def predicted(task: Problem, theta: Array) -> Array:
    """Step seconds of every point."""
    return np.asarray(step_time(task.parts, task.plans, software(task, theta), task.ranks).total)


def fit(task: Problem, keep: Array | None = None, start: Array | None = None) -> Array:
    """Most probable parameters: soft-L1 residuals of ln(step time) by the points' weights, normal priors."""
    from scipy.optimize import least_squares

    keep = np.ones(len(task.points)) if keep is None else np.asarray(keep, float)
    weight = task.weight * keep
    weight = weight / max(weight.sum(), 1e-9) * keep.sum() / 2

    def residuals(theta: Array) -> Array:
        error = np.log(predicted(task, theta) / task.measured_s) / SOFT
        soft = np.sign(error) * np.sqrt(2 * (np.sqrt(1 + error**2) - 1))
        return np.concatenate([np.sqrt(weight) * soft, (theta - task.mean) / task.sd])

    return np.asarray(
        least_squares(
            residuals, task.mean if start is None else start, x_scale=task.sd, max_nfev=60, diff_step=1e-4, ftol=1e-6
        ).x
    )


def source_of(point: Prepared) -> str:
    """The source family of a point: the part of its family name before the slash."""
    return point.case.family.split("/")[0]


def leave_out(task: Problem, labels: Sequence[str]) -> Array:
    """ln(predicted / measured) of every point by a fit that has not seen the points of its label."""
    names, start = np.array(labels), fit(task)
    out = np.zeros(len(names))
    for name in dict.fromkeys(names):
        rows = names == name
        out[rows] = np.log(predicted(task, fit(task, ~rows, start)) / task.measured_s)[rows]
    return out


def leave_sources_out(task: Problem) -> Array:
    """`leave_out` by source: the error to expect of a source that was not fitted."""
    return leave_out(task, [source_of(p) for p in task.points])


def leave_families_out(task: Problem) -> Array:
    """`leave_out` by chip family: the error to expect of a chip family without measurements."""
    return leave_out(task, [scopes(p)["family"] for p in task.points])


def as_values(task: Problem, theta: Array) -> dict[tuple[str, str], dict[str, float]]:
    """(scope, target) -> parameter -> value in the card's own scale (multipliers, seconds, shares; odds for an overlap)."""
    out: dict[tuple[str, str], dict[str, float]] = {}
    for name, value in zip(task.names, theta, strict=True):
        parameter, place = name.split("@")
        scope, target = place.split(":")
        share = parameter in SHARES and scope != "overlap"
        plain = 1 / (1 + np.exp(-value)) if share else np.exp(value)
        where, field = {
            "unfused": (("release", target), "unfused_attention"),
            "overlap": ((scope, target), "tensor_overlap"),
        }.get(scope, ((scope, target), parameter))
        out.setdefault(where, {})[field] = float(plain)
    for (scope, _), values in out.items():
        if scope == "vendor":
            values["context_hidden"] = planner("context_hidden")
    return out


def log_errors(points: Sequence[Prepared]) -> tuple[Array, Array]:
    """ln(predicted / measured) seconds of points under the cards as they are, without their circumstances; their stated spreads."""
    hows = [calibrated_case(p) for p in points]
    seconds = np.array([step_seconds(p, how.software) for p, how in zip(points, hows, strict=True)])
    measured = np.array([seconds_of(p, p.case.measured) for p in points])
    return np.log(seconds / measured), np.array([how.spread for how in hows])


def cards(task: Problem, theta: Array, left_out: Array) -> list[dict[str, object]]:
    """The fitted cards as plain data; the spread of a family mixes its seen and unseen sources half and half."""
    error = np.log(predicted(task, theta) / task.measured_s)
    rows = [scopes(p) for p in task.points]
    out = []
    for (scope, target), values in sorted(as_values(task, theta).items()):
        mine = np.array([where.get(scope) == target for where in rows])
        sources = {source_of(p) for p, take in zip(task.points, mine, strict=True) if take}
        both = np.concatenate([error[mine], left_out[mine]])
        out.append(
            {
                "id": f"fit_{scope}_{target}".replace(".", "_"),
                "scope": scope,
                "target": target,
                "points": int(mine.sum()),
                "sources": len(sources),
                "error": float(np.median(np.abs(np.expm1(error[mine])))),
                "left_out": float(np.median(np.abs(np.expm1(left_out[mine])))),
                "spread": spread_of(both, np.concatenate([task.weight[mine]] * 2)),
                **values,
            }
        )
    return out


def unmeasured(rows: list[dict[str, object]], errors: Array, weight: Array) -> dict[str, object]:
    """The card for vendors and families without measurements: the means of the fitted vendors, and the spread between families."""
    vendors = [row for row in rows if row["scope"] == "vendor"]
    names = [k for k, v in vendors[0].items() if isinstance(v, float) and k not in ("error", "left_out", "spread")]
    means = {
        n: float(np.exp(np.mean([np.log(v) for row in vendors if isinstance(v := row.get(n), float)]))) for n in names
    }
    return {
        "id": "fit_vendor_any",
        "scope": "vendor",
        "target": "any",
        "points": len(errors),
        "sources": sum(int(str(row["sources"])) for row in vendors),
        "left_out": float(np.median(np.abs(np.expm1(errors)))),
        "spread": spread_of(errors, weight),
        **means,
    }


def to_toml(rows: list[dict[str, object]], as_of: str) -> str:
    """Cards as TOML; every number carries its grade and source."""
    lines = ["# Fitted by tools/calibrate_training.py on the published points of train/data; do not edit by hand."]
    for row in rows:
        lines += [
            "",
            "[[card]]",
            f'id = "{row["id"]}"',
            f'name = "Training, {row["scope"]} {row["target"]}: fitted"',
            f"as_of = {as_of}",
            'part = "fit"',
            f'scope = "{row["scope"]}"',
            f'target = "{row["target"]}"',
            f"points = {row['points']}",
            f"sources = {row['sources']}",
        ]
        for key, value in row.items():
            if isinstance(value, float):
                text = f'"{value:.4g} s"' if key in ("launch", "per_micro_batch", "per_step") else f"{value:.4g}"
                lines.append(f'{key} = {{ value = {text}, grade = "analyst", source = ["train_facts"] }}')
    return "\n".join(lines) + "\n"
