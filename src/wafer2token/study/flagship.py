"""The flagship claims that need no engine beyond chips and dates: power, gaps, comparisons, provenance.

Each test adds the quantities it needs to the graph and returns verdicts, one per sense.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from wafer2token import catalog
from wafer2token.evidence.errors import EvidenceError
from wafer2token.evidence.sampling import quantiles
from wafer2token.study.comparison import MEASURES, add_entity, ratio
from wafer2token.study.graph import Array, Graph
from wafer2token.study.verdict import Verdict, judge, within

_DAY_S = 86400.0
_YEAR_S = 365.25 * _DAY_S


def power_per_flop(graph: Graph) -> list[Verdict]:
    """S1-010: 910B uses about 30 % more power than H100 for the same arithmetic throughput."""
    a, b = add_entity(graph, "ascend_910b3"), add_entity(graph, "h100_sxm")
    worse = ratio(graph, "flops_per_watt", b, a)
    if worse is None:
        raise EvidenceError("no peak or no power on one of the two cards")
    rests = "board power and peak as on the datasheets, not measured under load"
    return [
        judge(graph, "S1-010", "power per operation at peak dense bf16, 910B3 over H100 SXM", "1.3 (1.2 to 1.4)", worse, within(graph, worse, 1.2, 1.4), rests),
        judge(graph, "S1-010", "910B3 needs more power per operation at peak dense bf16", "above 1", worse, graph.values[worse] > 1,
              f"the direction of the claim, whatever its size; {rests}"),
    ]  # fmt: skip


def cluster_senses(graph: Graph) -> list[Verdict]:
    """S2-011: CloudMatrix 384 outperforms an equivalent NVIDIA rack, in five senses and three more."""
    a, b = add_entity(graph, "cloudmatrix384"), add_entity(graph, "gb200_nvl72")
    keys = ("peak_bf16", "memory", "bandwidth", "flops_per_watt", "usd_per_peak", "achieved_bf16", "usd_per_effective")
    out = []
    for measure in MEASURES:
        if measure.key not in keys:
            continue
        name = ratio(graph, measure.key, a, b)
        if name is None:
            continue
        wins = graph.values[name] > 1 if measure.more_is_better else graph.values[name] < 1
        out.append(
            judge(
                graph,
                "S2-011",
                f"{measure.label}, whole system",
                "CloudMatrix 384 better",
                name,
                wins,
                "384 chips against 72",
            )
        )
    per_chip = graph.add("claims.S2-011.peak_per_chip", "1", lambda r, m, n: r * n / m, "ratio of peaks per chip",
                         r=f"compare.{a}_over_{b}.peak_bf16", m=f"compare.{a}.chips", n=f"compare.{b}.chips")  # fmt: skip
    out.append(
        judge(
            graph,
            "S2-011",
            "peak dense bf16, per chip",
            "CloudMatrix 384 better",
            per_chip,
            graph.values[per_chip] > 1,
            "one chip against one",
        )
    )
    return out


def frontier_date(peaks: Sequence[float], days: Sequence[float], value: Array) -> Array:
    """The day on which a frontier reached a value, by log-linear interpolation between its products [days].

    Outside the products it stays at the first or last.
    """
    return np.asarray(np.interp(np.log(value), np.log(np.asarray(peaks)), np.asarray(days)))


def chip_gap(graph: Graph) -> list[Verdict]:
    """S4-019: 910B was two years behind NVIDIA, 910C one year; the gap is how long before it NVIDIA shipped the same."""
    out = []
    senses = {"peak dense bf16": ("peak.bf16", "peak.fp16"), "memory bandwidth": ("memory.bandwidth",)}
    for chip_id, claimed in (("ascend_910b3", 2.0), ("ascend_910c", 1.0)):
        card = catalog.get("chip", chip_id)
        for sense, paths in senses.items():
            frontier = _frontier(paths)
            path = next(p for p in paths if p in dict(card.numbers()))
            leaf = graph.leaf(f"chip.{chip_id}.{path}")
            shipped = _day(card.first_ship)
            shipped_words = f"first shipment {str(card.first_ship).replace('..', ' to ')}"
            name = f"claims.S4-019.{chip_id}_{path.replace('.', '_')}_gap"
            graph.add(
                name,
                "year",
                partial(_gap, frontier=frontier, shipped=shipped),
                "years since NVIDIA's frontier shipped the same",
                value=leaf,
            )
            out.append(judge(graph, "S4-019", f"{sense} per chip, {chip_id}", f"{claimed - 0.5:g} to {claimed + 0.5:g} years", name,
                             within(graph, name, (claimed - 0.5) * _YEAR_S, (claimed + 0.5) * _YEAR_S),
                             f"datasheets; from {shipped_words} back to when NVIDIA's flagships, interpolated between products, shipped as much"))  # fmt: skip
    return out


def _gap(value: Array, frontier: tuple[list[float], list[float]], shipped: float) -> Array:
    return (shipped - frontier_date(*frontier, value)) * _DAY_S


def _frontier(paths: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """Values and ship days of NVIDIA's flagships."""
    values, days = [], []
    for chip_id in ("v100_sxm2_32", "a100_sxm_40", "h100_sxm", "b200_sxm"):
        card = catalog.get("chip", chip_id)
        numbers = dict(card.numbers())
        path = next((p for p in paths if p in numbers), None)
        if path and card.first_ship:
            values.append(float(numbers[path]))
            days.append(_day(card.first_ship))
    return values, days


def _day(dated: Any) -> float:
    if dated is None:
        raise EvidenceError("no ship date on the card")
    first, last = dated.span()
    return float(first.toordinal() + last.toordinal()) / 2


def node_gap(graph: Graph) -> list[Verdict]:
    """S0-043: controls were designed to hold a gap of five to seven years at the relevant nodes."""
    out = []
    for ours, theirs in (("smic_n2", "tsmc_n7"), ("smic_n3", "tsmc_n5")):
        name = f"claims.S0-043.{ours}_after_{theirs}"
        dates = [_volume(graph, process) for process in (ours, theirs)]
        graph.add(name, "year", lambda dates=dates: dates[0] - dates[1], "time between the starts of volume")
        out.append(judge(graph, "S0-043", f"{ours} after {theirs}, start of volume", "5 to 7 years", name, within(graph, name, 5 * _YEAR_S, 7 * _YEAR_S),
                         "dates known to the quarter or year; name of the node, not yield or cost", grade="analyst"))  # fmt: skip
    return out


def _volume(graph: Graph, process: str) -> Array:
    """Samples of the day on which a node went into volume, within the period that is known [s]."""
    dated = catalog.get("study", "nodes").volume_start.get(process)
    if dated is None:
        raise EvidenceError(f"{process}: no start of volume on the card study.nodes")
    first, last = dated.span()
    u = quantiles(f"study.nodes.volume_start.{process}", graph.samples, graph.seed)
    return np.asarray((first.toordinal() + (last.toordinal() - first.toordinal()) * u) * _DAY_S)


def graded_yields(graph: Graph) -> list[Verdict]:
    """S0-013: yield is not disclosed, any figure is an estimate; so none of ours may claim to be confirmed."""
    yields = [f"quantity.{card.id}.{path}" for card in catalog.all_cards("quantity").values() if card.id.startswith("yield_")
              for path, _ in card.numbers()]  # fmt: skip
    if not yields:
        raise EvidenceError("no yield on any card")
    leaves = [graph.leaf(name) for name in yields]
    confirmed = sum(graph.grade(leaf) in ("measured", "teardown") for leaf in leaves)
    name = graph.add("claims.S0-013.confirmed", "1", lambda **_: np.full(graph.samples, float(confirmed)),
                     "published yield figures that are measured or torn down", **{f"y{i}": leaf for i, leaf in enumerate(leaves)})  # fmt: skip
    return [judge(graph, "S0-013", f"of {len(yields)} published yield figures, how many are measured or torn down", "none", name,
                  graph.values[name] == 0, "a statement about the cards of this catalogue: what their sources and grades say")]  # fmt: skip


TESTS: dict[str, Callable[[Graph], list[Verdict]]] = {
    "S1-010": power_per_flop,
    "S2-011": cluster_senses,
    "S4-019": chip_gap,
    "S0-043": node_gap,
    "S0-013": graded_yields,
}
