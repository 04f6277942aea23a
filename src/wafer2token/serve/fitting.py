"""Fitting engine cards to published runs: factors of a stack, shrunk towards those that all stacks of a platform share.

The figures are taken apart once (``decompose``), so that one evaluation over all of them takes milliseconds. A parameter
of a stack is the platform's value times the stack's own factor; the logarithm of that factor is held to zero (a ridge),
so that a stack with few or contradictory series stays near the platform. Losses are robust (soft L1). No parameter
belongs to a source, a model or a chip; what is held out (sources, models, chips) tells how strong the ridge should be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decompose import NAMES, Figure, seconds
from .overhead import generation

F = NDArray[np.float64]
PRIOR = {"compute": 1.0, "experts": 1.0, "attention": 1.0, "communication": 0.5, "prefill": 1.0,
         "step_s": 1.5e-3, "sequence_s": 6e-6, "prefill_s": 2e-3, "hidden_s": 1.2e-6}  # fmt: skip
WIDTH = {"compute": 0.15, "experts": 0.2, "attention": 0.2, "communication": 0.2, "prefill": 0.15,
         "step_s": 0.7, "sequence_s": 0.7, "prefill_s": 0.7, "hidden_s": 0.4}  # fmt: skip
"""Where factors and times of the host are expected, and how far (deviation of the logarithm) a platform may lie off."""
OTHERS = {"cann": {"communication": (1.0, 0.2), "step_s": (5e-3, 0.7), "sequence_s": (1e-4, 1.0)}}
"""(where, how far) of platforms that differ: engines on Ascend call the vendor's collectives, and their hosts are slower."""
STACK_SHARE = 1.0
"""How far a stack may lie off its platform, as a share of the same: half of it costs 4 to 8 points of error held out."""
GENERATION = np.array([1.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0])
"""How far a generation of chips may lie off: its kernels and links, not what the host does."""
TOGETHER = np.array([1.0, 1.0, 0.5, 0.5, 0.0, 0.5, 0.0, 0.0, 0.5])
"""How far a stack may lie off on one generation: an engine's own kernels and its later releases."""
REFERENCE = {"cuda": "cuda_fp8", "cann": "cann_fp16"}
"""The generation of a platform that the parameters of stacks speak of; others are told beside it."""
SOFT = 0.3
"""Deviation of the logarithm from which on a figure counts less and less (Cauchy loss)."""
RIDGE = 0.1
"""Weight of a parameter at one width from where it is expected, beside that of a series of figures."""


@dataclass(frozen=True)
class Fit:
    """Parameters [NAMES] of the platform and of each stack; factors [NAMES] of generations of chips and of stacks on them."""

    common: F
    stacks: dict[str, F]
    generations: dict[str, F]
    together: dict[tuple[str, str], F]
    strength: float

    def of(self, stack: str, kind: str) -> F:
        """Parameters of a stack on a generation; what they share for those that were not fitted."""
        one = np.ones(len(NAMES))
        return self.stacks.get(stack, self.common) * self.generations.get(kind, one) * self.together.get((stack, kind), one)


@dataclass(frozen=True)
class Table:
    """Figures as arrays [n, ...]; ``stack``, ``kind`` and ``pair`` [n] are places in ``names``, ``kinds`` and ``pairs``."""

    terms: F
    share: F
    start: F
    error: F
    sign: F
    weight: F
    stack: NDArray[np.int64]
    kind: NDArray[np.int64]
    pair: NDArray[np.int64]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, figures: Sequence[Figure]) -> Table:
        """Stacked figures."""
        names, kinds = (tuple(sorted({key(f) for f in figures})) for key in (_stack, _kind))
        columns: dict[str, Any] = {k: np.array([getattr(f, k) for f in figures]) for k in ("terms", "share", "start", "error", "sign", "weight")}
        both = [(_stack(f), _kind(f)) for f in figures]
        pairs = tuple(sorted(set(both)))
        places = {"stack": np.array([names.index(s) for s, _ in both]), "kind": np.array([kinds.index(k) for _, k in both]),
                  "pair": np.array([pairs.index(b) for b in both])}  # fmt: skip
        return cls(**columns, **places, names=names, kinds=kinds, pairs=pairs)

    def errors(self, values: F) -> F:
        """ln(predicted / measured) [n] with parameters [n, NAMES]."""
        moved = np.log(seconds(self.terms, self.share, values) / seconds(self.terms, self.share, self.start))
        return np.asarray(self.error + self.sign * moved)


def _stack(figure: Figure) -> str:
    return figure.case.stack


def _kind(figure: Figure) -> str:
    return generation(figure.case.chip)


def fit(figures: Sequence[Figure], strength: float = 0.3, near: Fit | None = None) -> Fit:
    """Parameters of the platform, its stacks and its generations for the figures.

    Args:
        strength: multiplies the ridge.
        near: a fit to nearly the same figures, to begin with (a few steps then suffice).
    """
    from scipy.optimize import least_squares

    table = Table.of(figures)
    maker = table.kinds[0].split("_")[0]
    expected = {n: OTHERS.get(maker, {}).get(n, (PRIOR[n], WIDTH[n])) for n in NAMES}
    prior, width = np.log([expected[n][0] for n in NAMES]), np.array([expected[n][1] for n in NAMES])
    k, s, g, p = len(NAMES), len(table.names), len(table.kinds), len(table.pairs)
    root = np.sqrt(table.weight)
    others = np.array([[kind not in REFERENCE.values()] for kind in table.kinds], float)
    apart = np.array([[kind not in REFERENCE.values()] for _, kind in table.pairs], float)

    def parts(x: F) -> tuple[F, F, F, F]:
        own = x.reshape(1 + s + g + p, k) * width
        return (prior + own[0], prior + own[0] + STACK_SHARE * own[1 : 1 + s], others * GENERATION * own[1 + s : 1 + s + g],
                apart * TOGETHER * own[1 + s + g :])  # fmt: skip

    def loss(x: F) -> F:
        _, stacks, kinds, pairs = parts(x)
        z = table.errors(np.exp(stacks[table.stack] + kinds[table.kind] + pairs[table.pair])) / SOFT
        return np.concatenate([root * np.sqrt(np.log1p(z * z)), np.sqrt(strength * RIDGE) * x])

    begin = np.zeros((1 + s + g + p, k))
    if near is not None:
        first = (np.log(near.common) - prior) / width
        begin[0] = first
        begin[1 : 1 + s] = [((np.log(near.of(n, "")) - prior) / width - first) / STACK_SHARE for n in table.names]
        begin[1 + s : 1 + s + g] = [np.log(near.generations[q]) / width / np.maximum(GENERATION, 1e-9) for q in table.kinds]
        begin[1 + s + g :] = [np.log(near.together[q]) / width / np.maximum(TOGETHER, 1e-9) for q in table.pairs]
    found = least_squares(loss, begin.ravel(), method="trf", max_nfev=6 if near else 40)
    common, stacks, kinds, pairs = (np.exp(x) for x in parts(found.x))
    return Fit(common, dict(zip(table.names, stacks, strict=True)), dict(zip(table.kinds, kinds, strict=True)),
               dict(zip(table.pairs, pairs, strict=True)), strength)  # fmt: skip


def errors(figures: Sequence[Figure], found: Fit) -> F:
    """ln(predicted / measured) [n] of figures with fitted parameters."""
    return Table.of(figures).errors(np.array([found.of(_stack(f), _kind(f)) for f in figures]))


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


def held_out(figures: Sequence[Figure], by: str, strength: float = 0.3, near: Fit | None = None) -> F:
    """Errors [n] of every figure with the parameters fitted without its source, model family or chip."""
    key = GROUPS[by]
    out = np.zeros(len(figures))
    near = near or fit(figures, strength)
    for group in sorted({key(f) for f in figures}):
        own = np.array([key(f) == group for f in figures])
        rest = [f for f, mine in zip(figures, own, strict=True) if not mine]
        out[own] = errors([f for f, mine in zip(figures, own, strict=True) if mine], fit(rest, strength, near))
    return out


def by_stack(figures: Sequence[Figure], off: F) -> dict[str, float]:
    """Median relative error per source, averaged over sources, of each stack and of all ("all")."""
    stacks = sorted({_stack(f) for f in figures})
    out = {"all": score(figures, off)}
    for stack in stacks:
        own = [i for i, f in enumerate(figures) if _stack(f) == stack]
        out[stack] = score([figures[i] for i in own], off[own])
    return out
