"""The chain as a graph of named quantities: each has one dotted name, one unit and one function.

A leaf is a number of a card, an equation is a pure function of other quantities, an engine is a function that draws
its own numbers (which are recorded). Every intermediate is kept, so that any result can be explained.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import numpy.typing as npt

from wafer2token import catalog
from wafer2token.evidence.errors import InputError, unknown
from wafer2token.evidence.number import Grade, Number, weakest
from wafer2token.evidence.sampling import draw, recorded, summary

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """One node: a leaf has a ``number``, an equation a ``function`` and ``inputs`` (parameter -> name)."""

    name: str
    unit: str
    title: str
    function: Callable[..., Any] | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    number: Number | None = None


@dataclass(frozen=True)
class Explained:
    """One line of the tree under a result."""

    depth: int
    name: str
    unit: str
    p5: float
    p50: float
    p95: float
    grade: Grade
    title: str
    sources: tuple[str, ...]
    note: str = ""


class Graph:
    """Named quantities, evaluated once each in dependency order."""

    def __init__(self, samples: int, seed: int):
        self.samples = samples
        self.seed = seed
        self.quantities: dict[str, Quantity] = {}
        self.values: dict[str, Array] = {}

    def leaf(self, name: str, number: Number | None = None) -> str:
        """Adds a card's number under its dotted name (read from the catalogue unless given); returns the name."""
        if name not in self.quantities:
            found = number or catalog.number(name)
            self.quantities[name] = Quantity(name, found.unit, found.note, number=found)
            self.values[name] = draw(found, name, self.samples, self.seed)
        return name

    def add(self, name: str, unit: str, function: Callable[..., Any], title: str = "", **inputs: str) -> str:
        """Adds an equation and evaluates it; ``inputs`` maps its parameters to names already in the graph."""
        missing = [i for i in inputs.values() if i not in self.quantities]
        if missing:
            raise InputError([unknown("quantity", m, sorted(self.quantities), where=name) for m in missing])
        with recorded() as drawn:
            value = function(**{p: self.values[i] for p, i in inputs.items()})
        return self._store(Quantity(name, unit, title or _summary(function), function, dict(inputs)), value, drawn)

    def engine(self, prefix: str, run: Callable[[], Mapping[str, tuple[Any, str]]], title: str) -> list[str]:
        """Runs a function that draws its own numbers, and adds its results under ``prefix``.

        Args:
            prefix: dotted prefix of the results' names.
            run: returns result name -> (samples, unit).
            title: what it computes.
        """
        with recorded() as drawn:
            results = run()
        return self.adopt(prefix, title, results, drawn)

    def adopt(
        self, prefix: str, title: str, results: Mapping[str, tuple[Any, str]], drawn: Mapping[str, Number]
    ) -> list[str]:
        """Adds the results of an engine that ran elsewhere, with the numbers that it drew as their inputs."""
        return [
            self._store(Quantity(f"{prefix}.{key}", unit, title), value, drawn)
            for key, (value, unit) in results.items()
        ]

    def _store(self, quantity: Quantity, value: Any, drawn: Mapping[str, Number]) -> str:
        inputs = dict(quantity.inputs) | {n: self.leaf(n, number) for n, number in drawn.items() if n != quantity.name}
        self.quantities[quantity.name] = Quantity(
            quantity.name, quantity.unit, quantity.title, quantity.function, inputs
        )
        array = np.asarray(value, dtype=float)
        self.values[quantity.name] = (
            np.broadcast_to(array, (self.samples, *array.shape[1:])) if array.ndim else np.full(self.samples, array)
        )
        return quantity.name

    def order(self) -> list[str]:
        """Names with every input before what uses it."""
        return list(
            TopologicalSorter({q.name: set(q.inputs.values()) for q in self.quantities.values()}).static_order()
        )

    def leaves_under(self, name: str) -> list[str]:
        """The card numbers that a result stands on, each once."""
        seen: dict[str, None] = {}
        stack = [name]
        visited = set()
        while stack:
            current = stack.pop()
            if current in visited:
                continue
            visited.add(current)
            quantity = self.quantities[current]
            if quantity.number is not None:
                seen[current] = None
            stack += quantity.inputs.values()
        return sorted(seen)

    def grade(self, name: str) -> Grade:
        """The weakest grade on the paths under a result."""
        grades = [q.number.grade for leaf in self.leaves_under(name) if (q := self.quantities[leaf]).number is not None]
        return weakest(grades) if grades else "measured"

    def sources(self, name: str) -> tuple[str, ...]:
        """Every source under a result, each once."""
        numbers = (self.quantities[leaf].number for leaf in self.leaves_under(name))
        return tuple(dict.fromkeys(s for number in numbers if number for s in number.all_sources))

    def explain(self, name: str, depth: int = 99) -> Iterator[Explained]:
        """The tree under a result, depth first; a branch seen before is named but not opened again."""
        if name not in self.quantities:
            raise InputError(unknown("quantity", name, sorted(self.quantities)))
        opened: set[str] = set()

        def walk(current: str, level: int) -> Iterator[Explained]:
            quantity = self.quantities[current]
            number = quantity.number
            p5, p50, p95 = summary(_flat(self.values[current]))
            note = "see above" if current in opened and quantity.inputs else (number.note if number else "")
            yield Explained(level, current, quantity.unit, p5, p50, p95, self.grade(current), quantity.title,
                            number.all_sources if number else (), note)  # fmt: skip
            if current not in opened and level < depth:
                opened.add(current)
                for below in quantity.inputs.values():
                    yield from walk(below, level + 1)

        yield from walk(name, 0)

    def to_dict(self) -> dict[str, Any]:
        """Every quantity with its summary, inputs, grade and sources: what ``w2t explain`` reads from a run folder."""
        return {name: self._node(self.quantities[name]) for name in self.order()}

    def _node(self, quantity: Quantity) -> dict[str, Any]:
        p5, p50, p95 = summary(_flat(self.values[quantity.name]))
        node = {"unit": quantity.unit, "title": quantity.title, "p5": p5, "p50": p50, "p95": p95,
                "grade": self.grade(quantity.name), "inputs": list(dict.fromkeys(quantity.inputs.values()))}  # fmt: skip
        if quantity.number is not None:
            node["number"] = quantity.number.to_dict()
        return node


def _flat(values: Array) -> Array:
    """Samples of a series count by their last entry, the end of the series."""
    while values.ndim > 1:
        values = values[..., -1]
    return values


def _summary(function: Callable[..., Any]) -> str:
    doc = inspect.getdoc(function)
    return doc.splitlines()[0] if doc else function.__name__
