"""``validate train``: predictions held against published measurements, group by group, beside a constant-rate baseline."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.validation import Z80, Point, Validation, group, weighted_median
from wafer2token.train.calibration import Calibrated
from wafer2token.train.points import TARGETS, CannotExpressError, Case, borrow_plans, read_cases
from wafer2token.train.predict import Prepared, prepare, seconds_of, software_of, step_seconds, to_metric
from wafer2token.workload import train_flops_per_token

FLAT_SPLIT = ("tp", "pp", "dp", "cp", "ep", "vpp", "recompute", "zero")
FLAT_MEASURED = (
    "tokens_per_s_per_device",
    "step_time_s",
    "tflops_per_device",
    "mfu",
    "hfu",
    "time_to_train_min",
    "total_gpu_hours",
)


@cache
def shipped() -> list[dict[str, Any]]:
    """The published points that come with the package."""
    raw = (resources.files("wafer2token.train") / "data" / "points.json.gz").read_bytes()
    records: list[dict[str, Any]] = json.loads(gzip.decompress(raw))
    return records


def read_points(path: str | Path) -> list[dict[str, Any]]:
    """Records of a file: YAML or JSON as in docs/points.md, or its flat CSV. Raises InputError."""
    file = Path(path)
    try:
        text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(f"cannot read: {error}", str(path), remedy="give a .yaml, .json, .json.gz or .csv of measurements")
        ) from None
    name = file.name.removesuffix(".gz")
    records = _parsed(text, name)
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise InputError(
            Problem("a list of records is needed", str(path), type(records).__name__, "see docs/points.md")
        )
    return records


def _parsed(text: str, name: str) -> Any:
    if name.endswith(".csv"):
        return [_unflatten(row) for row in csv.DictReader(text.splitlines())]
    if name.endswith(".json"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(Problem(f"broken JSON: {error.msg}", f"{name}:{error.lineno}:{error.colno}")) from None
    try:
        import yaml
    except ImportError:
        raise InputError(
            Problem(
                "reading YAML needs the extra 'facts'",
                name,
                remedy="pip install 'wafer2token[facts]', or give the same as JSON",
            )
        ) from None
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise InputError(Problem(f"broken YAML: {error}", name)) from None


def _unflatten(row: Mapping[str, str]) -> dict[str, Any]:
    """One line of the flat CSV as a record; dimensions it lacks come from the model's name."""

    def value(key: str) -> Any:
        text = (row.get(key) or "").strip()
        if not text:
            return None
        try:
            return float(text) if "." in text or "e" in text.lower() else int(text)
        except ValueError:
            return text

    pid = row.get("pid") or row.get("id") or "?"
    record: dict[str, Any] = {
        k: value(k)
        for k in ("grade", "kind", "target_metric", "weight", "precision", "seq_len", "global_batch", "micro_batch")
        if value(k) is not None
    }
    record |= {
        "id": pid,
        "family": row.get("family") or pid.split("-")[0],
        "source": {"title": row.get("source") or ""},
    }
    record["hardware"] = {"chip_key": row.get("chip"), "chip": row.get("chip"), "n_devices": value("n_devices")}
    record["model"] = {"name": row.get("model")}
    record["parallelism"] = {k: value(k) for k in FLAT_SPLIT if value(k) is not None}
    record["measured"] = {k: value(k) for k in FLAT_MEASURED if value(k) is not None}
    return record


def validate(points: str | Path | Sequence[Mapping[str, Any]] | None = None) -> Validation:
    """Predictions against measurements: the shipped points, or the user's own (a file, or records).

    The baseline is the weighted median of the FLOP rate that the shipped points reach per chip and precision.
    """
    own = shipped() if points is None else read_points(points) if isinstance(points, (str, Path)) else list(points)
    ready, refused = prepare_all(own)
    known = ready if points is None else prepare_all(shipped())[0]
    rates = constant_rates(known)
    scored = [score(p, software_of(p), rates) for p in ready]
    scored.sort(key=lambda p: ("pretraining" not in p.tags, p.group))
    note = (
        "Steady-state pre-training is the measure; full runs include restarts, ramps and evaluation. Intervals are 80%."
    )
    return Validation("train", group([*scored, *refused]), (*scored, *refused), note)


def prepare_all(records: Iterable[Mapping[str, Any]]) -> tuple[list[Prepared], list[Point]]:
    """Cases ready to be priced, and the refusals as skipped points."""
    cases, refused = read_cases(records, shipped())
    skipped = [Point(r.id, r.family.split("/")[0], r.measured, unit=r.unit, skipped=r.reason) for r in refused]
    pool = cases if records is shipped() else [*cases, *read_cases(shipped())[0]]
    ready = []
    for case in borrow_plans(cases, pool):
        try:
            ready.append(prepare(case))
        except CannotExpressError as why:
            skipped.append(
                Point(
                    case.id,
                    case.family.split("/")[0],
                    case.measured,
                    unit=TARGETS[case.target],
                    skipped=str(why),
                    source=case.source,
                )
            )
    return ready, skipped


def score(ready: Prepared, how: Calibrated, rates: Mapping[tuple[str, str], float]) -> Point:
    """One point with its prediction, its 80% interval and the baseline."""
    case = ready.case
    seconds = step_seconds(ready, how.software) * how.time
    middle = to_metric(ready, seconds)
    wide = math.exp(Z80 * how.spread)
    rate = rates.get((case.chip, case.precision)) or rates.get((case.chip, ""))
    base = to_metric(ready, model_flops(ready) / rate) if rate else math.nan
    return Point(
        case.id,
        case.family.split("/")[0],
        case.measured,
        middle,
        middle / wide,
        middle * wide,
        TARGETS[case.target],
        case.weight,
        base,
        source=case.source,
        tags=tags(ready),
        setting=setting(case),
    )


def setting(case: Case) -> str:
    """What was trained where, but for the framework, its release and who measured it; empty where no plan was stated."""
    if not case.stated:
        return ""
    told = [
        case.chip,
        case.devices,
        case.shape.id,
        case.seq_len,
        case.global_batch,
        case.precision,
        case.target,
        case.plan,
    ]
    return " ".join(str(x) for x in told)


def tags(ready: Prepared) -> tuple[str, ...]:
    """The groups a point counts in beside its source."""
    case = ready.case
    out = ["pretraining" if case.kind == "pretrain_steady_state" else case.kind, "MoE" if case.moe else "dense"]
    out += ["Ascend"] if case.chip.startswith("ascend") else []
    out += [">1000 devices"] if case.devices > 1000 else []
    return tuple(out)


def model_flops(ready: Prepared) -> float:
    """Model FLOPs of one step on one rank, causal attention."""
    return float(train_flops_per_token(ready.case.shape, ready.case.seq_len, "causal")) * ready.tokens / ready.ranks


def constant_rates(points: Sequence[Prepared]) -> dict[tuple[str, str], float]:
    """(chip, precision) -> FLOP/s per rank that the points reach; (chip, "") over all precisions."""
    reached: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for p in points:
        rate = model_flops(p) / seconds_of(p, p.case.measured)
        for key in ((p.case.chip, p.case.precision), (p.case.chip, "")):
            reached.setdefault(key, []).append((rate, p.case.weight))
    return {
        key: weighted_median([r for r, _ in pairs], [max(w, 1e-9) for _, w in pairs]) for key, pairs in reached.items()
    }
