"""Predictions against measurements: the error of a group of points, beside a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

Z80 = 1.2815515655446004
"""Standard normal quantile of 90%: half the width of an 80% interval in standard deviations."""


@dataclass(frozen=True)
class Point:
    """One measurement and its prediction, in ``unit``; ``skipped`` says why there is none.

    ``setting`` names everything that was stated about the measurement but who took it and with which release: points that
    share it measure the same thing.
    """

    id: str
    group: str
    measured: float
    predicted: float = math.nan
    p10: float = math.nan
    p90: float = math.nan
    unit: str = ""
    weight: float = 1.0
    baseline: float = math.nan
    skipped: str = ""
    source: str = ""
    tags: tuple[str, ...] = ()
    setting: str = ""

    @property
    def ape(self) -> float:
        """Absolute percentage error of the prediction, as a fraction of the measurement."""
        return abs(self.predicted / self.measured - 1)

    @property
    def baseline_ape(self) -> float:
        """The same of the baseline."""
        return abs(self.baseline / self.measured - 1)


@dataclass(frozen=True)
class Group:
    """How good the predictions of one group are; errors are fractions."""

    name: str
    n: int
    skipped: int
    median_ape: float | None
    weighted_median_ape: float | None
    mean_ape: float | None
    within_10: float | None
    within_20: float | None
    coverage_80: float | None
    baseline_median_ape: float | None


@dataclass(frozen=True)
class Validation:
    """The result of ``w2t validate``: groups, and every point that made them."""

    kind: str
    groups: tuple[Group, ...]
    points: tuple[Point, ...]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """``{"groups": [...], "points": [...], "skipped": [...]}`` with plain numbers."""
        return {
            "kind": self.kind,
            "groups": [asdict(g) for g in self.groups],
            "points": [
                {"id": p.id, "measured": p.measured, "predicted": p.predicted, "p10": _plain(p.p10), "p90": _plain(p.p90),
                 "unit": p.unit, "group": p.group, "weight": p.weight, "baseline": _plain(p.baseline)}
                for p in self.points
                if not p.skipped
            ],
            "skipped": [{"id": p.id, "group": p.group, "reason": p.skipped} for p in self.points if p.skipped],
            "note": self.note,
        }  # fmt: skip


def _plain(x: float) -> float | None:
    return None if math.isnan(x) else x


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """The value at which half of the weight lies below."""
    pairs = sorted(zip(values, weights, strict=True))
    half, seen = sum(weights) / 2, 0.0
    for value, weight in pairs:
        seen += weight
        if seen >= half:
            return value
    return pairs[-1][0]


def summarise(name: str, points: Iterable[Point]) -> Group:
    """The error statistics of some points as one group."""
    everything = list(points)
    scored = [p for p in everything if not p.skipped]
    skipped = len(everything) - len(scored)
    if not scored:
        return Group(name, 0, skipped, None, None, None, None, None, None, None)
    errors = [p.ape for p in scored]
    weights = [p.weight for p in scored]
    covered = [p.p10 <= p.measured <= p.p90 for p in scored if not math.isnan(p.p10)]
    base = [p.baseline_ape for p in scored if not math.isnan(p.baseline)]
    return Group(
        name,
        len(scored),
        skipped,
        median(errors),
        weighted_median(errors, weights) if sum(weights) > 0 else None,
        sum(errors) / len(errors),
        sum(e <= 0.10 for e in errors) / len(errors),
        sum(e <= 0.20 for e in errors) / len(errors),
        sum(covered) / len(covered) if covered else None,
        median(base) if base else None,
    )


def group(points: Sequence[Point], total: str = "all") -> tuple[Group, ...]:
    """One group per distinct ``Point.group`` and tag, in order of appearance, after the total."""
    names = list(dict.fromkeys(name for p in points for name in (p.group, *p.tags)))
    parts = [summarise(n, [p for p in points if p.group == n or n in p.tags]) for n in names]
    return (summarise(total, points), *parts)
