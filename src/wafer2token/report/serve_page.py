"""The page of a serving search: the configurations chosen, and throughput against interactivity on each system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wafer2token import __version__
from wafer2token.catalog import fingerprint
from wafer2token.report.blocks import Column, Section, Table
from wafer2token.report.charts import frontier
from wafer2token.report.names import name_of
from wafer2token.report.page import page
from wafer2token.serve import PlanResult
from wafer2token.serve.search import deployment, words

_CHOSEN = (
    Column("on", "system"), Column("chips", "chips", kind="number"), Column("plan", "configuration"),
    Column("throughput", "throughput", "tokens/s/chip", "number"), Column("ttft", "ttft p90", "s", "number"),
    Column("tpot", "tpot p90", "ms", "number"), Column("cost", "cost", "USD/Mtok out", "number"),
    Column("bound", "bound by"),
)  # fmt: skip


def serve_page(found: Sequence[PlanResult], infeasible: Sequence[tuple[str, str]] = ()) -> str:
    """The searches of one model under one load as an HTML file; the same results give the same bytes.

    ``infeasible`` are (system, reason) of those where nothing meets the objectives.
    """
    first = found[0]
    looked = sum(r.looked_at for r in found)
    text = (
        "Each point is a steady state that no other of its system beats in both directions; the table beneath names their configurations. "
        f"{looked:,} were looked at. Prompts share the steps (together) or have instances of their own (apart); both count their chips."
    )
    lines = [{"name": name_of(r.on), "points": [_point(o) for o in r.frontier]} for r in found]
    sections = [
        Section("frontier", "Throughput against interactivity", text, frontier(lines, log=True, target=wanted_speed(first))),
        Section("chosen", "What was chosen", "Checked by simulation, request by request, under the load above.",
                table=Table(_CHOSEN, [_row(r) for r in found])),
        Section("launch", "To try it", table=Table((Column("on", "system"), Column("command", "command")),
                                                   [{"on": name_of(r.on), "command": c} for r in found for c in r.served.launch])),
    ]  # fmt: skip
    if infeasible:
        rows = [{"on": name_of(on), "why": why} for on, why in infeasible]
        sections.append(Section("not", "Where nothing meets it", table=Table((Column("on", "system"), Column("why", "why")), rows)))
    requests = first.served.outcome.requests
    load = (f"{first.rate:g} requests/s of {np.mean(requests.isl):.0f} tokens in and {np.mean(requests.osl):.0f} out; "
            f"{', '.join(str(o) for o in first.slo) or 'no objective'}")  # fmt: skip
    meta = {"version": __version__, "data": fingerprint()[:12]}
    heads = [(name_of(r.on), f"{r.chips:g} chips", f"{r.served.cost_per_mtok_usd:.3g} USD per million output tokens") for r in found[:4]]
    return page(f"Serving {name_of(first.model)}", sections, meta, subtitle=load, headlines=heads)


def wanted_speed(result: PlanResult) -> float | None:
    """Tokens per second and user that the objective on the time per token asks for."""
    limits = [o.limit_s for o in result.slo if o.metric in ("tpot", "itl")]
    return 1.0 / min(limits) if limits else None


def _point(option: Any) -> dict[str, Any]:
    return {"x": option.speed, "y": option.tokens_per_chip, "label": f"{words(option.plan)}, {option.mode}, batch {option.batch:.0f}"}


def _row(result: PlanResult) -> dict[str, Any]:
    s = result.served.summary
    return {"on": name_of(result.on), "chips": result.chips, "plan": deployment(result),
            "throughput": s.output_throughput / result.chips, "ttft": s.ttft.p90, "tpot": 1e3 * s.tpot.p90,
            "cost": result.served.cost_per_mtok_usd, "bound": result.served.bound_by}  # fmt: skip
