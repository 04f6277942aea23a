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
    out = []
    for sense, key in (("at peak dense bf16", "flops_per_watt"),):
        worse = ratio(graph, key, b, a)
        if worse:
            out.append(judge(graph, "S1-010", f"power per operation {sense}, 910B3 over H100 SXM", "1.3 (1.2 to 1.4)", worse, within(graph, worse, 1.2, 1.4),
                             "board power at the datasheet figure, not measured under load"))  # fmt: skip
            out.append(judge(graph, "S1-010", f"910B3 needs more power per operation {sense}", "above 1", worse, graph.values[worse] > 1,
                             "the direction of the claim, whatever its size"))  # fmt: skip
    return out


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
            name = f"claims.S4-019.{chip_id}_{path.replace('.', '_')}_gap"
            graph.add(
                name,
                "year",
                partial(_gap, frontier=frontier, shipped=shipped),
                "years since NVIDIA's frontier shipped the same",
                value=leaf,
            )
            out.append(judge(graph, "S4-019", f"{sense} per chip, {chip_id}", f"{claimed:g} years (+-0.5)", name,
                             within(graph, name, (claimed - 0.5) * _YEAR_S, (claimed + 0.5) * _YEAR_S),
                             "hardware on the datasheet; between NVIDIA's flagships the frontier is interpolated"))  # fmt: skip
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
    """S0-013: no yield figure is independently confirmed, so each must carry its evidence grade."""
    yields = [(f"{kind}.{card.id}.{path}", number)
              for kind in ("process", "quantity", "memory", "supply")
              for card in catalog.all_cards(kind).values()
              for path, number in card.numbers()
              if "yield" in f"{card.id}.{path}"]  # fmt: skip
    if not yields:
        raise EvidenceError("no yield on any card")
    confirmed = sum(n.grade in ("measured", "teardown") for _, n in yields)
    name = graph.add(
        "claims.S0-013.confirmed_share",
        "1",
        lambda: np.full(graph.samples, confirmed / len(yields)),
        "share of yield figures that are measured or torn down",
    )
    return [judge(graph, "S0-013", f"{len(yields)} yield figures on cards, each with grade and source; share independently confirmed", "0", name,
                  graph.values[name] <= 0.1, "a figure counts as confirmed when its grade is measured or teardown")]  # fmt: skip


TESTS: dict[str, Callable[[Graph], list[Verdict]]] = {
    "S1-010": power_per_flop,
    "S2-011": cluster_senses,
    "S4-019": chip_gap,
    "S0-043": node_gap,
    "S0-013": graded_yields,
}
