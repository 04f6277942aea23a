"""What an error is made of: what is common to a source, what is left within it, and what measurements differ by themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median

from .validation import Point

FEWEST = 4
"""Points of a source under which its own bias is not told apart from its error."""


@dataclass(frozen=True)
class Part:
    """The error of one source within one group; all are fractions, ``bias`` is signed (positive: predicted too high).

    ``without_bias`` is the median error once the source's median ratio is divided out; None for a source of fewer than
    ``FEWEST`` points. Rows whose ``source`` is empty are means over the sources of the group.
    """

    group: str
    source: str
    n: int
    error: float
    bias: float | None
    without_bias: float | None


@dataclass(frozen=True)
class Repeats:
    """How far measurements of one stated setting lie apart.

    ``apart`` is the median of |ln(a / b)| over pairs, each setting counting once; ``floor`` is the median error of a
    predictor that knows the middle of each setting: no model of the stated settings does better on these points.
    """

    group: str
    settings: int
    n: int
    apart: float
    floor: float


def breakdown(points: Iterable[Point]) -> tuple[Part, ...]:
    """The error of every group of points: mean over its sources first, then the sources, the largest error first."""
    by: dict[str, dict[str, list[Point]]] = {}
    for point in points:
        if not point.skipped and point.weight > 0:
            by.setdefault(point.group, {}).setdefault(point.source or point.group, []).append(point)
    out: list[Part] = []
    for name, sources in by.items():
        parts = sorted((_part(name, source, own) for source, own in sources.items()), key=lambda p: -p.error)
        left = [p.without_bias for p in parts if p.without_bias is not None]
        mean = Part(name, "", sum(p.n for p in parts), fmean(p.error for p in parts), None, fmean(left) if left else None)
        out += [mean, *parts]
    return tuple(out)


def _part(name: str, source: str, points: Sequence[Point]) -> Part:
    ratios = [math.log(p.predicted / p.measured) for p in points]
    bias = median(ratios)
    left = median(abs(math.expm1(r - bias)) for r in ratios) if len(ratios) >= FEWEST else None
    return Part(name, source, len(points), median(p.ape for p in points), math.expm1(bias), left)


def repeats(points: Iterable[Point]) -> tuple[Repeats, ...]:
    """How far apart measurements of the same stated setting lie, group by group; groups without any are left out."""
    by: dict[str, dict[tuple[str, str], list[float]]] = {}
    for point in points:
        if not point.skipped and point.setting:
            by.setdefault(point.group, {}).setdefault((point.setting, point.unit), []).append(point.measured)
    out = []
    for name, settings in by.items():
        again = [[math.log(v) for v in values] for values in settings.values() if len(values) > 1]
        if not again:
            continue
        apart = median(median(abs(a - b) for a, b in combinations(values, 2)) for values in again)
        floor = median(abs(math.expm1(median(values) - v)) for values in again for v in values)
        out.append(Repeats(name, len(again), sum(map(len, again)), apart, floor))
    return tuple(out)
