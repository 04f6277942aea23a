"""Inputs of the supply model as arrays of samples: cards, overrides by dotted name and date, comonotone series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.catalog.kinds.supply import SeriesClaim, SupplyCard
from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.evidence.number import Number
from wafer2token.evidence.sampling import at_quantile, draw, quantiles
from wafer2token.evidence.units import parse_quantity
from wafer2token.supply.gates import RULED, gate
from wafer2token.supply.timeline import Timeline, decimal_year, moment

Array = NDArray[np.float64]
Overrides = Mapping[str, Any]
SLIP = "plan_slip"


@dataclass(frozen=True)
class Inputs:
    """Sample arrays by input: [samples, 1] where constant in time, else [samples, history + quarters]; SI units.

    ``said``: input -> decimal year in which the plan that a sample follows was announced (inf for what is no plan),
    [samples]; `all` and `now` delay what it promises by the slip of plans.
    """

    timeline: Timeline
    samples: int
    seed: int
    values: Mapping[str, Array]
    cards: Mapping[str, SupplyCard]
    changed: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, Array] = field(default_factory=dict)

    def one(self, name: str) -> Array:
        """An input that does not move in time, [samples]."""
        return self.values[name][:, 0]

    def all(self, name: str) -> Array:
        """An input over history and quarters, [samples, history + quarters] (a view where constant)."""
        width = self.timeline.history + self.timeline.count
        values = np.broadcast_to(self.values[name], (self.samples, width))
        return slipped(values, self.said[name], self.one(SLIP), self.timeline) if name in self.said else values

    def now(self, name: str) -> Array:
        """An input over the quarters, [samples, quarters]."""
        return self.all(name)[:, self.timeline.history :]

    def with_values(self, values: Mapping[str, Array]) -> Inputs:
        """The same inputs with some arrays replaced; unknown names are refused."""
        problems = [unknown("input of the supply model", name, sorted(self.values)) for name in values if name not in self.values]
        if problems:
            raise InputError(problems)
        said = {name: at for name, at in self.said.items() if name not in values}
        return replace(self, values={**self.values, **values}, said=said)

    def taking(self, other: Inputs, name: str) -> Inputs:
        """The same inputs with one taken from another draw, claimants and the dates of their plans included."""
        said = {**self.said, **({name: other.said[name]} if name in other.said else {})}
        return replace(self.with_values({name: other.values[name]}), said=said)


def slipped(values: Array, said: Array, slip: Array, timeline: Timeline) -> Array:
    """Plans as they come: what was promised for a time t after the announcement arrives after `slip` times t.

    values [samples, history + quarters], said [samples] decimal year, slip [samples] >= 1; linear between quarters.
    """
    middles = timeline.middles[None, :]
    after = np.maximum(middles - said[:, None], 0.0)
    at = np.clip((middles - after * (1.0 - 1.0 / np.maximum(slip, 1.0))[:, None] - middles[0, 0]) * 4.0, 0.0, values.shape[1] - 1.0)
    before = np.floor(at).astype(int)
    part, rows = at - before, np.arange(len(values))[:, None]
    return np.asarray(values[rows, before] * (1.0 - part) + values[rows, np.minimum(before + 1, values.shape[1] - 1)] * part)


def dotted(name: str) -> str:
    """The dotted name under which an input is drawn."""
    return f"supply.{name}.value"


def short(name: str) -> str:
    """The input's id from any of its spellings: supply.smic_wafers.value, supply.smic_wafers, smic_wafers."""
    return name.strip().removeprefix("supply.").removesuffix(".value")


@dataclass(frozen=True)
class Change:
    """One override: an input, a decimal year from which it holds (None for always), and what replaces it."""

    name: str
    since: float | None
    value: Number | Mapping[str, float]
    text: str


def read_changes(overrides: Overrides, where: str = "overrides") -> list[Change]:
    """Overrides as changes, in order.

    Keys are `name` or `name@date`. A value is a quantity with its unit, a Number, a table of number keys, a claimant's
    name, or weights by claimant (a mapping, or text such as "FT:0.7, CSIS:0.3"). All problems are raised at once.
    """
    changes, problems = [], list[Problem]()
    for key, value in overrides.items():
        name, _, at = key.partition("@")
        try:
            changes.append(_change(short(name), at.strip(), value))
        except InputError as error:
            problems += [replace(p, where=f"{where} {key}") for p in error.problems]
    if problems:
        raise InputError(problems)
    return changes


def _change(name: str, at: str, value: Any) -> Change:
    if name not in catalog.all_cards("supply"):
        raise InputError(unknown("input of the supply model", name, catalog.ids("supply")))
    card: SupplyCard = catalog.get("supply", name)
    since = moment(at) if at else None
    if since is not None and not card.timed:
        raise InputError(Problem("this input holds for the whole run, so it cannot change at a date", got=at,
                                 remedy=f"leave out @{at}"))  # fmt: skip
    read = _value(card, value)
    return Change(name, since, read, f"{value}" + (f" from {at}" if at else ""))


def _value(card: SupplyCard, value: Any) -> Number | Mapping[str, float]:
    claimants = [c.by for c in card.series] or [c.by for c in card.value.claims]
    if isinstance(value, Number):
        return value
    if isinstance(value, Mapping):
        if set(value) & {"value", "low", "mid", "high", "claims"}:
            return Number.parse({"grade": "assumed", "source": ["scenario"], **value}, card.unit, card.id)
        return dict(value)
    if isinstance(value, str) and value in claimants:
        return {value: 1.0}
    if isinstance(value, str) and ":" in value and claimants:
        return _weights(value)
    read = parse_quantity(value, card.unit)
    if read < 0:
        raise InputError(Problem("negative", got=value, allowed="zero or more"))
    return card.value.replaced(read, "scenario")


def _weights(text: str) -> dict[str, float]:
    try:
        return {by.strip(): float(weight) for by, weight in (part.rsplit(":", 1) for part in text.split(","))}
    except ValueError:
        raise InputError(Problem("not weights of claimants", got=text, allowed="claimant:0.7, other:0.3")) from None


def read_inputs(timeline: Timeline, samples: int, seed: int, overrides: Overrides | None = None) -> Inputs:
    """Draws every input of the supply model; overrides as in `read_changes`.

    A gate that a rule decides (`gates.RULED`) follows the rule book, its card saying only how many licences are granted
    where one is needed; an override replaces both.
    """
    changes = read_changes(overrides or {})
    cards: dict[str, SupplyCard] = {name: catalog.get("supply", name) for name in catalog.ids("supply")}
    for change in (c for c in changes if c.since is None):
        card = cards[change.name]
        if isinstance(change.value, Number):
            cards[change.name] = card.model_copy(update={"value": change.value, "series": ()})
        else:
            cards[change.name] = card.weighted(change.value)
    values = {name: sample(card, timeline, samples, seed) for name, card in cards.items()}
    always = {c.name for c in changes if c.since is None}
    values |= {name: gate(name, values[name], timeline) for name in RULED if name not in always and cards[name].is_series}
    said = {name: at for name, card in cards.items() if (at := _announced(card, samples, seed)) is not None}
    for change in (c for c in changes if c.since is not None):
        if change.name in said:
            values[change.name] = slipped(values[change.name], said.pop(change.name), values[SLIP][:, 0], timeline)
        card = cards[change.name]
        values[change.name] = _from_date(values[change.name], change, card, values[SLIP][:, 0], timeline, seed)
        cards[change.name] = card.model_copy(update={"value": replace(card.value, grade="assumed")})
    return Inputs(timeline, samples, seed, values, cards, {c.name: c.text for c in changes}, said)


def _announced(card: SupplyCard, samples: int, seed: int) -> Array | None:
    """Decimal year in which the plan that each sample follows was said, inf for claims that are no plans; None if none is."""
    if not card.is_series or all(claim.said is None for claim in card.series):
        return None
    years = np.array([np.inf if claim.said is None else decimal_year(claim.said) for claim in card.series])
    return np.asarray(years[claimant(card, samples, seed)])


def _from_date(before: Array, change: Change, card: SupplyCard, slip: Array, timeline: Timeline, seed: int) -> Array:
    """An input that follows `before` until a date and a number, or other weights of its claimants, after it."""
    assert change.since is not None
    samples = len(slip)
    if isinstance(change.value, Number):
        after = draw(change.value, dotted(change.name), samples, seed)[:, None]
    else:
        weighted = card.weighted(change.value)
        after, said = sample(weighted, timeline, samples, seed), _announced(weighted, samples, seed)
        after = after if said is None else slipped(after, said, slip, timeline)
    share = timeline.share_after(change.since)
    return np.asarray(before * (1.0 - share) + after * share)


def sample(card: SupplyCard, timeline: Timeline, samples: int, seed: int) -> Array:
    """Draws one input: [samples, 1] for a number, [samples, history + quarters] for a series.

    A series draws its claimant by weight, then one quantile for all of that claimant's dates.
    """
    name = dotted(card.id)
    plain = draw(card.value, name, samples, seed)
    if not card.is_series:
        return plain[:, None]
    chosen = claimant(card, samples, seed)
    level = quantiles(name, samples, seed)
    out = np.empty((samples, timeline.history + timeline.count))
    for index, claim in enumerate(card.series):
        rows = chosen == index
        if rows.any():
            out[rows] = path(claim, card.interpolate, level[rows], timeline)
    return out


def claimant(card: SupplyCard, samples: int, seed: int) -> NDArray[np.int64]:
    """Index of the claimant that each sample follows, [samples]; zeros where nothing is contested."""
    weights = [c.weight for c in card.series] or [c.weight for c in card.value.claims]
    if not weights:
        return np.zeros(samples, np.int64)
    edges = np.cumsum(weights) / sum(weights)
    return np.minimum(np.searchsorted(edges, quantiles(f"{dotted(card.id)}#claimant", samples, seed), side="right"), len(edges) - 1)


def path(claim: SeriesClaim, interpolate: str, level: Array, timeline: Timeline) -> Array:
    """One claimant's series at quantiles `level` [k] -> [k, history + quarters], held flat beyond its dates."""
    dates = sorted(claim.points)
    points = np.stack([at_quantile(claim.points[day], level) for day in dates], axis=1)
    if interpolate == "log":
        return np.asarray(np.exp(np.log(points) @ _weights_linear(dates, timeline)))
    weights = _weights_step(dates, timeline) if interpolate == "step" else _weights_linear(dates, timeline)
    return np.asarray(points @ weights)


def _weights_linear(dates: list[date], timeline: Timeline) -> Array:
    times = [decimal_year(day) for day in dates]
    unit = np.eye(len(times))
    return np.stack([np.interp(timeline.middles, times, row) for row in unit])


def _weights_step(dates: list[date], timeline: Timeline) -> Array:
    shares = np.stack([timeline.share_after(decimal_year(day)) for day in dates])
    shares[0] = 1.0
    return np.asarray(shares - np.concatenate([shares[1:], np.zeros((1, shares.shape[1]))]))
