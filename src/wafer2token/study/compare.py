"""``compare``: any two chips or systems side by side, on paper and on a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from wafer2token import __version__, catalog
from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.sampling import summary
from wafer2token.evidence.units import format_range
from wafer2token.study import chain
from wafer2token.study.comparison import MEASURES, Measure, add_entity, ratio
from wafer2token.study.graph import Graph
from wafer2token.study.jobs import perform_all

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Side:
    """One measure of two sides in SI of ``unit``; None where a side has no figure."""

    measure: str
    unit: str
    a: Triple | None
    b: Triple | None
    ratio: Triple | None
    a_better: float | None
    grade: str

    def shown(self) -> dict[str, str]:
        """The row as text."""
        better = "" if self.a_better is None else f"{self.a_better:.0%}"
        return {"measure": self.measure, "a": _span(self.a, self.unit), "b": _span(self.b, self.unit),
                "ratio": _span(self.ratio, "1"), "better": better, "grade": self.grade}  # fmt: skip


@dataclass(frozen=True)
class CompareResult:
    """Two chips or systems side by side; ``problems`` says what could not be compared and why."""

    a: str
    b: str
    sides: tuple[Side, ...]
    problems: Mapping[str, str]
    seed: int
    samples: int
    version: str
    fingerprint: str
    graph: Graph = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "a": self.a, "b": self.b, "seed": self.seed, "samples": self.samples, "version": self.version,
            "data_fingerprint": self.fingerprint, "measures": [asdict(s) for s in self.sides], "problems": dict(self.problems),
        }  # fmt: skip


def compare(a: str, b: str, *, model: str | None = None, chips: int | None = None, isl: int = 4096, osl: int = 1024,
            tpot: str = "50 ms", samples: int = 1000, seed: int = 0) -> CompareResult:  # fmt: skip
    """Any two chips or systems side by side.

    Args:
        a, b: ids or aliases of chips or systems.
        model: also train and serve this model on both.
        chips: chips to train on (the system's own number, or 1,024, when None).
        isl, osl: tokens in and out of a served request.
        tpot: time per output token to serve within.
        samples: Monte Carlo samples.
        seed: both sides share every draw of the same name.

    Raises:
        InputError: unknown id or model.
    """
    graph = Graph(samples, seed)
    first, second = add_entity(graph, a), add_entity(graph, b)
    if first == second:
        raise InputError(Problem("a comparison of a thing with itself", got=f"{a} {b}", remedy="name two different chips or systems"))
    sides = [side(graph, m, first, second) for m in shared_measures(graph, first, second)]
    problems: dict[str, str] = {}
    if model is not None:
        jobs = chain.model_jobs(model, (first, second), chips, isl, osl, tpot, samples, seed)
        outcomes = perform_all(jobs, {}, 1, lambda step: None)
        for outcome in outcomes:
            graph.adopt(outcome.prefix, outcome.title, outcome.results, outcome.drawn)
            if outcome.problem:
                problems[outcome.prefix] = outcome.problem
        sides += [side(graph, m, first, second, names) for m, names in chain.model_measures(outcomes)]
    return CompareResult(
        first, second, tuple(sides), problems, seed, samples, __version__, catalog.fingerprint(), graph
    )


def shared_measures(graph: Graph, a: str, b: str) -> list[Measure]:
    """The measures that at least one side has; the count of chips only where it is not one against one."""

    def values(key: str) -> list[float]:
        return [
            float(graph.values[n][0]) for n in (f"compare.{a}.{key}", f"compare.{b}.{key}") if n in graph.quantities
        ]

    return [m for m in MEASURES if values(m.key) and not (m.key == "chips" and values("chips") == [1.0, 1.0])]


def side(graph: Graph, measure: Measure, a: str, b: str, names: tuple[str, str] | None = None) -> Side:
    """One measure of both sides, with their ratio sample by sample."""
    left, right = names or (f"compare.{a}.{measure.key}", f"compare.{b}.{measure.key}")
    triples = [summary(graph.values[n]) if n in graph.quantities else None for n in (left, right)]
    present = [n for n in (left, right) if n in graph.quantities]
    grade = max(
        (graph.grade(n) for n in present), key=("measured", "teardown", "vendor", "analyst", "press", "assumed").index
    )
    if len(present) < 2:
        return Side(measure.label, measure.unit, triples[0], triples[1], None, None, grade)
    quotient = (
        graph.values[ratio(graph, measure.key, a, b) or left]
        if names is None
        else graph.values[left] / graph.values[right]
    )
    better = None
    if measure.more_is_better is not None:
        better = float(np.mean(quotient > 1 if measure.more_is_better else quotient < 1))
    return Side(measure.label, measure.unit, triples[0], triples[1], summary(quotient), better, grade)


def _span(triple: Triple | None, unit: str) -> str:
    return "-" if triple is None else format_range(*triple, unit)
