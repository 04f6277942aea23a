"""``validate``: each room that predicts holds its predictions against measurements."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import yaml

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.validation import Validation

_ROOMS = {
    "kernels": "wafer2token.study.kernels",
    "train": "wafer2token.train.validate",
    "serve": "wafer2token.serve.validate",
}


def validate(
    kind: str | None = None, points: str | None = None, trace_run: str | None = None, calibration: str | None = None
) -> list[Validation]:
    """Predictions against published measurements.

    Args:
        kind: "kernels", "train" or "serve"; None for all three.
        points: a file of the user's own measurements (needs ``kind``).
        trace_run: a file of per-request measurements of one run (``kind="serve"``).
        calibration: engine card of another run by which that run is predicted as well.
    """
    if kind is None and (points or trace_run):
        raise InputError(
            Problem("own points need a kind", allowed=", ".join(_ROOMS), remedy="w2t validate train --points FILE")
        )
    for file in (points, trace_run):
        if file:
            check_file(Path(file))
    if calibration and not trace_run:
        raise InputError(Problem("a calibration is held against a trace run", remedy="w2t validate serve --trace-run FILE --calibration CARD"))
    if trace_run and kind != "serve":
        raise InputError(Problem("a trace run is a serving measurement", remedy="w2t validate serve --trace-run FILE"))
    if trace_run:
        return [import_module(_ROOMS["serve"]).validate_trace_run(trace_run, calibration)]
    return [import_module(_ROOMS[k]).validate(points) for k in ([kind] if kind else _ROOMS)]


def check_file(file: Path) -> None:
    """Refuses a file of measurements that is missing, empty or broken, before a room reads it.

    Raises:
        InputError: what is wrong with the file as such.
    """
    where = str(file)
    try:
        content = file.read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InputError(Problem(f"cannot read the points: {why}", where, remedy="docs/points.md has the formats")) from None
    if file.suffix == ".gz":
        return
    if not content.strip():
        raise InputError(Problem("the file of points is empty", where, remedy="docs/points.md has the formats"))
    try:
        text = content.decode("utf-8")
        if "\0" in text:
            raise InputError(Problem("not a text file", where, allowed="CSV, YAML or JSON in UTF-8"))
        if file.suffix == ".json":
            json.loads(text)
        elif file.suffix in (".yaml", ".yml"):
            for _ in yaml.parse(text, Loader=yaml.SafeLoader):
                pass
    except UnicodeDecodeError:
        raise InputError(Problem("not a text file", where, allowed="CSV, YAML or JSON in UTF-8")) from None
    except json.JSONDecodeError as error:
        raise InputError(Problem(f"broken JSON: {error.msg.lower()}", f"{where}:{error.lineno}:{error.colno}")) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise InputError(Problem(f"broken YAML: {getattr(error, 'problem', None) or 'cannot be parsed'}", place)) from None
