"""The page of a supply run: bands, what binds, flows, drivers, statements, losses, dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wafer2token import __version__
from wafer2token.evidence.errors import EvidenceError
from wafer2token.report.blocks import Column, Section, Table
from wafer2token.report.charts import binding, dependencies, sankey, supply_bands, tornado
from wafer2token.report.names import name_of, stage_of
from wafer2token.report.page import page
from wafer2token.supply import SupplyResult
from wafer2token.supply.backtest import backtest, posterior
from wafer2token.supply.dependency import Network
from wafer2token.supply.drivers import drivers_of, rests_on
from wafer2token.supply.flows import Link, silicon, stacks
from wafer2token.supply.worth import knock_outs

LEVELS = (0.05, 0.5, 0.95)
LOSSES = ("scrapped dies", "scrapped packages")
STOCKS = ("into stock", "out of stock", "die bank")
DRAWN_YEARS = 2


def supply_page(result: SupplyResult) -> str:
    """The report of a supply run as one HTML file; the same result gives the same bytes."""
    years = list(result.yearly("units.ascend"))
    sections = [*_bands(result), *_flows(result, years[-DRAWN_YEARS - 2 : -2] or years[:1]), *_drivers(result, years[-DRAWN_YEARS:]),
                _statements(result), *_posterior(result), _losses(result), *_dependencies(), *_fleets(result, years), _inputs(result)]  # fmt: skip
    meta = {"scenario": result.scenario, "what it is": result.nature, "seed": result.seed, "version": __version__,
            "data": result.fingerprint[:12]}  # fmt: skip
    headlines = [
        (f"Ascend chips made in {year}", _interval(units), _assumed(result, year)) for year, units in result.yearly("units.ascend").items()
    ]
    return page("Supply: from wafers to fleets", sections, meta, subtitle=result.title, headlines=headlines[:4])


def _interval(units: Any) -> str:
    p5, p50, p95 = (f"{x / 1e3:,.0f}" for x in np.quantile(units, LEVELS))
    return f"{p50} k ({p5}-{p95} k)"


def _assumed(result: SupplyResult, year: int) -> str:
    names = rests_on(result)[result.timeline.year(year).stop - 1]
    return f"rests on assumed {', '.join(names[:2])}" if names else "no assumed input moves it notably"


def _bands(result: SupplyResult) -> list[Section]:
    shares, quarters = result.binding_share, result.quarters
    binds = [stage_of(max(shares, key=lambda s: float(shares[s][q]))) for q in range(len(quarters))]
    p5, p50, p95 = (values.tolist() for values in result.quantiles("units.ascend"))
    words = [stage_of(stage) for stage in result.stages]
    text = (f"A {result.nature}. Each bar runs from p5 to p95 and takes the colour of the stage that binds in most samples.")
    return [
        Section("chips", "Chips by quarter", text, supply_bands(quarters, p5, p50, p95, binds, name="Ascend chips made",
                                                                  unit="chips per quarter", stages=words)),
        Section("binds", "What binds", "Share of the samples in which a stage limits Huawei's packaging: the stage whose loosening by 1 % "
                "raises the starts of the quarter the most.", binding(quarters, words, [shares[s].tolist() for s in result.stages]), level=3),
    ]  # fmt: skip


def _flows(result: SupplyResult, years: Sequence[int]) -> list[Section]:
    out: list[Section] = []
    for year in years:
        for what, links, unit in (("Dies", silicon(result, year), "dies"), ("HBM stacks", stacks(result, year), "stacks")):
            kept = netted(links)
            names = list(dict.fromkeys(n for link in kept for n in (link.source, link.target)))
            nodes = [{"name": name_of(n), "kind": "loss" if n in LOSSES else "stock" if n in STOCKS else "flow"} for n in names]
            drawn = [{"source": name_of(k.source), "target": name_of(k.target), "value": k.value} for k in kept]
            out.append(Section(f"flow-{year}-{unit}", f"{what} of {year}", "Means over the samples; they add up at every node.",
                               sankey(nodes, drawn, unit=unit), level=2 if not out else 3))  # fmt: skip
    return out


def netted(links: Sequence[Link]) -> list[Link]:
    """Links without the way back of parts that rework wins: packaging takes them net, so that nothing runs in a circle."""
    won = sum(link.value for link in links if link.target == "won back")
    plain = [link for link in links if "won back" not in (link.source, link.target)]
    return [Link(k.source, k.target, k.value - won, k.unit) if k.target == "packaging" else k for k in plain]


def _drivers(result: SupplyResult, years: Sequence[int]) -> list[Section]:
    out: list[Section] = []
    for year in years:
        units = result.yearly("units.ascend")[year]
        found = drivers_of(result, units, result.timeline.year(year).stop - 1, 10)
        bars = [{"name": f"{d.name} ({d.grade})", "low": d.low, "high": d.high, "at_low": "lowest tenth", "at_high": "highest tenth"} for d in found]
        chart = tornado(bars, centre=float(np.median(units)), name=f"Ascend chips of {year}", unit="chip")
        out.append(Section(f"drivers-{year}", f"What moves the chips of {year}", "Median of the year where an input lies in its lowest and its "
                           "highest tenth, with the input's grade.", chart, level=2 if not out else 3))  # fmt: skip
    return out


def _statements(result: SupplyResult) -> Section:
    rows = [{"by": s.by, "statement": s.statement.replace("_", " "), "of": s.measures, "when": s.when, "said": s.value,
             "model": (s.p5, s.p50, s.p95), "quantile": s.quantile, "crps": s.crps, "note": s.note} for s in backtest(result)]  # fmt: skip
    columns = [Column("by", "by"), Column("statement", "is a"), Column("of", "of"), Column("when", "when"), Column("said", "said", kind="number"),
               Column("model", "model", kind="interval"), Column("quantile", "quantile", kind="number"), Column("crps", "CRPS", kind="number"),
               Column("note", "note")]  # fmt: skip
    return Section("statements", "Published statements, one by one", "Forecasters are never averaged. The quantile is the share of samples at or below what "
                   "was said; CRPS is in the unit of the statement, lower is better.", table=Table(columns, rows))  # fmt: skip


def _posterior(result: SupplyResult) -> list[Section]:
    if result.given:
        return []
    try:
        found = posterior(result)
    except EvidenceError:
        return []
    rows = [{"given": e.observation, "year": e.year, "prior": e.prior, "posterior": e.posterior, "samples": e.effective_samples} for e in found.effects]
    columns = [Column("given", "given"), Column("year", "year"), Column("prior", "prior", kind="interval"),
               Column("posterior", "posterior", kind="interval"), Column("samples", "effective samples", kind="number")]  # fmt: skip
    moved = ", ".join(f"{name} {shift:+.2f}" for name, shift in found.moved[:5])
    return [Section("posterior", "What each observation does", f"Only counts and bounds have a likelihood. Inputs moved most (mean rank): {moved}.",
                    table=Table(columns, rows), level=3)]  # fmt: skip


def _losses(result: SupplyResult) -> Section:
    rows = [{"without": k.title, "year": k.year, "left": tuple(100 * x for x in k.left), "below": k.quarters_below_half, "first": k.first_below_half}
            for k in knock_outs(result)]  # fmt: skip
    columns = [Column("without", "without"), Column("year", "year"), Column("left", "chips left", "%", kind="interval"),
               Column("below", "quarters below half", kind="number"), Column("first", "first of them")]  # fmt: skip
    return Section("losses", "What survives a loss", "Share of the Ascend chips of a year that is still made, on the same samples.", table=Table(columns, rows))


def _dependencies() -> list[Section]:
    network = Network()
    countries = sorted({s.country for step in network.steps.values() for s in step.suppliers if s.status == "in use"})
    nodes: list[dict[str, Any]] = [{"id": country, "text": ""} for country in countries]
    nodes += [{"id": step.id, "text": "", "grade": step.grade} for step in network.steps.values() if step.id != "new_designs"]
    kept = {n["id"] for n in nodes}
    edges = [(country, step.id) for step in network.steps.values() if step.id in kept
             for country in sorted({s.country for s in step.suppliers if s.status == "in use"})]  # fmt: skip
    edges += [(other, step.id) for step in network.steps.values() if step.id in kept for other in (*step.all_of, *step.any_of)]
    cuts = [" + ".join(sorted(cut)) for cut in network.cut_sets("country", ["CN"])]
    text = f"Who does which step today, by country. Outside China, the smallest losses that stop production: {'; '.join(cuts)}."
    rows = [{"step": network.steps[row["step"]].name, "countries": ", ".join(row["countries"]), "in": ", ".join(row["in use"]),
             "blocked": ", ".join(row["blocked"]), "unproven": ", ".join(row["unproven"]), "grade": row["grade"]} for row in network.table()]  # fmt: skip
    columns = [Column("step", "step"), Column("countries", "in use from"), Column("in", "in use"), Column("blocked", "blocked"),
               Column("unproven", "unproven"), Column("grade", "grade", kind="grade")]  # fmt: skip
    return [Section("suppliers", "Dependencies", text, dependencies(nodes, edges), Table(columns, rows))]


def _fleets(result: SupplyResult, years: Sequence[int]) -> list[Section]:
    out: list[Section] = []
    for view, title in (("pathway", "by pathway"), ("owner", "by owner")):
        groups = result.by(view, "h100e")
        rows = [{"group": group} | {str(year): tuple(np.quantile(values[:, result.timeline.year(year).stop - 1], LEVELS)) for year in years}
                for group, values in groups.items()]  # fmt: skip
        columns = [Column("group", view), *(Column(str(year), f"end of {year}", "H100e", kind="interval") for year in years)]
        out.append(Section(f"fleet-{view}", f"Compute in use {title}", "Dense bf16 against the H100, after failures and retirement; what is rented abroad "
                           "is hours, not chips.", table=Table(columns, rows), level=2 if not out else 3))  # fmt: skip
    return out


def _inputs(result: SupplyResult) -> Section:
    rows = [{"input": card.id, "what": card.name, "value": card.value.show(), "grade": card.value.grade, "claimants": ", ".join(c.by for c in card.value.claims),
             "set": result.inputs.changed.get(card.id, "")} for card in result.inputs.cards.values()]  # fmt: skip
    columns = [Column("input", "input"), Column("what", "what"), Column("value", "central value"), Column("grade", "weakest grade", kind="grade"),
               Column("claimants", "claimants"), Column("set", "set by the scenario")]  # fmt: skip
    return Section("inputs", "Inputs", "Every number the run stands on; `w2t show NAME` has its sources.", table=Table(columns, rows))
