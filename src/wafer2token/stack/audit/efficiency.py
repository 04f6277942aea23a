"""What efficiency to expect after the move, now and six months later, from the room's progress curves."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from wafer2token.evidence.errors import EvidenceError, InputError
from wafer2token.evidence.number import GRADES
from wafer2token.stack.audit.model import Finding, rank

HORIZON_MONTHS = 6.0
MONTH = 365.25 * 86400.0 / 12.0
PLATFORM = "cann"
SAMPLES = 2000
_TUNED = "dense_training"


@cache
def _document() -> dict[str, Any]:
    text = (files("wafer2token.stack.audit") / "data" / "efficiency.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    for entry in document["pair"]:
        if not entry.get("grade") or not entry.get("sources"):
            raise EvidenceError(f"efficiency {entry.get('id')}: no source or no grade")
    return document


def pairs(workload: str | None = None) -> list[dict[str, Any]]:
    """The measured pairs, each with ``gain`` = after / before and the urls of its sources."""
    document = _document()
    return [
        {**p, "gain": p["after"] / p["before"], "sources": [document["sources"][s] for s in p["sources"]]}
        for p in document["pair"]
        if workload is None or p["workload"] == workload
    ]


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile of values, linear between order statistics."""
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def expected_efficiency(findings: Iterable[Finding] = (), chip: str = "ascend_910c") -> dict[str, Any]:
    """The efficiency to expect on the target, relative to mature software, now and after six months.

    From the progress curves of this room (``wafer2token.stack.progress``). Code that needs new kernels starts where each
    class of workload starts; ``now`` and ``in_six_months`` then span the medians of the classes, and ``by_workload`` holds
    the 80% range of each. Other code meets tuned software and starts where dense training ends up. What software gained on
    fixed chips comes from the measured pairs; gains can be losses. ``measured`` lists the kernel families of the chip.

    Args:
        findings: of the audit; rewrites of high severity and above ask for kernels.
        chip: id of the target; one that the catalogue lacks has no measured families.
    """
    from wafer2token.stack.curve import WORKLOADS

    kernels = any(f.effort == "rewrite" and rank(f.severity) >= rank("high") for f in findings)
    curves = {w: _forecast(w) for w in WORKLOADS}
    tuned = curves[_TUNED]["mature"]
    gains = [p["gain"] for p in pairs()]
    grades, sources = _evidence(WORKLOADS if kernels else (_TUNED,))
    return {
        "unit": "share of what mature software reaches on the chip",
        "starts_like": "a workload class new to the stack" if kernels else "a tuned dense workload",
        "now": _across(curves, "now") if kernels else tuned,
        "in_six_months": _across(curves, "in_six_months") if kernels else tuned,
        "by_workload": curves,
        "software_gain_on_a_fixed_chip": {
            "low": min(gains), "p25": quantile(gains, 0.25), "median": quantile(gains, 0.5),
            "p75": quantile(gains, 0.75), "high": max(gains), "n": len(gains),
        },
        "measured": _measured(chip),
        "horizon_months": HORIZON_MONTHS,
        "grade": max(grades, key=GRADES.index),
        "sources": sources,
        "note": "The curve starts again with each class of workload and each generation of chips.",
    }  # fmt: skip


def _forecast(workload: str) -> dict[str, dict[str, float]]:
    """10%, 50% and 90% quantiles of a class's share of the mature efficiency: on the first day, after six months, at last."""
    from wafer2token.stack.curve import progress, saturating

    curve = progress(PLATFORM, workload, SAMPLES)
    later = saturating(HORIZON_MONTHS * MONTH, curve.start, curve.final, curve.tau)
    return {"now": _spread(curve.start), "in_six_months": _spread(later), "mature": _spread(curve.final)}


def _spread(values: Any) -> dict[str, float]:
    import numpy as np

    low, median, high = (float(q) for q in np.quantile(values, (0.1, 0.5, 0.9)))
    return {"low": low, "median": median, "high": high}


def _across(curves: dict[str, dict[str, dict[str, float]]], when: str) -> dict[str, float]:
    medians = [curve[when]["median"] for curve in curves.values()]
    return {"low": min(medians), "high": max(medians), "n": len(medians)}


def _evidence(workloads: Iterable[str]) -> tuple[list[str], list[str]]:
    """The grades of the numbers behind the curves, and their sources as addresses or titles."""
    from wafer2token.catalog import get
    from wafer2token.stack.curve import progress_card

    cards = [progress_card(PLATFORM, w) for w in workloads]
    numbers = [n for c in cards for n in (c.ratios["start"], c.ratios["final"], c.times["tau"])]
    ids = sorted({s for n in numbers for s in n.sources} | {s for p in pairs() for s in p["sources"]})
    known = {s for n in numbers for s in n.sources}
    named = [_named(get("source", s)) if s in known else s for s in ids]
    return [n.grade for n in numbers], named


def _named(source: Any) -> str:
    return source.url or ": ".join(t for t in (source.name, source.locator) if t)


def _measured(chip: str) -> list[dict[str, Any]]:
    from wafer2token.stack.curve import efficiency

    try:
        rows = efficiency(chip)
    except InputError:
        return []
    return [
        {"family": r.family, "dtype": r.dtype, "stack": r.stack, "compute": r.compute, "memory": r.memory,
         "low": r.low, "high": r.high, "points": r.points, "basis": r.basis, "card": r.card}
        for r in rows
    ]  # fmt: skip
