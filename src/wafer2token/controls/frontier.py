"""The strongest chip that a regime lets through, exactly: verdicts change only where a threshold stands.

Every comparison of the rules is with a number, so along one axis (TPP at a fixed area, memory bandwidth, link
bandwidth) the verdict is constant between thresholds. Walking those breakpoints gives the frontier without a search
grid; for the October 2023 rule it equals max(1600, min(2400, 3.2 A), min(4800, 1.6 A)) for a datacenter part of area A.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from wafer2token.catalog import all_cards
from wafer2token.catalog.expression import Compare, Const, Node, Var, walk
from wafer2token.catalog.kinds.rule import RuleCard
from wafer2token.controls.items import metrics, middle
from wafer2token.controls.judge import LEVELS
from wafer2token.controls.places import destination, in_group
from wafer2token.controls.rulebook import Rulebook, bundled, formulas, parameter_value
from wafer2token.controls.ruling import DISCLAIMER, parse_date
from wafer2token.evidence.errors import InfeasibleError, InputError, Problem

_LEVEL = {"free": LEVELS["free"], "licence": LEVELS["licence"]}


@dataclass(frozen=True)
class Limit:
    """A supremum on one axis: below it the verdict is at most the one asked for; infinite where nothing binds.

    ``sure`` stays on the safe side of thresholds that are known only as a range, ``possible`` on the other.
    """

    sure: float
    possible: float
    inclusive: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain data; infinite becomes None."""
        return {k: (None if isinstance(v, float) and math.isinf(v) else v) for k, v in vars(self).items()}


@dataclass(frozen=True)
class Neighbour:
    """A product near the frontier: its TPP against the largest that its area allows."""

    item: str
    name: str
    area_mm2: float
    tpp: float
    limit: float
    below: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Design:
    """The strongest chip of one die area: strict suprema of TPP, density, memory and link bandwidth."""

    area_mm2: float
    tpp: Limit
    pd: Limit
    dram_bw_gbs: Limit
    link_gbs: Limit

    def dense_flops(self, bits: int) -> float:
        """Dense operations per second of one format at the limit [1/s]."""
        return self.tpp.sure / bits * 1e12

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {k: v.to_dict() if isinstance(v, Limit) else v for k, v in vars(self).items()}


@dataclass(frozen=True)
class Frontier:
    """Designs by die area under the rules of one date, and the products that stand near the line."""

    to: str
    on: date
    datacenter: bool
    verdict: str
    designs: tuple[Design, ...]
    neighbours: tuple[Neighbour, ...]
    disclaimer: str = DISCLAIMER

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            **vars(self),
            "designs": [d.to_dict() for d in self.designs],
            "neighbours": [n.to_dict() for n in self.neighbours],
        }


def frontier(
    areas_mm2: Sequence[float] = (),
    to: str = "CN",
    on: date | str | None = None,
    *,
    datacenter: bool = True,
    verdict: str = "free",
    rules: Rulebook | None = None,
    products: bool = True,
    **options: Any,
) -> Frontier:
    """The strongest chip for each non-planar die area that the rules of a date let through.

    Args:
        areas_mm2: die areas [mm2]; none means those of the products near the line and the largest of the catalogue.
        verdict: the strictest verdict that counts as let through, "free" or "licence".
        products: also list shipped chips of the catalogue against the line.
        options: as for ``permits`` (from_, party, view ...).

    Raises:
        InputError: an area that is not positive, an unknown verdict, or as for ``permits``.
        InfeasibleError: no chip at all is let through.
    """
    book = rules or bundled()
    day = parse_date(on, book.horizon)
    bad = [Problem("a die area must be positive", got=a) for a in areas_mm2 if not a > 0]
    if verdict not in ("free", "licence"):
        bad.append(Problem("not a verdict to design for", got=verdict, allowed="free, licence"))
    if bad:
        raise InputError(bad)
    ask = _Question(to, day, datacenter, _LEVEL[verdict], book, options)
    near = tuple(_neighbours(ask)) if products or not areas_mm2 else ()
    areas = areas_mm2 or sorted({n.area_mm2 for n in near} | {max(_areas())})
    designs = tuple(_design(float(a), ask) for a in areas)
    return Frontier(destination(to).code, day, datacenter, verdict, designs, near)


@dataclass(frozen=True)
class _Question:
    to: str
    on: date
    datacenter: bool
    level: int
    book: Rulebook
    options: Mapping[str, Any]

    def passes(self, **values: Any) -> tuple[Any, Any]:
        """Where chips with these values are surely, and possibly, let through."""
        from wafer2token.controls.arrays import permits

        given = {"datacenter": self.datacenter, "us_market": True, "us_content": True, **values}
        found = permits(given, self.on, to=self.to, rules=self.book, settle=True, **self.options)
        return found.ceiling <= self.level, found.floor <= self.level


_HAIR = 1e-12
"""How far inside a strict limit the other axes are read, relative."""

_IDLE = {"dram_bw_gbs": 0.0, "link_gbs": 0.0, "io_gbs": 0.0}


def _design(area: float, ask: _Question) -> Design:
    strongest = _strongest(area, ask)
    if strongest.sure == 0:
        raise InfeasibleError("no chip is let through", "ask for the verdict licence, or for another date")
    largest = max((t for t in _thresholds("tpp", ask)), default=1.0)
    inside = strongest.sure * (1 - _HAIR) if math.isfinite(strongest.sure) else largest * 2
    base = {"tpp": inside, "pd": inside / area}
    memory = _supremum({*_thresholds("dram_bw_gbs", ask)}, lambda v: ask.passes(**base, **{**_IDLE, "dram_bw_gbs": v}))
    links = {*_thresholds("link_gbs", ask), *_thresholds("io_gbs", ask)}
    link = _supremum(links, lambda v: ask.passes(**base, **{**_IDLE, "link_gbs": v, "io_gbs": v}))
    density = Limit(strongest.sure / area, strongest.possible / area, strongest.inclusive)
    return Design(area, strongest, density, memory, link)


def _strongest(area: float, ask: _Question) -> Limit:
    """The limit of TPP at one area; on a density's own threshold the density is taken as written, not as a quotient."""
    written = {c * area: c for c in _thresholds("pd", ask)}

    def passes(tpp: Any) -> tuple[Any, Any]:
        return ask.passes(tpp=tpp, pd=[written.get(float(v), float(v) / area) for v in tpp], **_IDLE)

    return _supremum({*_thresholds("tpp", ask), *written}, passes)


def _supremum(cuts: set[float], passes: Callable[[Any], tuple[Any, Any]]) -> Limit:
    """The largest value below which a chip passes: the last passing piece between breakpoints, each read at its middle."""
    import numpy as np

    edges = np.array([0.0, *sorted(c for c in cuts if c > 0)])
    middles = np.append((edges[:-1] + edges[1:]) / 2, edges[-1] * 2 + 1)
    ends = np.append(edges[1:], math.inf)
    between, at = passes(middles), passes(edges)
    tops = []
    for inside, on_edge in zip(between, at, strict=True):
        reached = [*ends[np.flatnonzero(inside)], *edges[np.flatnonzero(on_edge)], 0.0]
        tops.append(float(max(reached)))
    return Limit(tops[0], tops[1], bool(math.isinf(tops[0]) or at[0][edges == tops[0]].any()))


def _thresholds(axis: str, ask: _Question) -> Iterator[float]:
    """Every number that a rule compares with this variable, both ends of a range."""
    for rule in ask.book:
        for formula in formulas(rule):
            for node in walk(formula.tree):
                if isinstance(node, Compare):
                    yield from _compared(node, axis, rule, ask.on)


def _compared(node: Compare, axis: str, rule: RuleCard, on: date) -> Iterator[float]:
    for name, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(name, Var) and name.name == axis:
            yield from _number(other, rule, on)


def _number(node: Node, rule: RuleCard, on: date) -> Iterator[float]:
    if isinstance(node, Const):
        yield node.value
    elif isinstance(node, Var) and node.name in rule.parameter:
        yield from parameter_value(rule.parameter[node.name], on) or ()


def _areas() -> list[float]:
    """The non-planar die areas of the datacenter chips in the catalogue [mm2]."""
    found = [middle(metrics(c).area_mm2) for c in all_cards("item").values() if c.category == "chip" and c.datacenter]
    return [a for a in found if a]


def _neighbours(ask: _Question) -> Iterator[Neighbour]:
    """Chips of the catalogue with known area and TPP that lie within a tenth of the line, below it first."""
    dest = destination(ask.to)
    found = []
    for card in all_cards("item").values():
        if card.category != "chip" or in_group(dest, "D:5", ask.on) is None or card.datacenter is not ask.datacenter:
            continue
        seen = metrics(card)
        area, total = middle(seen.area_mm2), middle(seen.tpp)
        if area is None or total is None or card.designer_hq == "CN":
            continue
        limit = _strongest(area, ask).sure
        if math.isfinite(limit) and abs(total / limit - 1) <= 0.1:
            found.append(Neighbour(card.id, card.name, area, total, limit, 1 - total / limit))
    yield from sorted(found, key=lambda n: n.below)
