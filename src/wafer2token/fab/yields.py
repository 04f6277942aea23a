"""Die yield: five random-defect models, passes, overlay, and core harvesting with and without clustering.

Areas in m^2, defect densities in 1/m^2, every argument broadcasts. Yields are fractions of gross dies.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
MODELS = ("poisson", "murphy", "seeds", "negative_binomial")


def poisson(area: ArrayLike, density: ArrayLike) -> Array:
    """Random defects independent of one another, `exp(-A D)`; the lowest of the four. Textbook."""
    return np.asarray(np.exp(-np.asarray(area, float) * np.asarray(density, float)))


def murphy(area: ArrayLike, density: ArrayLike) -> Array:
    """Triangular spread of density, `((1 - exp(-AD)) / AD)^2`; 1 at AD = 0. Murphy 1964."""
    faults = np.asarray(area, float) * np.asarray(density, float)
    safe = np.where(faults > 0, faults, 1.0)
    return np.asarray(np.where(faults > 0, (-np.expm1(-safe) / safe) ** 2, 1.0))


def seeds(area: ArrayLike, density: ArrayLike) -> Array:
    """Exponential spread of density, `1 / (1 + AD)`; the highest of the four. Seeds 1967."""
    return np.asarray(1.0 / (1.0 + np.asarray(area, float) * np.asarray(density, float)))


def negative_binomial(area: ArrayLike, density: ArrayLike, clustering: ArrayLike) -> Array:
    """Gamma-spread density, `(1 + AD/alpha)^-alpha`; alpha = 1 is Seeds, infinity Poisson. CATCH takes alpha = 2."""
    alpha = np.asarray(clustering, float)
    return np.asarray(np.power(1.0 + np.asarray(area, float) * np.asarray(density, float) / alpha, -alpha))


def bose_einstein(area: ArrayLike, density_per_layer: ArrayLike, layers: ArrayLike) -> Array:
    """Critical layers fail independently, `(1 + A d)^-n` with d per layer [1/m^2]. Textbook (Price 1970)."""
    base = 1.0 + np.asarray(area, float) * np.asarray(density_per_layer, float)
    return np.asarray(np.power(base, -np.asarray(layers, float)))


def pass_yield(base: ArrayLike, area: ArrayLike, density_per_pass: ArrayLike, passes: ArrayLike) -> Array:
    """Yield left after lithography passes that each add `d_p` defects per m^2: `base (1 + A d_p)^-passes`.

    The Bose-Einstein form read per exposure: more multi-patterning costs yield, and costs large dies more.
    """
    return np.asarray(np.asarray(base, float) * bose_einstein(area, density_per_pass, passes))


def density_per_pass(yield_few: ArrayLike, yield_many: ArrayLike, extra_passes: ArrayLike, area: ArrayLike) -> Array:
    """Defects per m^2 and pass that take one yield to another over `extra_passes`; inverse of `pass_yield`."""
    ratio = np.asarray(yield_few, float) / np.asarray(yield_many, float)
    return np.asarray((np.power(ratio, 1.0 / np.asarray(extra_passes, float)) - 1.0) / np.asarray(area, float))


def overlay_yield(margin: ArrayLike, overlay: ArrayLike, cd: ArrayLike, roughness: ArrayLike, pairs: ArrayLike) -> Array:
    """Share of features within the edge-placement margin over `pairs` of layers, lengths in m (standard deviations).

    `erf(m / (sqrt 2 sigma))^pairs`, sigma^2 = overlay^2 + cd^2 + roughness^2; margins are of the order pitch / 4.
    """
    from scipy.special import erf

    sigma = np.sqrt(np.asarray(overlay, float) ** 2 + np.asarray(cd, float) ** 2 + np.asarray(roughness, float) ** 2)
    return np.asarray(erf(np.asarray(margin, float) / (np.sqrt(2.0) * sigma)) ** np.asarray(pairs, float))


def harvest(
    area: ArrayLike,
    density: ArrayLike,
    cores: int,
    needed: int,
    core_share: ArrayLike,
    clustering: ArrayLike | None = None,
) -> Array:
    """Usable yield of a die of `cores` equal cores that sells with at least `needed` of them good.

    core_share is the part of the area that the cores fill; the rest must be good. Without clustering, cores fail
    independently: `exp(-A(1-f)D) sum_i C(n,i) p^i (1-p)^(n-i)`, p = exp(-A f D / n). With clustering alpha the density
    is gamma-spread from die to die; each power of p then integrates to a negative binomial, and needed = cores gives
    the negative binomial itself. Exact while cores - needed is at most 12 (alternating sum). Shapes broadcast.
    """
    if not 0 <= needed <= cores:
        raise ValueError(f"needed must lie in 0..{cores}, got {needed}")
    a, d, f = (np.asarray(x, float) for x in (area, density, core_share))
    if clustering is None:
        core = np.exp(-a * f * d / cores)
        terms = sum(comb(cores, i) * core**i * (1.0 - core) ** (cores - i) for i in range(needed, cores + 1))
        return np.asarray(np.exp(-a * (1.0 - f) * d) * terms)
    total = np.zeros(np.broadcast_shapes(a.shape, d.shape, f.shape, np.shape(clustering)))
    for good, weight in survival_weights(cores, needed):
        total = total + weight * negative_binomial(a * ((1.0 - f) + f * good / cores), d, clustering)
    return np.asarray(np.clip(total, 0.0, 1.0))


def survival_weights(cores: int, needed: int) -> list[tuple[int, float]]:
    """Weights w_m with P(at least `needed` of `cores` good) = sum_m w_m p^m (inclusion and exclusion)."""
    weights = dict.fromkeys(range(needed, cores + 1), 0.0)
    for good in range(needed, cores + 1):
        for extra in range(cores - good + 1):
            weights[good + extra] += comb(cores, good) * (-1) ** extra * comb(cores - good, extra)
    return sorted(weights.items())


def die_yield(model: str, area: ArrayLike, density: ArrayLike, clustering: ArrayLike = 2.0) -> Array:
    """Random-defect yield by the model's name, one of MODELS; clustering is read by the negative binomial only."""
    if model == "negative_binomial":
        return negative_binomial(area, density, clustering)
    functions = {"poisson": poisson, "murphy": murphy, "seeds": seeds}
    if model not in functions:
        raise ValueError(f"unknown yield model {model!r}; known: {', '.join(MODELS)}")
    return functions[model](area, density)


def total_yield(line: ArrayLike, systematic: ArrayLike, random: ArrayLike, parametric: ArrayLike = 1.0) -> Array:
    """`Y_line Y_sys Y_rand Y_param`: whole wafers kept, systematic loss, random defects, speed and power bins."""
    factors = [np.asarray(x, float) for x in (line, systematic, random, parametric)]
    return np.asarray(factors[0] * factors[1] * factors[2] * factors[3])


def defect_density(model: str, area: ArrayLike, fraction: ArrayLike, clustering: ArrayLike = 2.0) -> Array:
    """Density [1/m^2] that gives `fraction` fully good dies of `area` [m^2] under a model of MODELS."""
    a, y = np.asarray(area, float), np.asarray(fraction, float)
    if model == "poisson":
        return np.asarray(-np.log(y) / a)
    if model == "seeds":
        return np.asarray((1.0 / y - 1.0) / a)
    if model == "negative_binomial":
        alpha = np.asarray(clustering, float)
        return np.asarray(alpha * (np.power(y, -1.0 / alpha) - 1.0) / a)
    if model == "murphy":
        return np.asarray(invert(lambda faults: murphy(1.0, faults), y, 1e3) / a)
    raise ValueError(f"unknown yield model {model!r}; known: {', '.join(MODELS)}")


def invert(function: Callable[[Array], Array], target: ArrayLike, upper: float, steps: int = 60) -> Array:
    """Argument in (0, upper] at which a falling function meets `target`, by bisection on a log scale; any shape."""
    goal = np.asarray(target, float)
    low, high = np.full(goal.shape, np.log(1e-9 * upper)), np.full(goal.shape, np.log(upper))
    for _ in range(steps):
        middle = (low + high) / 2
        above = function(np.exp(middle)) > goal
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray(np.exp((low + high) / 2))
