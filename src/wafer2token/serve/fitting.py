"""Fitting engine cards to published runs: factors of a stack, shrunk towards those that all stacks of a platform share.

The figures are taken apart once (``decompose``), so that one evaluation over all of them takes milliseconds. A parameter
of a stack is the platform's value times the stack's own factor; the logarithm of that factor is held to zero (a ridge),
so that a stack with few or contradictory series stays near the platform. Losses are robust (soft L1). No parameter
belongs to a source, a model or a chip; what is held out (sources, models, chips) tells how strong the ridge should be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decompose import NAMES, Figure, seconds

F = NDArray[np.float64]
PRIOR = {"compute": 1.0, "experts": 1.0, "attention": 1.0, "communication": 1.0, "prefill": 1.0,
         "step_s": 1.5e-3, "sequence_s": 6e-6, "prefill_s": 2e-3, "hidden_s": 1.2e-6}  # fmt: skip
WIDTH = {"compute": 0.15, "experts": 0.2, "attention": 0.2, "communication": 0.3, "prefill": 0.15,
         "step_s": 0.7, "sequence_s": 0.7, "prefill_s": 0.7, "hidden_s": 0.4}  # fmt: skip
"""Where factors and times of the host are expected, and how far (deviation of the logarithm) a platform may lie off."""
STACK_SHARE = 0.5
"""How far a stack may lie off its platform, as a share of the same."""
SOFT = 0.15


@dataclass(frozen=True)
class Fit:
    """Parameters [NAMES] of the platform and of each stack, and the strength of the ridge they were found with."""

    common: F
    stacks: dict[str, F]
    strength: float

    def of(self, stack: str) -> F:
        """Parameters of a stack; the platform's for one that was not fitted."""
        return self.stacks.get(stack, self.common)


@dataclass(frozen=True)
class Table:
    """Figures as arrays [n, ...]."""

    terms: F
    share: F
    start: F
    error: F
    sign: F
    weight: F
    stack: NDArray[np.int64]
    names: tuple[str, ...]

    @classmethod
    def of(cls, figures: Sequence[Figure]) -> Table:
        """Stacked figures."""
        names = tuple(sorted({f.case.stack for f in figures}))
        columns: dict[str, Any] = {k: np.array([getattr(f, k) for f in figures]) for k in ("terms", "share", "start", "error", "sign", "weight")}
        return cls(**columns, stack=np.array([names.index(f.case.stack) for f in figures]), names=names)

    def errors(self, values: F) -> F:
        """ln(predicted / measured) [n] with parameters [n, NAMES]."""
        moved = np.log(seconds(self.terms, self.share, values) / seconds(self.terms, self.share, self.start))
        return np.asarray(self.error + self.sign * moved)


def fit(figures: Sequence[Figure], strength: float = 1.0) -> Fit:
    """Parameters of the platform and its stacks for the figures; ``strength`` multiplies the ridge."""
    from scipy.optimize import least_squares

    table = Table.of(figures)
    prior = np.log([PRIOR[n] for n in NAMES])
    width = np.array([WIDTH[n] for n in NAMES])
    k, s = len(NAMES), len(table.names)
    root = np.sqrt(table.weight)

    def values(x: F) -> F:
        own = x.reshape(s + 1, k)
        return np.asarray(np.exp(prior + width * (own[0] + STACK_SHARE * own[1:])))

    def loss(x: F) -> F:
        z = table.errors(values(x)[table.stack]) / SOFT
        soft = np.sqrt(2.0 * (np.sqrt(1.0 + z * z) - 1.0))
        return np.concatenate([root * soft, np.sqrt(strength * 0.1) * x])

    found = least_squares(loss, np.zeros((s + 1) * k), method="trf", max_nfev=60)
    every = values(found.x)
    common = np.exp(prior + width * found.x[:k])
    return Fit(common, dict(zip(table.names, every, strict=True)), strength)


def errors(figures: Sequence[Figure], found: Fit) -> F:
    """ln(predicted / measured) [n] of figures with fitted parameters."""
    table = Table.of(figures)
    return table.errors(np.array([found.of(f.case.stack) for f in figures]))


def score(figures: Sequence[Figure], off: F) -> float:
    """Median relative error per source, averaged over sources."""
    by: dict[str, list[float]] = {}
    for figure, value in zip(figures, off, strict=True):
        by.setdefault(figure.case.source, []).append(float(abs(np.expm1(value))))
    return float(np.mean([np.median(v) for v in by.values()]))


GROUPS: dict[str, Callable[[Figure], str]] = {
    "source": lambda f: f.case.source,
    "model family": lambda f: family(f),
    "chip": lambda f: f.case.chip,
}


def family(figure: Figure) -> str:
    """Models that share an architecture: the first words of the card's id."""
    return "_".join(figure.case.shape.id.split("_")[:2])


def held_out(figures: Sequence[Figure], by: str, strength: float = 1.0) -> tuple[F, list[str]]:
    """(errors [n] of every figure with the parameters fitted without its group, the groups)."""
    key = GROUPS[by]
    groups = sorted({key(f) for f in figures})
    out = np.zeros(len(figures))
    for group in groups:
        own = np.array([key(f) == group for f in figures])
        rest = [f for f, mine in zip(figures, own, strict=True) if not mine]
        out[own] = errors([f for f, mine in zip(figures, own, strict=True) if mine], fit(rest, strength))
    return out, groups


def best_strength(figures: Sequence[Figure], tried: Sequence[float] = (0.1, 0.3, 1.0, 3.0, 10.0)) -> dict[float, float]:
    """Error with sources, model families and chips held out in turn (their mean), by the strength of the ridge."""
    return {s: float(np.mean([score(figures, held_out(figures, by, s)[0]) for by in GROUPS])) for s in tried}


def without(figures: Sequence[Figure], source: str) -> list[Figure]:
    """Figures but those of a source, weights as they were."""
    return [replace(f) for f in figures if f.case.source != source]
