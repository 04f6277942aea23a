"""The dependency graph: steps, suppliers, countries; what a loss stops, and the smallest losses that stop production."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.catalog.kinds.step import StepCard
from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.evidence.sampling import draw, quantiles
from wafer2token.fab.learning import substituted_by

Array = NDArray[np.float64]
Cut = frozenset[str]
HAZARD_SHAPE = 2.0
WIDEST = 4


def minimal(cuts: Iterable[Cut]) -> frozenset[Cut]:
    """Those sets that contain no other of the sets."""
    kept: list[Cut] = []
    for cut in sorted(set(cuts), key=len):
        if not any(other <= cut for other in kept):
            kept.append(cut)
    return frozenset(kept)


def any_fails(parts: Iterable[frozenset[Cut]]) -> frozenset[Cut]:
    """Cut sets of something that needs all its parts: a cut of any part."""
    return minimal(cut for part in parts for cut in part)


def all_fail(parts: Iterable[frozenset[Cut]]) -> frozenset[Cut]:
    """Cut sets of something that any one of its parts can do: one cut of each, joined; wide ones are dropped."""
    return reduce(
        lambda left, right: minimal(a | b for a in left for b in right if len(a | b) <= WIDEST), parts, frozenset([Cut()])
    )


@dataclass(frozen=True)
class Loss:
    """What remains when some countries or suppliers are lost: the steps that stop, and whether chips still come."""

    lost: tuple[str, ...]
    stopped: tuple[str, ...]
    chips: bool


class Network:
    """Steps and suppliers by card; a step works while its needs work and one supplier or alternative is left."""

    def __init__(self, steps: Mapping[str, StepCard] | None = None, top: str = "ascend_chips"):
        self.steps = dict(steps) if steps is not None else {i: catalog.get("step", i) for i in catalog.ids("step")}
        self.top = top
        named = [(step.id, other) for step in self.steps.values() for other in (*step.all_of, *step.any_of)]
        problems = [unknown("step", other, list(self.steps), where=f"step {i}") for i, other in named if other not in self.steps]
        if not problems and not nx.is_directed_acyclic_graph(self.graph):
            cycle = " -> ".join(str(edge[0]) for edge in nx.find_cycle(self.graph))
            problems = [Problem("steps that need one another in a circle", "step cards", cycle, remedy="cut one of the needs")]
        if problems:
            raise InputError(problems)

    @cached_property
    def graph(self) -> nx.DiGraph:
        """Countries -> suppliers -> steps -> what needs them; nodes carry kind, label, country, status and share."""
        graph = nx.DiGraph()
        for step in self.steps.values():
            graph.add_node(step.id, kind="step", label=step.name, grade=step.grade)
            for supplier in step.suppliers:
                share = catalog.number(supplier.share).mid if supplier.share else None
                graph.add_node(supplier.country, kind="country", label=supplier.country)
                graph.add_node(supplier.name, kind="supplier", label=supplier.name, country=supplier.country)
                graph.add_edge(supplier.country, supplier.name)
                graph.add_edge(supplier.name, step.id, status=supplier.status, share=share)
            for other in step.all_of:
                graph.add_edge(other, step.id, needs="all")
            for other in step.any_of:
                graph.add_edge(other, step.id, needs="any")
        return graph

    def works(self, step: str, lost: frozenset[str] = frozenset(), domestic: bool = False) -> bool:
        """Whether a step works without the lost countries and suppliers (and, with ``domestic``, with unproven ones)."""
        card = self.steps[step]
        if not all(self.works(other, lost, domestic) for other in card.all_of):
            return False
        allowed = {"in use", "unproven"} if domestic else {"in use"}
        own = [s for s in card.suppliers if s.status in allowed and not {s.name, s.country} & lost]
        return bool(own) or any(self.works(o, lost, domestic) for o in card.any_of) or not (card.suppliers or card.any_of)

    def lose(self, lost: Iterable[str]) -> Loss:
        """What stops without some countries (NL, JP, US, stock ...) or suppliers."""
        names = frozenset(lost)
        known = [n for n, kind in self.graph.nodes(data="kind") if kind in ("country", "supplier")]
        problems = [unknown("country or supplier", name, known) for name in names if name not in known]
        if problems:
            raise InputError(problems)
        stopped = tuple(step for step in self.steps if not self.works(step, names))
        return Loss(tuple(sorted(names)), stopped, self.top not in stopped)

    def cut_sets(self, by: str = "country", keep: Iterable[str] = ()) -> list[Cut]:
        """Smallest sets of countries (or suppliers) whose loss stops the top step, fewest first (at most four each).

        ``keep`` names countries or suppliers that cannot be lost, such as CN.
        """
        safe = frozenset(keep)
        return sorted(self._cuts(self.top, by, safe), key=lambda cut: (len(cut), sorted(cut)))

    def _cuts(self, step: str, by: str, safe: frozenset[str]) -> frozenset[Cut]:
        card = self.steps[step]
        ways = [self._cuts(other, by, safe) for other in card.any_of]
        for supplier in card.suppliers:
            if supplier.status == "in use":
                secure = {supplier.name, supplier.country} & safe
                ways.append(frozenset() if secure else frozenset([Cut([supplier.country if by == "country" else supplier.name])]))
        needs = [self._cuts(other, by, safe) for other in card.all_of]
        return any_fails([*needs, *([all_fail(ways)] if ways else [])])

    def restored(self, lost: Iterable[str], years: Array, samples: int = 4000, seed: int = 0) -> Array:
        """Probability that chips come again some years after a loss, [years].

        A stopped step with suppliers is stood in for by a domestic substitute after a Weibull time with shape 2 and the
        step's characteristic time, steps independently; a step without one stays lost.
        """
        names = frozenset(lost)
        self.lose(names)
        elapsed = np.asarray(years, float)[None, :] * 365.25 * 86400.0
        return np.asarray(self._works_again(self.top, names, elapsed, samples, seed).mean(axis=0))

    def _works_again(self, step: str, lost: frozenset[str], elapsed: Array, samples: int, seed: int) -> NDArray[np.bool_]:
        card = self.steps[step]

        def below(other: str) -> NDArray[np.bool_]:
            return self._works_again(other, lost, elapsed, samples, seed)

        ways = [below(other) for other in card.any_of]
        if any(s.status == "in use" and not {s.name, s.country} & lost for s in card.suppliers):
            ways.append(np.ones((samples, elapsed.shape[1]), bool))
        elif card.suppliers and card.substitute is not None:
            scale = draw(card.substitute, f"step.{step}.substitute", samples, seed)[:, None]
            ways.append(quantiles(f"step.{step}.wait", samples, seed)[:, None] < substituted_by(elapsed, scale, HAZARD_SHAPE))
        leaf = not (card.suppliers or card.any_of)
        out = np.logical_or.reduce(ways) if ways else np.full((samples, elapsed.shape[1]), leaf)
        for other in card.all_of:
            out = out & below(other)
        return np.asarray(out, bool)

    def table(self) -> list[dict[str, Any]]:
        """One row per step with suppliers: who is in use, blocked, unproven, and the countries in use."""
        rows = []
        for step in self.steps.values():
            if step.suppliers:
                by = {status: [s.name for s in step.suppliers if s.status == status] for status in ("in use", "blocked", "unproven")}
                countries = sorted({s.country for s in step.suppliers if s.status == "in use"})
                rows.append({"step": step.id, "countries": countries, **by, "grade": step.grade})
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Nodes and edges, for charts."""
        return {
            "nodes": [{"id": node, **data} for node, data in self.graph.nodes(data=True)],
            "edges": [{"from": a, "to": b, **data} for a, b, data in self.graph.edges(data=True)],
        }
