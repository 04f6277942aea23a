"""The page of a run: the chain from wafers to tokens, side by side, claims, drivers, sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wafer2token import catalog
from wafer2token.evidence.units import format_range, unit_scale
from wafer2token.report.blocks import Chart, Column, Section, Table
from wafer2token.report.charts import binding, claims_table, sankey, side_by_side, supply_bands, tornado
from wafer2token.report.names import name_of, stage_of
from wafer2token.report.page import page
from wafer2token.report.run_flows import chain_flow
from wafer2token.report.run_rules import export_section
from wafer2token.study.chain import slug
from wafer2token.study.comparison import MEASURES
from wafer2token.study.result import Row, RunResult
from wafer2token.study.sensitivity import explained

_ROWS = (
    Column("item", "item"),
    Column("measure", "measure"),
    Column("value", "p50 (p5-p95)"),
    Column("grade", "weakest grade", kind="grade"),
)

_MORE_IS_BETTER = ("tokens/s", "MFU")


def run_page(result: RunResult) -> str:
    """The report of a run as one HTML file."""
    scenario = result.scenario
    sections = [s for s in (*_supply(result), *_comparisons(result), *_engines(result), export_section(result), _claims(result), *_drivers(result),
                            _gaps(result), _sources(result)) if s is not None]  # fmt: skip
    meta = {"scenario": scenario.name, "seed": scenario.seed, "samples": f"{scenario.samples:,}", "version": result.version,
            "data": result.fingerprint[:12]}  # fmt: skip
    return page("From the wafer to the token", sections, meta, subtitle=scenario.title, headlines=headlines(result))


def headlines(result: RunResult) -> list[tuple[str, str, str]]:
    """The few figures to see first."""
    wanted = ("supply.units_2025", "supply.units_2026")
    out = [(r.measure, _value(r), f"weakest evidence: {r.grade}") for r in result.rows if r.name in wanted]
    for verdict in result.verdicts:
        if verdict.claim == "S1-030" and "equal peak" in verdict.sense:
            out.append(
                (
                    "training time, Ascend over NVIDIA, equal peak",
                    format_range(verdict.p5, verdict.p50, verdict.p95, "1"),
                    verdict.conditions,
                )
            )
            break
    out += [(f"{_fleet(r)}: {r.measure}", _value(r), f"weakest evidence: {r.grade}") for r in result.rows
            if r.section == "serve" and r.name.endswith("decode_per_chip")][:2]  # fmt: skip
    return out


def _value(row: Row) -> str:
    return format_range(row.p5, row.p50, row.p95, row.unit)


def _table(rows: Sequence[Row]) -> Table:
    columns = [c for c in _ROWS if c.key != "item" or any(r.item != r.section for r in rows)]
    return Table(columns, [{"item": r.item, "measure": r.measure, "value": _value(r), "grade": r.grade} for r in rows])


def _supply(result: RunResult) -> list[Section]:
    facts = result.details.get("supply", {})
    made = result.series.get("supply.units.ascend")
    if not facts or made is None:
        return []
    quarters, stages, shares = facts["quarters"], facts["stages"], facts["binding_share"]
    binds = [stage_of(max((shares[s][q], s) for s in stages)[1]) for q in range(len(quarters))]
    words = [stage_of(s) for s in stages]
    scale = unit_scale(made["unit"])[0]
    p5, p50, p95 = ([float(x) / scale for x in made[p]] for p in ("p5", "p50", "p95"))
    bands = supply_bands(quarters, p5, p50, p95, binds,
                         name="Ascend chips made", unit="chips per quarter", stages=words)  # fmt: skip
    out = [
        Section("supply", "Supply: chips by quarter", "A prior predictive: nothing is fitted to the unit counts that are published. "
                "Each bar runs from p5 to p95 and takes the colour of the stage that binds in most samples.", bands),
        Section("binds", "What binds", "Share of the samples in which a stage limits Huawei's packaging.",
                binding(quarters, words, [shares[s] for s in stages]), level=3),
    ]  # fmt: skip
    for year in ("2026", "2025"):
        if year in facts["flows"]:
            nodes, links = chain_flow(facts["flows"][year], tokens_per_chip(result))
            text = (f"Mean flows of {year} in dies: what leaves the fab, what the foreign stock adds, what is lost, which chips result, "
                    "and how many tokens per second the 910C among them could decode at the rate below.")  # fmt: skip
            out.append(
                Section("flow", f"From wafers to tokens, {year}", text, sankey(nodes, links, unit="dies"), level=3)
            )
            break
    rows = [r for r in result.rows if r.section == "supply"]
    return [*out, Section("supply-table", "Supply in figures", "", table=_table(rows), level=3)]


def tokens_per_chip(result: RunResult) -> float | None:
    """Median decode rate per 910C in the first service of the run on CloudMatrix [token/s]."""
    for row in result.rows:
        if row.name.startswith("serve.") and row.name.endswith("cloudmatrix384.decode_per_chip"):
            return row.p50
    return None


def _comparisons(result: RunResult) -> list[Section]:
    out = []
    by_name = {r.name: r for r in result.rows}
    for i, (a, b) in enumerate(result.pairs()):
        metrics = []
        for measure in MEASURES:
            rows = {x: by_name.get(f"compare.{x}.{measure.key}") for x in (a, b)}
            if measure.key == "chips" or not any(rows.values()):
                continue
            values = {name_of(x): (r.p5, r.p50, r.p95) if r else None for x, r in rows.items()}
            grade = next(r.grade for r in rows.values() if r)
            better = {True: "higher", False: "lower", None: ""}[measure.more_is_better]
            metrics.append(
                {"name": measure.label, "unit": measure.unit, "values": values, "better": better, "grade": grade}
            )
        text = (
            "One draw serves both sides, so that what they share cancels. Effective: what a large matrix product reaches."
            if i == 0
            else ""
        )
        out.append(
            Section(
                f"compare-{a}-{b}",
                f"{name_of(a)} against {name_of(b)}",
                text,
                side_by_side([name_of(a), name_of(b)], metrics),
            )
        )
    return out


def _engines(result: RunResult) -> list[Section]:
    out = []
    scenario = result.scenario
    asked = {("train", slug(t.model)): f"{t.tokens.removesuffix('token').strip()} tokens. The best plan that the search finds on each fleet; "
             "time includes failures and restarts; MFU is of the peak of the precision used." for t in scenario.training}
    asked |= {("serve", slug(s.model)): f"Steady state at {s.tpot} per output token, prompts of {s.isl:,} tokens and answers of {s.osl:,}; "
              "prefill and decode on separate chips." for s in scenario.serving}  # fmt: skip
    titles = {"train": "Training", "serve": "Serving"}
    for section, title in titles.items():
        rows = [r for r in result.rows if r.section == section]
        for model in dict.fromkeys(r.item.split(".")[0] for r in rows):
            of_model = [r for r in rows if r.item.split(".")[0] == model]
            out.append(
                Section(
                    f"{section}-{model}",
                    f"{title}: {name_of(model)}",
                    asked.get((section, model), ""),
                    _bars(of_model),
                    _plans(result, section, of_model),
                )
            )
    return out


def _fleet(row: Row) -> str:
    return name_of(row.item.split(".")[-1])


def _place(row: Row) -> str:
    return ", ".join(name_of(part) for part in row.item.split("."))


def _bars(rows: Sequence[Row]) -> Chart:
    fleets = list(dict.fromkeys(_fleet(r) for r in rows))
    metrics = []
    for measure in dict.fromkeys(r.measure for r in rows):
        of_measure = {_fleet(r): r for r in rows if r.measure == measure}
        values = {
            f: (of_measure[f].p5, of_measure[f].p50, of_measure[f].p95) if f in of_measure else None for f in fleets
        }
        first = next(iter(of_measure.values()))
        better = "higher" if any(word in measure for word in _MORE_IS_BETTER) else "lower"
        metrics.append({"name": measure, "unit": first.unit, "values": values, "better": better, "grade": first.grade})
    return side_by_side(fleets, metrics)


def _plans(result: RunResult, section: str, rows: Sequence[Row]) -> Table | None:
    plans = []
    for item in dict.fromkeys(r.item for r in rows):
        answer = result.details.get(f"{section}.{item}", {}).get("answer", {})
        plan = answer.get("plan")
        if plan:
            plans.append({"item": name_of(item.split(".")[-1]), "plan": plan_words(plan)})
    return Table((Column("item", "on"), Column("plan", "plan")), plans) if plans else None


def plan_words(plan: Any) -> str:
    """A plan in a line: what is off, none or one way only is left out."""
    if not isinstance(plan, Mapping):
        return str(plan)
    said = {k: v for k, v in plan.items() if v not in (None, False, "none", "", 0) and (k in ("tp", "pp", "dp", "ep") or v != 1)}
    return ", ".join(k.replace("_", " ") if v is True else f"{k.replace('_', ' ')} {v:,}" if isinstance(v, int) else f"{k.replace('_', ' ')} {v}"
                     for k, v in said.items())  # fmt: skip


def _claims(result: RunResult) -> Section | None:
    if not result.verdicts:
        return None
    rows: list[dict[str, Any]] = []
    for v in result.verdicts:
        statement = catalog.get("claim", v.claim).statement
        computed = format_range(v.p5, v.p50, v.p95, v.unit)
        rows.append({"claim": f"{v.claim}: {statement}", "sense": f"{v.sense}: claimed {v.claimed}, computed {computed}",
                     "finding": v.finding, "holds": v.probability,
                     "conditions": v.conditions, "grade": v.grade})  # fmt: skip
    text = ("The bar is the share of samples in which the claim holds in that sense, under the inputs of this run. From 80 % it counts as supported, to 20 % as contradicted, "
            "between as undetermined; the same claim can fare differently in another sense.")  # fmt: skip
    return Section("claims", "Claims", text, table=claims_table(rows))


def _drivers(result: RunResult) -> list[Section]:
    out = []
    called = {r.name: r.measure if r.section == "supply" else f"{r.measure}, {_place(r)}" for r in result.rows}
    for i, name in enumerate(dict.fromkeys(d.result for d in result.drivers)):
        drivers = [{"name": d.name, "low": d.low, "high": d.high, "at_low": "lowest tenth", "at_high": "highest tenth"}
                   for d in result.drivers if d.result == name]  # fmt: skip
        values = result.graph.values[name]
        centre = sorted(values.ravel().tolist())[values.size // 2]
        share = explained([d for d in result.drivers if d.result == name])
        text = (("Median of the result where a number lies in its lowest and its highest tenth; what moves it no more than chance is left out. " if i == 0 else "")
                + f"Together they explain {share:.0%} of its variation in rank"
                + ("." if share >= 0.9 else "; the rest is smaller inputs and the spread of the fitted models."))  # fmt: skip
        chart = tornado(drivers, centre=centre, name=called.get(name, name), unit=result.graph.quantities[name].unit)
        out.append(
            Section(f"drivers-{i}", f"What drives: {called.get(name, name)}", text, chart, level=2 if i == 0 else 3)
        )
    return out


def _gaps(result: RunResult) -> Section | None:
    if not result.problems:
        return None
    rows = [{"what": k, "why": v} for k, v in result.problems.items()]
    return Section(
        "gaps", "What had no answer", "", table=Table((Column("what", "asked"), Column("why", "why not")), rows)
    )


def _sources(result: RunResult) -> Section:
    cards = catalog.all_cards("source")
    rows = []
    for source in used_sources(result):
        card = cards.get(source)
        rows.append(
            {"id": source, "title": (card.name, card.url) if card and card.url else card.name if card else source}
        )
    return Section("sources", "Sources of this run", f"{len(rows)} sources; `sources.bib` holds them as BibTeX.",
                   table=Table((Column("id", "id"), Column("title", "title", kind="source")), rows))  # fmt: skip


def used_sources(result: RunResult) -> list[str]:
    """Every source under any result of a run, sorted; what a scenario set has no source but the scenario."""
    numbers = (q.number for q in result.graph.quantities.values() if q.number is not None)
    return sorted({s for n in numbers for s in n.all_sources if not s.startswith("scenario")})
