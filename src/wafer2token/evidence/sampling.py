"""Samples of a number: one stream per (seed, dotted name), so that two runs that share a name share its draws.

The order in which numbers are drawn, and the number of workers, change nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt

from wafer2token.evidence.number import Claim, Number

Array = npt.NDArray[np.float64]

_drawn: ContextVar[dict[str, Number] | None] = ContextVar("drawn", default=None)


@contextmanager
def recorded() -> Iterator[dict[str, Number]]:
    """Collects every number drawn inside the block, by its dotted name: what a result stands on."""
    drawn: dict[str, Number] = {}
    outer = _drawn.get()
    token = _drawn.set(drawn)
    try:
        yield drawn
    finally:
        _drawn.reset(token)
        if outer is not None:
            outer.update(drawn)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Draws inside the block are not collected: for what-if runs beside the one that is explained."""
    token = _drawn.set(None)
    try:
        yield
    finally:
        _drawn.reset(token)


def quantiles(name: str, n: int, seed: int) -> Array:
    """``n`` stratified uniform draws in (0, 1) for ``name`` (Latin hypercube: one in each of n equal strata)."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return (rng.permutation(n) + rng.uniform(1e-9, 1 - 1e-9, n)) / n


def draw(number: Number, name: str, n: int, seed: int) -> Array:
    """``n`` samples of ``number`` under the dotted ``name``, shape [n], SI units.

    A contested number draws its claimant by weight first, then the claimant's own range.
    """
    drawn = _drawn.get()
    if drawn is not None:
        drawn[name] = number
    u = quantiles(name, n, seed)
    if not number.claims:
        return at_quantile(number, u)
    edges = np.cumsum([c.weight for c in number.claims])
    chosen = np.minimum(np.searchsorted(edges, quantiles(f"{name}#claimant", n, seed), side="right"), len(edges) - 1)
    return np.choose(chosen, [at_quantile(c, u) for c in number.claims])


def at_quantile(number: Number | Claim, u: Array) -> Array:
    """The value of a range at quantiles ``u`` by its distribution (see Number for what low and high mean)."""
    low, mid, high = number.low, number.mid, number.high
    if low == high:
        return np.full(u.shape, mid)
    if number.dist == "uniform":
        return low + (high - low) * u
    if number.dist == "loguniform":
        return np.asarray(np.exp(np.log(low) + (np.log(high) - np.log(low)) * u))
    if number.dist == "lognormal":
        return split_lognormal(low, mid, high, u)
    return triangular(low, mid, high, u)


def triangular(low: float, mid: float, high: float, u: Array) -> Array:
    """Inverse distribution function of the triangular distribution on [low, high] with mode ``mid``."""
    span, left = high - low, (mid - low) / (high - low)
    rising = low + np.sqrt(u * span * (mid - low))
    falling = high - np.sqrt((1 - u) * span * (high - mid))
    return np.where(u < left, rising, falling)


def split_lognormal(p5: float, p50: float, p95: float, u: Array) -> Array:
    """Inverse distribution function of a lognormal whose two halves have their own spread.

    Args:
        p5, p50, p95: the 5th, 50th and 95th percentile, all above zero.
        u: quantiles, any shape.
    """
    from scipy.special import ndtri

    z = ndtri(u)
    z95 = 1.6448536269514722
    below, above = np.log(p50 / p5) / z95, np.log(p95 / p50) / z95
    return np.asarray(p50 * np.exp(z * np.where(z < 0, below, above)))


def summary(samples: npt.ArrayLike) -> tuple[float, float, float]:
    """p5, p50 and p95 of the finite samples; all nan when there is none."""
    values = np.asarray(samples, dtype=float)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return float("nan"), float("nan"), float("nan")
    p5, p50, p95 = np.percentile(finite, [5, 50, 95])
    return float(p5), float(p50), float(p95)
