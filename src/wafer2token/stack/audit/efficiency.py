"""What efficiency to expect after the move, now and six months later, from measured pairs on fixed chips."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from wafer2token.evidence.errors import EvidenceError
from wafer2token.stack.audit.model import Finding, rank

HORIZON_MONTHS = 6.0


@cache
def _document() -> dict[str, Any]:
    text = (files("wafer2token.stack.audit") / "data" / "efficiency.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    for entry in [document["reference"], *document["pair"]]:
        if not entry.get("grade") or not entry.get("sources"):
            raise EvidenceError(f"efficiency {entry.get('id', 'reference')}: no source or no grade")
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


def expected_efficiency(findings: Iterable[Finding] = ()) -> dict[str, Any]:
    """Throughput relative to a reference GPU: a mature dense workload, a workload class that is new to the stack, later.

    A code base that needs kernels or a fused operator starts like a new workload class (the two pairs that begin with
    one), not like the vendor's tuned table. Gains restart with each workload class and can be losses; the range over all
    pairs is given, not a fitted curve.
    """
    document = _document()
    reference = document["reference"]
    relative = [p for p in pairs() if p["kind"] == "relative"]
    gains = [p["gain"] for p in pairs()]
    kernels = sum(f.effort == "rewrite" and rank(f.severity) >= rank("high") for f in findings)
    start = [p["before"] for p in relative]
    later = [p["after"] for p in relative]
    mature = {"low": reference["low"], "p25": reference["p25"], "median": reference["median"],
              "p75": reference["p75"], "high": reference["high"], "n": reference["n"]}  # fmt: skip
    return {
        "unit": "throughput relative to a reference GPU",
        "starts_like": "a workload class new to the stack" if kernels else "a tuned dense workload",
        "now": {"low": min(start), "high": max(start), "n": len(start)} if kernels else mature,
        "in_six_months": {"low": min(later), "high": max(later), "n": len(later)} if kernels else mature,
        "software_gain_on_a_fixed_chip": {
            "low": min(gains), "p25": quantile(gains, 0.25), "median": quantile(gains, 0.5),
            "p75": quantile(gains, 0.75), "high": max(gains), "n": len(gains),
        },
        "horizon_months": HORIZON_MONTHS,
        "grade": min((p["grade"] for p in (relative if kernels else [reference])), key=lambda g: g != "press"),
        "sources": sorted({u for p in relative for u in p["sources"]} if kernels
                          else {document["sources"][s] for s in reference["sources"]}),
        "note": reference["what"] if not kernels else "Two press reports by one user with the vendor's engineers on site.",
    }  # fmt: skip
