"""Fitting engine cards to published runs: one set of parameters per engine and platform, never per source.

The objective is that of the score: the median error per source, averaged over sources, with a weak pull towards the
values that the card had. Whole sources can be held out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

import numpy as np

from wafer2token.catalog import get
from wafer2token.chip.fits import platform
from wafer2token.evidence.errors import W2TError

from .overhead import Overhead, overhead
from .points import Case, cases, read_points
from .predict import Predictor
from .validate import FIRST, scored

FITTED = {"request_s": (1e-4, 0.1), "hidden_s": (1e-7, 3e-5), "step_s": (1e-4, 3e-2), "sequence_s": (1e-7, 3e-4), "prefill_s": (1e-5, 1e-1), "device": (0.6, 1.6), "eager": (0.05, 2.0)}
PULL = 0.3
STIFF, LOOSE = 20.0, 0.2
"""How strongly the device factor, which speaks for all kernels, and the others are held to what the card had."""


@dataclass(frozen=True)
class EngineFit:
    """The fitted parameters of an engine on a platform, and the errors with and without them (median per source, mean)."""

    platform: str
    stack: str
    values: Mapping[str, float]
    sources: tuple[str, ...]
    points: int
    error: float
    error_before: float
    error_held_out: float | None
    spread: float


def pairs_of(found: Sequence[Case], predictor: Predictor) -> dict[str, list[float]]:
    """ln(predicted / measured) of the scored metrics by source, the time to first token of loads left out."""
    out: dict[str, list[float]] = {}
    for case in found:
        try:
            values = predictor.predict(case)
        except W2TError:
            continue
        for metric, suffix in scored(case):
            if metric in FIRST and suffix:
                continue
            out.setdefault(case.source, []).append(math.log(values[metric] / case.measured[metric]))
    return out


def score(errors: Mapping[str, Sequence[float]]) -> float:
    """Median absolute logarithmic error per source, averaged over sources."""
    return fmean(median(abs(e) for e in own) for own in errors.values()) if errors else math.nan


def thinned(found: Sequence[Case], most: int) -> list[Case]:
    """At most ``most`` cases of each source, evenly spread over its list."""
    out: list[Case] = []
    for source in dict.fromkeys(c.source for c in found):
        own = [c for c in found if c.source == source and c.grade in "AB"]
        if own:
            out += [own[i] for i in np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).astype(int))]
    return out


def fit_engine(
    kind: str, stack: str, found: Sequence[Case], most: int = 40, rounds: int = 2, hold_out: bool = True
) -> EngineFit:
    """Fit one engine card by coordinate search; the cases are those of this platform and stack."""
    chosen = thinned(found, most)
    start = overhead(chosen[0].chip, stack)
    values = {name: float(getattr(start, name)) for name in FITTED}
    free = [n for n in FITTED if n != "eager" or any(not c.plan.graph for c in chosen)]
    prior = dict(values)
    before = score(pairs_of(chosen, _with(start, stack, values)))
    best = _search(chosen, start, stack, values, prior, free, rounds)
    errors = pairs_of(chosen, _with(start, stack, best))
    sources = tuple(errors)
    held = _held_out(chosen, start, stack, prior, free) if hold_out and len(sources) > 1 else None
    residuals = np.concatenate([np.asarray(e) for e in errors.values()])
    spread = float(np.median(np.abs(residuals - np.median(residuals))) * 1.4826)
    return EngineFit(kind, stack, best, sources, len(chosen), score(errors), before, held, spread)


def _with(start: Overhead, stack: str, values: Mapping[str, float]) -> Predictor:
    given: dict[str, Any] = dict(values)
    return Predictor(overheads={("", stack): replace(start, **given)})


def _search(chosen: Sequence[Case], start: Overhead, stack: str, values: Mapping[str, float], prior: Mapping[str, float],
            free: Sequence[str], rounds: int) -> dict[str, float]:  # fmt: skip
    """Coordinate descent on the logarithms, steps halved each round."""
    best = dict(values)

    def cost(trial: Mapping[str, float]) -> float:
        pull = sum(math.log(trial[n] / prior[n]) ** 2 * (STIFF if n == "device" else LOOSE) for n in free)
        return score(pairs_of(chosen, _with(start, stack, trial))) + PULL * pull / len(free)

    least = cost(best)
    width = 1.0
    for _ in range(rounds):
        for name in free:
            low, high = FITTED[name]
            reach = width * (0.15 if name == "device" else 1.0)
            for factor in (math.exp(-reach), math.exp(-0.4 * reach), math.exp(0.4 * reach), math.exp(reach)):
                trial = {**best, name: min(max(best[name] * factor, low), high)}
                value = cost(trial)
                if value < least:
                    best, least = trial, value
        width *= 0.5
    return best


def _held_out(chosen: Sequence[Case], start: Overhead, stack: str, prior: Mapping[str, float], free: Sequence[str]) -> float:
    """Mean over sources of the error of each when the others were fitted."""
    out = []
    for source in dict.fromkeys(c.source for c in chosen):
        rest = [c for c in chosen if c.source != source]
        own = [c for c in chosen if c.source == source]
        values = _search(rest, start, stack, prior, prior, free, 1)
        out.append(score(pairs_of(own, _with(start, stack, values))))
    return fmean(x for x in out if not math.isnan(x))


def fit_all(points: Any = None, most: int = 40, only: Sequence[str] = (), hold_out: bool = True) -> list[EngineFit]:
    """Fit every engine of the points that has its own card."""
    good, _ = cases(read_points(points))
    by: dict[tuple[str, str], list[Case]] = {}
    for case in good:
        by.setdefault((platform(get("chip", case.chip).vendor), case.stack), []).append(case)
    return [fit_engine(kind, stack, own, most, hold_out=hold_out) for (kind, stack), own in by.items() if not only or stack in only]
