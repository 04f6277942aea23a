"""The flagship claims that need the engines: slowdown, lag, cost of independence, units, demand, what binds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wafer2token import catalog
from wafer2token.evidence.errors import EvidenceError
from wafer2token.study import economics
from wafer2token.study.comparison import divide
from wafer2token.study.graph import Array, Graph
from wafer2token.study.verdict import Verdict, judge, within

_YEAR_S = 365.25 * 86400.0
_DOMESTIC = ("ascend_910c", "cloudmatrix384", "ascend_910b3")
_FOREIGN = ("h100_sxm", "h800_sxm", "gb200_nvl72")


def training_pairs(graph: Graph) -> list[tuple[str, str]]:
    """(domestic, foreign) prefixes of training runs of the same model in this run."""
    prefixes = [n.removesuffix(".mfu") for n in graph.quantities if n.startswith("train.") and n.endswith(".mfu")]
    by_model: dict[str, dict[str, str]] = {}
    for prefix in prefixes:
        _, model, fleet = prefix.split(".", 2)
        by_model.setdefault(model, {})[fleet.rsplit("_x", 1)[0]] = prefix
    pairs = []
    for fleets in by_model.values():
        ours = next((fleets[d] for d in _DOMESTIC if d in fleets), None)
        theirs = next((fleets[f] for f in _FOREIGN if f in fleets), None)
        if ours and theirs:
            pairs.append((ours, theirs))
    return pairs


def training_slowdown(graph: Graph, details: Mapping[str, Any]) -> list[Verdict]:
    """S1-030: a three-month run on NVIDIA takes five to seven months on comparable Ascend; split into its factors."""
    out = []
    for ours, theirs in training_pairs(graph):
        model = ours.split(".")[1]
        base = f"claims.S1-030.{model}"
        graph.add(
            f"{base}.mfu_ratio",
            "1",
            divide,
            "MFU there over MFU here, each against its own peak",
            amount=f"{ours}.mfu",
            per=f"{theirs}.mfu",
        )
        graph.add(
            f"{base}.availability_ratio",
            "1",
            divide,
            "share of wall time that trains, there over here",
            amount=f"{ours}.goodput",
            per=f"{theirs}.goodput",
        )
        engineering = graph.leaf("study.iteration.engineering")
        name = graph.add(f"{base}.slowdown", "1", economics.slowdown, mfu_ratio=f"{base}.mfu_ratio",
                         availability_ratio=f"{base}.availability_ratio", engineering=engineering)  # fmt: skip
        pair = f"{ours.split('.')[-1]} against {theirs.split('.')[-1]}"
        medians = ", ".join(f"{label} {np.median(graph.values[q]):.2f}" for label, q in
                            (("MFU", f"{base}.mfu_ratio"), ("availability", f"{base}.availability_ratio"), ("engineering", engineering)))  # fmt: skip
        out.append(
            judge(
                graph,
                "S1-030",
                f"time at equal peak of the precision used, {model}, {pair}",
                "5/3 to 7/3",
                name,
                within(graph, name, 5 / 3, 7 / 3),
                f"factors: {medians}; {_precisions(details, ours, theirs)}",
            )
        )
        chips = graph.add(f"{base}.slowdown_equal_chips", "1", economics.slowdown, "the same with tokens/s per chip in place of MFU",
                          mfu_ratio=_rate_ratio(graph, base, ours, theirs), availability_ratio=f"{base}.availability_ratio", engineering=engineering)  # fmt: skip
        out.append(judge(graph, "S1-030", f"time at an equal number of chips, {model}, {pair}", "5/3 to 7/3", chips, within(graph, chips, 5 / 3, 7 / 3),
                         "one chip there for one chip here"))  # fmt: skip
    if not out:
        raise EvidenceError("the scenario trains no model on both an Ascend and an NVIDIA fleet")
    return out


def _precisions(details: Mapping[str, Any], ours: str, theirs: str) -> str:
    """In which precision the two trained (utilisation is of that precision's peak), and how many runs each rests on."""
    answers = [details.get(p, {}).get("answer", {}) for p in (ours, theirs)]
    there, here = (a.get("precision", "?") for a in answers)
    precision = f"both in {here}" if here == there else f"{there} there against {here} here, each of its own peak"
    runs_there, runs_here = (a.get("calibration_points", 0) for a in answers)
    return f"{precision}; software calibrated on {runs_there} published runs there, {runs_here} here"


def _rate_ratio(graph: Graph, base: str, ours: str, theirs: str) -> str:
    key = "tokens_per_s_per_chip"
    return graph.add(
        f"{base}.rate_ratio",
        "1",
        divide,
        "tokens/s per chip, there over here",
        amount=f"{ours}.{key}",
        per=f"{theirs}.{key}",
    )


def lag(graph: Graph, details: Mapping[str, Any]) -> list[Verdict]:
    """S1-032: in six months the gap may look similar, in eighteen wider."""
    k = next((n for n in graph.quantities if n.startswith("claims.S1-030.") and n.endswith(".slowdown")), None)
    if k is None:
        raise EvidenceError("needs the training slowdown (S1-030)")
    initial, error = graph.leaf("study.iteration.lag"), graph.leaf("study.iteration.lag_error")
    diffusion = graph.leaf("study.iteration.diffusion")
    month = 365.25 * 86400 / 12
    out = []
    for months, wider, words in ((6, False, "looks similar"), (18, True, "is wider")):
        name = f"claims.S1-032.lag_{months}_months"
        today, finest = np.median(graph.values[initial]) / month, np.median(graph.values[error]) / month
        claimed = f"more than {finest:.0f} months above today's {today:.0f}" if wider else f"within {finest:.0f} months of today's {today:.0f}"
        elapsed = months * month
        graph.add(name, "month", lambda g, k, c, elapsed=elapsed: economics.iteration_lag(g, np.maximum(k, 1.0), c, elapsed),
                  "lag from dG/dt = (1 - 1/k) - c G", g=initial, k=k, c=diffusion)  # fmt: skip
        growth = graph.values[name] - graph.values[initial]
        holds = (growth > graph.values[error]) if wider else (np.abs(growth) <= graph.values[error])
        out.append(judge(graph, "S1-032", f"after {months} months the gap {words}", claimed, name, holds,
                         f"computed is the lag then; slowdown of {k.split('.')[2]} at equal peak, none below 1; diffusion between none and what holds today's lag steady"))  # fmt: skip
    return out


def cost_of_independence(graph: Graph, details: Mapping[str, Any]) -> list[Verdict]:
    """S1-033: about twice the time and money may be worth it for independence."""
    out = []
    for ours, theirs in training_pairs(graph):
        model = ours.split(".")[1]
        if not {f"{ours}.cost", f"{theirs}.cost"} <= graph.quantities.keys():
            continue
        name = graph.add(
            f"claims.S1-033.{model}.cost_ratio",
            "1",
            divide,
            "cost of the same training, there over here",
            amount=f"{ours}.cost",
            per=f"{theirs}.cost",
        )
        out.append(judge(graph, "S1-033", f"cost of training {model}, {ours.split('.')[-1]} against {theirs.split('.')[-1]}", "2 (1.6 to 2.4)", name, within(graph, name, 1.6, 2.4),
                         "hardware ownership and power over the run; no staff, buildings or network beyond the system price"))  # fmt: skip
        worth = graph.add(f"claims.S1-033.{model}.break_even_loss", "1", economics.break_even_loss, cost_ratio=name,
                          hazard=graph.leaf("study.iteration.hazard"), horizon=graph.leaf("study.iteration.horizon"))  # fmt: skip
        out.append(judge(graph, "S1-033", f"what independence is worth, {model}: it pays where being cut off would lose more than this many training budgets", "less than 1", worth, graph.values[worth] < 1,
                         "one budget = cost of the training on the foreign chips; hazard of a new control per year and planning horizon are assumed; at or below 0 it pays anyway"))  # fmt: skip
    if not out:
        raise EvidenceError("no pair of training runs with a cost on both sides")
    return out


def units_of_2025(graph: Graph, details: Mapping[str, Any]) -> list[Verdict]:
    """S2-026: Huawei can make only 200,000 AI chips a year; scored against every claimant of 2025."""
    name = "supply.units_2025"
    if name not in graph.quantities:
        raise EvidenceError("the scenario runs no supply, or stops before 2025")
    values = graph.values[name]
    out = [
        judge(
            graph,
            "S2-026",
            "Ascend chips made in 2025 are at most 200,000",
            "<= 200,000",
            name,
            values <= 200_000,
            "prior predictive: no fit to unit claims",
        )
    ]
    for by, value in details.get("supply", {}).get("claimants_2025", {}).items():
        quantile = float(np.mean(values <= value))
        close = np.abs(np.log(values / value)) <= np.log(1.25)
        out.append(
            judge(
                graph,
                "S2-026",
                f"{by}: {value:,.0f}; its place in the prediction is quantile {quantile:.2f}",
                f"{value:,.0f} within 25 %",
                name,
                close,
                "prior predictive",
            )
        )
    return out


def supply_and_demand(graph: Graph, details: Mapping[str, Any]) -> list[Verdict]:
    """S4-038: at current yields not enough accelerators can be made to meet demand."""
    out = []
    for year in (2025, 2026, 2027):
        name, demand = f"supply.units_{year}", details.get("supply", {}).get("demand", {}).get(str(year))
        if name not in graph.quantities or demand is None:
            continue
        number = catalog.number(demand["number"])
        leaf = graph.leaf(demand["number"], number)
        price = graph.leaf("chip.ascend_910c.price")
        share = graph.add(
            f"claims.S4-038.share_{year}",
            "1",
            _value_share,
            "Ascend output at the price of a 910C over demand in money",
            units=name,
            price=price,
            demand=leaf,
        )
        out.append(judge(graph, "S4-038", f"Ascend output meets less than demand in {year}", "below 1", share, graph.values[share] < 1,
                         "demand in money from analysts, all vendors; Ascend alone against it"))  # fmt: skip
    if not out:
        raise EvidenceError("no supply run, or no demand figure")
    return out


def _value_share(units: Array, price: Array, demand: Array) -> Array:
    return units / _YEAR_S * price / demand


def what_binds(graph: Graph, details: Mapping[str, Any]) -> list[Verdict]:
    """S4-003: constraints span design, manufacturing, equipment and memory; which stage binds, and does it change?"""
    supply = details.get("supply", {})
    if "binding_share" not in supply:
        raise EvidenceError("the scenario runs no supply")
    peaks = {stage: max(by_quarter) for stage, by_quarter in supply["binding_share"].items()}
    told = ", ".join(f"{stage} {peak:.0%}" for stage, peak in sorted(peaks.items(), key=lambda x: -x[1]) if peak >= 0.01)
    name = "supply.stages_binding"
    rests = f"a stage counts once it binds in one quarter; its largest share of the samples in any quarter: {told}"
    return [
        judge(graph, "S4-003", "more than one stage of the chain binds over the quarters", "2 or more stages", name, graph.values[name] > 1, rests)
    ]  # fmt: skip


def premium_and_resilience(graph: Graph, details: Mapping[str, Any]) -> list[Verdict]:
    """S1-036: costlier and less efficient, but more resilient to the next control."""
    out = []
    for ours, theirs in training_pairs(graph):
        name = f"claims.S1-033.{ours.split('.')[1]}.cost_ratio"
        if name in graph.quantities:
            out.append(
                judge(
                    graph,
                    "S1-036",
                    f"costlier: cost of training {ours.split('.')[1]}, {ours.split('.')[-1]} against {theirs.split('.')[-1]}",
                    "above 1",
                    name,
                    graph.values[name] > 1,
                    "hardware ownership and power over the run",
                )
            )
    for knocked, words in (("no_foreign_hbm", "no foreign HBM"), ("no_die_bank", "no bank of foreign dies")):
        key = f"supply.{knocked}.share_kept_2026"
        if key in graph.quantities:
            out.append(judge(graph, "S1-036", f"resilient: share of 2026 output kept with {words}", "at least 0.5", key,
                             graph.values[key] >= 0.5, "the same draws without the input from the start; above 1 where the other input then lasts longer"))  # fmt: skip
    if not out:
        raise EvidenceError("needs a training pair and the knock-outs of the supply run")
    return out


TESTS: dict[str, Callable[[Graph, Mapping[str, Any]], list[Verdict]]] = {
    "S1-030": training_slowdown,
    "S1-032": lag,
    "S1-033": cost_of_independence,
    "S2-026": units_of_2025,
    "S4-038": supply_and_demand,
    "S4-003": what_binds,
    "S1-036": premium_and_resilience,
}
NEED_TRAINING = {"S1-030", "S1-032", "S1-033", "S1-036"}
NEED_SUPPLY = {"S2-026", "S4-038", "S4-003", "S1-036"}
