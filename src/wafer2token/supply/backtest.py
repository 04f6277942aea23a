"""Published forecasts and counts held against a run, one by one: quantile, CRPS, and what each would teach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.catalog.kinds.observation import ObservationCard
from wafer2token.evidence.errors import EvidenceError, InputError, unknown
from wafer2token.supply.drivers import ranks
from wafer2token.supply.result import SupplyResult
from wafer2token.supply.timeline import FIRST, quarter

Array = NDArray[np.float64]
ENOUGH = 20.0


def crps(samples: Array, value: float, weights: Array | None = None) -> float:
    """Continuous ranked probability score of a sample [n] against one value, in the value's unit; lower is better.

    Integral over x of (F(x) - 1{x >= value})^2 with the weighted empirical distribution; equals the absolute error for
    a point forecast. Gneiting and Raftery 2007.
    """
    order = np.argsort(samples)
    x = samples[order]
    w = np.full(len(x), 1.0 / len(x)) if weights is None else weights[order] / weights.sum()
    points = np.sort(np.append(x, value))
    cumulative = np.concatenate([[0.0], np.cumsum(w)])
    below = cumulative[np.searchsorted(x, points[:-1], side="right")]
    return float(np.sum((below - (points[:-1] >= value)) ** 2 * np.diff(points)))


def quantile_of(samples: Array, value: float, weights: Array | None = None) -> float:
    """Share of a sample [n] at or below a value: the quantile at which a statement sits."""
    w = np.ones(len(samples)) if weights is None else weights
    return float(w[samples <= value].sum() / w.sum())


@dataclass(frozen=True)
class Score:
    """One statement against the run: the model's quantiles, the quantile of the statement, CRPS in its unit."""

    id: str
    by: str
    statement: str
    measures: str
    when: str
    value: float
    p5: float
    p50: float
    p95: float
    quantile: float
    crps: float
    note: str


def observations(names: Sequence[str] | None = None) -> list[ObservationCard]:
    """The observation cards, in the order of the file or of `names`."""
    cards = catalog.all_cards("observation")
    chosen = list(cards) if names is None else list(names)
    problems = [unknown("observation", n, list(cards)) for n in chosen if n not in cards]
    if problems:
        raise InputError(problems)
    return [catalog.get("observation", n) for n in chosen]


def measured(result: SupplyResult, card: ObservationCard) -> Array | None:
    """What the run says about a statement, [samples]; None where the run ends before it."""
    if card.measures in DATES:
        return first_time(result, DATES[card.measures](result))
    array = result[card.measures]
    if card.year is not None:
        return result.yearly(card.measures).get(card.year)
    end = quarter(card.through) - FIRST + 1
    return np.asarray(array[:, :end].sum(axis=1)) if end <= array.shape[1] else None


def behind(result: SupplyResult, card: ObservationCard) -> tuple[str, ...]:
    """The assumed inputs that move what the run says about a statement, strongest first."""
    from wafer2token.supply.drivers import assumed_behind

    samples = measured(result, card)
    last = (result.timeline.year(card.year).stop if card.year else quarter(card.through) - FIRST + 1 if card.through else 0) - 1
    return () if samples is None else assumed_behind(result, samples, last)


def first_time(result: SupplyResult, happens: NDArray[np.bool_]) -> Array:
    """Decimal year of the middle of the first quarter in which something holds, [samples]; the end of the run if never."""
    middles = result.timeline.middles[result.timeline.history :]
    first = np.where(happens.any(axis=1), happens.argmax(axis=1), len(middles) - 1)
    return np.asarray(np.where(happens.any(axis=1), middles[first], middles[-1] + 0.125))


def _bank_gone(result: SupplyResult) -> NDArray[np.bool_]:
    """Quarters in which less than a twentieth of the bank is left, after all of it has come in."""
    gone = result["dies.stock.bank"] < 0.05 * result.inputs.one("die_bank")[:, None]
    gone[:, :3] = False
    return np.asarray(gone)


DATES: dict[str, Callable[[SupplyResult], NDArray[np.bool_]]] = {
    "date.hbm_binds": lambda result: np.asarray(result.binding == result.stages.index("hbm")),
    "date.bank_exhausted": _bank_gone,
}


def backtest(result: SupplyResult, weights: Array | None = None) -> list[Score]:
    """Scores every statement that the run covers, under the prior or under posterior `weights` [samples]."""
    scores = []
    for card in observations():
        samples = measured(result, card)
        if samples is None:
            continue
        p5, p50, p95 = weighted_quantiles(samples, (0.05, 0.5, 0.95), weights)
        value = card.value.mid
        scores.append(Score(card.id, card.by, card.statement, card.measures, str(card.year or (f"to {card.through}" if card.through else "date")), value,
                            p5, p50, p95, quantile_of(samples, value, weights), crps(samples, value, weights),
                            card.circular or card.note))  # fmt: skip
    return scores


def weighted_quantiles(samples: Array, levels: Sequence[float], weights: Array | None = None) -> list[float]:
    """Quantiles of a sample [n] under weights [n]."""
    if weights is None:
        return [float(x) for x in np.quantile(samples, levels)]
    order = np.argsort(samples)
    cumulative = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    return [float(x) for x in np.interp(levels, cumulative, samples[order])]


def log_likelihood(samples: Array, card: ObservationCard) -> Array:
    """Log likelihood of a statement for each sample [n].

    A count or an estimate is log-normal about the model's value with the card's relative error; a bound is the
    probability of lying on its side of it, with the same error. Plans and forecasts have no likelihood.
    """
    from scipy.special import log_ndtr

    if card.error is None:
        raise EvidenceError(f"{card.id} is a {card.statement} without an error of measurement: it has no likelihood; "
                            f"these have one: {', '.join(usable())}")  # fmt: skip
    sigma = np.sqrt(np.log1p(card.error.mid**2))
    z = (np.log(np.maximum(samples, 1e-9)) - np.log(card.value.mid)) / sigma
    if card.statement == "at_least":
        return np.asarray(log_ndtr(z))
    if card.statement == "at_most":
        return np.asarray(log_ndtr(-z))
    return np.asarray(-0.5 * z**2)


def usable() -> list[str]:
    """Ids of the statements that have a likelihood."""
    return [card.id for card in observations() if card.error is not None]


@dataclass(frozen=True)
class Posterior:
    """Importance weights of a run's samples given observations, and what each observation did.

    effects: per observation, result -> (median without it, median with all); moved: inputs whose mean rank moved most.
    """

    used: tuple[str, ...]
    weights: Array
    effective_samples: float
    effects: tuple[Effect, ...]
    moved: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Effect:
    """What one observation alone does to a yearly result: prior and posterior p5, p50, p95, and the samples left."""

    observation: str
    result: str
    year: int
    prior: tuple[float, ...]
    posterior: tuple[float, ...]
    effective_samples: float


def normalised(log_weights: Array) -> Array:
    """Weights that sum to 1 from log weights [n]."""
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())


def posterior(result: SupplyResult, use: Sequence[str] | None = None, target: str = "units.ascend") -> Posterior:
    """Weighs the samples by the statements that have a likelihood (all of them, or `use`).

    Raises EvidenceError where a named statement has none, or where too few samples are left to say anything.
    """
    chosen = observations(usable() if use is None else use)
    logs = {}
    for card in chosen:
        samples = measured(result, card)
        if samples is not None:
            logs[card.id] = log_likelihood(samples, card)
    if not logs:
        raise EvidenceError("no observation with a likelihood lies within the run")
    weights = normalised(np.asarray(sum(logs.values())))
    left = float(1.0 / np.sum(weights**2))
    if left < min(ENOUGH, result.samples / 20):
        raise EvidenceError(f"the observations leave {left:.1f} effective samples of {result.samples}: draw more samples, "
                            "or widen the inputs that cannot produce them")  # fmt: skip
    effects = [effect for name, log in {**logs, "all": np.asarray(sum(logs.values()))}.items()
               for effect in _effects(result, name, normalised(log), target)]  # fmt: skip
    return Posterior(tuple(logs), weights, left, tuple(effects), tuple(_moved(result, weights)))


def _effects(result: SupplyResult, name: str, weights: Array, target: str) -> list[Effect]:
    levels = (0.05, 0.5, 0.95)
    return [
        Effect(name, target, year, tuple(weighted_quantiles(units, levels)), tuple(weighted_quantiles(units, levels, weights)),
               float(1.0 / np.sum(weights**2)))
        for year, units in result.yearly(target).items()
    ]  # fmt: skip


def _moved(result: SupplyResult, weights: Array, top: int = 8) -> list[tuple[str, float]]:
    """Inputs by how far the weighted mean of their rank (0 to 1) moved from 0.5, farthest first."""
    from wafer2token.supply.drivers import moving

    inputs = moving(result.inputs, len(result.quarters) - 1)
    shift = {}
    for name, values in inputs.items():
        unit = ranks(values[:, None])[:, 0]
        span = float(np.ptp(unit)) or 1.0
        shift[name] = float(weights @ (unit - unit.min()) / span - 0.5)
    return sorted(shift.items(), key=lambda item: -abs(item[1]))[:top]
