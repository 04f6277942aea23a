"""``w2t validate``: predictions against published measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from wafer2token.cli.output import emit, emit_json, formats

if TYPE_CHECKING:
    from wafer2token.evidence.validation import Validation

_COLUMNS = {
    "name": "group",
    "n": "n",
    "skipped": "skipped",
    "median_ape": "median err",
    "weighted_median_ape": "weighted",
    "within_10": "<=10%",
    "within_20": "<=20%",
    "coverage_80": "80% holds",
    "baseline_median_ape": "baseline",
}

_PARTS = {"group": "group", "source": "source", "n": "n", "error": "median err", "bias": "bias", "without_bias": "bias removed"}
_PARTS_NOTE = (
    "bias: median of predicted over measured, less one. bias removed: the median error once that one factor of the source is "
    "divided out: what its settings, release and definitions may explain is gone, what is left is the shape of the model and noise."
)
_REPEATS = {"group": "group", "settings": "settings", "n": "n", "apart": "pairs apart", "floor": "floor"}
_REPEATS_NOTE = (
    "settings that several sources, releases or dates measured. floor: the median error of a predictor that knows the middle of "
    "each of them; no model of what is stated does better on these points."
)


@click.command(name="validate")
@click.argument("kind", type=click.Choice(["kernels", "train", "serve"]), required=False)
@click.option("--points", type=click.Path(), help="Your own measurements, in the format of docs/points.md.")
@click.option("--trace-run", type=click.Path(), help="Per-request measurements of one run (serve only).")
@click.option("--calibration", type=click.Path(), help="With --trace-run: also predict it with this engine card of another run.")
@click.option("--list-points", is_flag=True, help="Every point, not only the groups.")
@click.option("--breakdown", is_flag=True, help="The error by source: its own bias, what is left, what repeats differ by.")
@formats
def command(
    kind: str | None, points: str | None, trace_run: str | None, calibration: str | None, list_points: bool, breakdown: bool,
    fmt: str | None,
) -> None:
    """Hold predictions against published measurements, family by family, beside a constant-efficiency baseline.

    \b
      w2t validate kernels
      w2t validate train --points mine.yaml --json
      w2t validate serve --breakdown
    """
    from wafer2token.study.validate import validate

    results = validate(kind, points=points, trace_run=trace_run, calibration=calibration)
    if breakdown:
        _broken_down(results, fmt)
        return
    if fmt == "json":
        documents = [r.to_dict() for r in results]
        emit_json(documents[0] if len(documents) == 1 else {d["kind"]: d for d in documents})
        return
    for result in results:
        if list_points:
            rows = [
                {**vars(p), "error": None if p.skipped else f"{p.predicted / p.measured - 1:+.1%}"}
                for p in result.points
            ]
            emit(
                rows,
                ["id", "group", "measured", "predicted", "p10", "p90", "unit", "error", "skipped"],
                result.kind,
                fmt,
            )
            continue
        rows = [_shown(vars(g)) if fmt != "csv" else vars(g) for g in result.groups]
        emit(rows, _COLUMNS, f"{result.kind}: absolute error of predictions", fmt, note=result.note)
        reasons: dict[str, int] = {}
        for point in result.points:
            if point.skipped:
                reasons[point.skipped] = reasons.get(point.skipped, 0) + 1
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:12]:
            click.echo(f"skipped {count}: {reason}", err=True)


def _broken_down(results: Sequence[Validation], fmt: str | None) -> None:
    from wafer2token.evidence.breakdown import breakdown, repeats

    made = {r.kind: (breakdown(r.points), repeats(r.points)) for r in results}
    if fmt == "json":
        emit_json({k: {"parts": list(map(vars, p)), "repeats": list(map(vars, a))} for k, (p, a) in made.items()})
        return
    for kind, (parts, again) in made.items():
        rows = [vars(p) for p in parts] if fmt == "csv" else [{**_shown(vars(p)), "source": p.source or "mean of sources"} for p in parts]
        emit(rows, _PARTS, f"{kind}: what the error is made of", fmt, note=_PARTS_NOTE)
        if again and fmt != "csv":
            emit([_shown(vars(a)) for a in again], _REPEATS, f"{kind}: the same setting measured again", fmt, note=_REPEATS_NOTE)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {k: f"{v:.1%}" if isinstance(v, float) else v for k, v in row.items()}
