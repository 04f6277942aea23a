"""``validate serve``: predictions of published serving measurements, per source and by rung of the ladder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

from wafer2token.catalog import get
from wafer2token.evidence.errors import W2TError
from wafer2token.evidence.validation import Z80, Group, Point, Validation, summarise

from .points import RUNGS, Case, cases, read_points
from .predict import Predictor, roofline

THROUGHPUT = ("output_tok_s_per_device", "output_tok_s", "input_tok_s_per_device", "input_tok_s", "total_tok_s_per_device")
LATENCY = ("tpot_ms", "itl_ms", "step_ms", "tpot_p50_ms", "itl_p50_ms", "latency_ms")
FIRST = ("ttft_ms", "ttft_p50_ms")
FIRST_GROUP = "time to first token"


def scored(case: Case) -> list[tuple[str, str]]:
    """(metric, id suffix) to score of a case: the main one under the point's own id, others under id:metric.

    A static batch and an unsaturated prefill are scored on what was published; in a closed loop the time per token
    and the throughput both count, the time to first token apart.
    """
    have = case.measured
    rate = next((m for m in THROUGHPUT if m in have), None)
    late = next((m for m in LATENCY if m in have and not (m == "latency_ms" and rate and case.rate == float("inf"))), None)
    first = next((m for m in FIRST if m in have), None)
    if case.rate < float("inf") and late:
        rate = None  # an open loop below saturation passes its rate through
    if case.kind == "decode" and case.batch and rate and late:
        rate = None if "tpot_and_throughput_not_consistent" not in case.flags else rate
    main = late or rate or first
    if case.flags and "tpot_and_throughput_not_consistent" in case.flags:
        main, late = rate, None
    if case.kind == "decode" and not case.batch:
        main, late = rate, None
    out = [(m, "" if m == main else f":{m}") for m in (main, late, rate, first) if m]
    return list(dict.fromkeys(out))


def validate(
    points: str | Path | None = None, trace_run: str | Path | None = None, predictor: Predictor | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Validation:  # fmt: skip
    """Hold predictions against measurements.

    Args:
        points: a file in the published format; None for the shipped points.
        trace_run: a file of per-request measurements of one run; scored on the rung "timeline".
        predictor: with other engine parameters than the cards'.
    """
    if trace_run is not None:
        return validate_trace_run(trace_run)
    good, skipped = cases(read_points(points))
    made = list(predictions(good, predictor or Predictor(), progress))
    made += [Point(i, "not expressed", math.nan, skipped=reason, source=source) for i, source, reason in skipped]
    return Validation("serve", groups(made), tuple(made), NOTE)


def validate_trace_run(path: str | Path, calibration: str | Path | None = None) -> Validation:
    """A real run replayed request by request: its time to first token, time per token and end-to-end time.

    Groups: from the cards alone, with the user's ``calibration`` if one is given, and anchored to the run's first third.
    """
    from .timeline import validate_run

    found = tuple(validate_run(path, calibration=calibration))
    parts: list[Group] = []
    for group in dict.fromkeys(p.group for p in found):
        own = [p for p in found if p.group == group]
        parts += [summarise(group, own), *(summarise(p.tags[0], [p]) for p in own)]
    return Validation("serve", tuple(parts), found)


NOTE = ("errors of groups of several sources are medians per source, averaged over sources; the baseline is a roofline of "
        "bytes over memory bandwidth and arithmetic over peak")  # fmt: skip


def predictions(good: Sequence[Case], predictor: Predictor, progress: Callable[[str], None]) -> list[Point]:
    """One point per scored metric of each case."""
    out = []
    for case in good:
        try:
            place = predictor.place(case)
            values = predictor.predict(case)
            base = roofline(case, place, float(place.hbm_bytes))
        except W2TError as error:
            out.append(Point(case.id, case.rung, math.nan, skipped=str(error).splitlines()[0], source=case.source))
            continue
        wanted = scored(case)
        if not wanted:
            out.append(Point(case.id, case.rung, math.nan, skipped="no metric of this point is predicted", source=case.source))
        for metric, suffix in wanted:
            out.append(_point(case, metric, suffix, values, base))
        progress(case.source)
    return out


def _point(case: Case, metric: str, suffix: str, values: dict[str, float], base: dict[str, float]) -> Point:
    group = FIRST_GROUP if metric in FIRST and suffix else case.rung
    vendor = str(get("chip", case.chip).vendor)
    tags = (f"source {case.source}", *(("Ascend",) if vendor.startswith("Huawei") and group != FIRST_GROUP else ()))
    mid = values[metric]
    sigma = spread_of(group)
    return Point(
        case.id + suffix, group, case.measured[metric], mid, mid * math.exp(-Z80 * sigma), mid * math.exp(Z80 * sigma),
        "ms" if metric.endswith("_ms") else "token/s", 1.0 if case.grade in "AB" else 0.0, base.get(metric, math.nan), "",
        case.source, tags if not suffix or group != FIRST_GROUP else (), setting(case, metric),
    )  # fmt: skip


def setting(case: Case, metric: str) -> str:
    """What was measured where, but for the engine, its release and who measured it."""
    apart = ("id", "source", "grade", "stack", "shape", "measured", "flags", "num_requests")
    stated = [f"{k}={v}" for k, v in vars(case).items() if k not in apart]
    return " ".join([case.shape.id, metric, *stated])


def spread_of(group: str) -> float:
    """Standard deviation of ln(measured / predicted) on a rung, from the calibration."""
    card = get("calibration", "serve_spread")
    ratios: Any = card.ratios
    key = group.replace(" ", "_")
    return float(ratios[key] if key in ratios else ratios["closed_loop"])


def groups(points: Sequence[Point]) -> tuple[Group, ...]:
    """Rungs (per source, averaged), Ascend, the time to first token, and then each source."""
    order = [*RUNGS, FIRST_GROUP]
    out = [averaged("all", [p for p in points if p.group != FIRST_GROUP and p.group != "not expressed"])]
    out += [averaged(name, [p for p in points if p.group == name]) for name in order if any(p.group == name for p in points)]
    out += [averaged("Ascend", [p for p in points if "Ascend" in p.tags])] if any("Ascend" in p.tags for p in points) else []
    sources = dict.fromkeys(p.source for p in points)
    for source in sources:
        own = [p for p in points if p.source == source and p.group != FIRST_GROUP]
        out.append(summarise(f"source {source}", own))
    return tuple(out)


def averaged(name: str, points: Sequence[Point]) -> Group:
    """A group of several sources: each source's median error, then the mean over sources (grades A and B)."""
    whole = summarise(name, points)
    parts = []
    for source in dict.fromkeys(p.source for p in points):
        own = [p for p in points if p.source == source and not p.skipped and p.weight > 0]
        if own:
            base = [p.baseline_ape for p in own if not math.isnan(p.baseline)]
            parts.append((median([p.ape for p in own]), fmean([p.ape for p in own]), median(base) if base else math.nan))
    if not parts:
        return whole
    bases = [b for _, _, b in parts if not math.isnan(b)]
    return replace(whole, median_ape=fmean([m for m, _, _ in parts]), mean_ape=fmean([m for _, m, _ in parts]),
                   baseline_median_ape=fmean(bases) if bases else None)  # fmt: skip
