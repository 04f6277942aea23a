"""``validate``: each room that predicts holds its predictions against measurements."""

from __future__ import annotations

from importlib import import_module

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.validation import Validation

_ROOMS = {
    "kernels": "wafer2token.study.kernels",
    "train": "wafer2token.train.validate",
    "serve": "wafer2token.serve.validate",
}


def validate(kind: str | None = None, points: str | None = None, trace_run: str | None = None) -> list[Validation]:
    """Predictions against published measurements.

    Args:
        kind: "kernels", "train" or "serve"; None for all three.
        points: a file of the user's own measurements (needs ``kind``).
        trace_run: a file of per-request measurements of one run (``kind="serve"``).
    """
    if kind is None and (points or trace_run):
        raise InputError(
            Problem("own points need a kind", allowed=", ".join(_ROOMS), remedy="w2t validate train --points FILE")
        )
    if trace_run and kind != "serve":
        raise InputError(Problem("a trace run is a serving measurement", remedy="w2t validate serve --trace-run FILE"))
    if trace_run:
        return [import_module(_ROOMS["serve"]).validate_trace_run(trace_run)]
    return [import_module(_ROOMS[k]).validate(points) for k in ([kind] if kind else _ROOMS)]
