"""``w2t validate``: predictions against published measurements."""

from __future__ import annotations

from typing import Any

import click

from wafer2token.cli.output import emit, emit_json, formats

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


@click.command(name="validate")
@click.argument("kind", type=click.Choice(["kernels", "train", "serve"]), required=False)
@click.option("--points", type=click.Path(), help="Your own measurements, in the format of docs/points.md.")
@click.option("--trace-run", type=click.Path(), help="Per-request measurements of one run (serve only).")
@click.option("--list-points", is_flag=True, help="Every point, not only the groups.")
@formats
def command(kind: str | None, points: str | None, trace_run: str | None, list_points: bool, fmt: str | None) -> None:
    """Hold predictions against published measurements, family by family, beside a constant-efficiency baseline.

    \b
      w2t validate kernels
      w2t validate train --points mine.yaml --json
    """
    from wafer2token.study.validate import validate

    results = validate(kind, points=points, trace_run=trace_run)
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


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {k: f"{v:.1%}" if isinstance(v, float) else v for k, v in row.items()}
