"""The page of one serving run: how latencies are distributed, how many requests wait and run, and the figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from wafer2token import __version__
from wafer2token.catalog import fingerprint
from wafer2token.report.blocks import Column, Section, Table
from wafer2token.report.charts import lines
from wafer2token.report.names import name_of
from wafer2token.report.page import page
from wafer2token.serve import ServeResult
from wafer2token.serve.metrics import latencies
from wafer2token.serve.search import words

_LONG = {"ttft": "time to first token", "tpot": "time per output token", "e2e": "end to end"}
QUANTILES = np.array([0.0, 0.5, 1, 2, 5, *range(10, 91, 5), 92, 94, 95, 96, 97, 98, 98.5, 99, 99.5, 99.8, 100])


def serve_run_page(result: ServeResult) -> str:
    """A run as an HTML file; the same result gives the same bytes."""
    s = result.summary
    values = {k: v for k, v in latencies(result.outcome).items() if len(v)}
    spread = [{"name": _LONG[k], "points": list(zip(1e3 * np.percentile(v, QUANTILES), QUANTILES / 100.0, strict=True))} for k, v in values.items()]
    limits = [(str(o), 1e3 * o.limit_s) for o in result.slo]
    held = " ".join(
        f"80% of measured runs lie within {_ms(low)} to {_ms(high)} of {_LONG[k]} beside such a prediction."
        for k, (low, high) in result.interval_80.items() if k in _LONG
    )  # fmt: skip
    sections = [
        Section("latency", "Latency", f"Share of the requests that were at least as fast. {held}",
                lines(spread, x=("latency", "ms"), y=("share of requests", "%"), log=True, limits=limits)),
        Section("load", "Requests over time", "; ".join(result.warnings) or "Every request was served.",
                lines(in_system(result), x=("time", "s"), y=("requests", ""))),
        Section("figures", "Figures", table=Table((Column("what", "figure"), Column("value", "value")), _figures(result))),
        Section("launch", "To try it", table=Table((Column("command", "command"),), [{"command": c} for c in result.launch])),
    ]  # fmt: skip
    requests = result.outcome.requests
    load = f"{s.requests:,} requests of {np.mean(requests.isl):.0f} tokens in and {np.mean(requests.osl):.0f} out"
    heads = [("Time to first token", _ms(s.ttft.mean), f"p99 {_ms(s.ttft.p99)}"),
             ("Time per output token", _ms(s.tpot.mean), f"p99 {_ms(s.tpot.p99)}"),
             ("Output", f"{s.output_throughput / result.chips:,.0f} tokens/s", "per chip"),
             ("Cost", f"{result.cost_per_mtok_usd:.3g} USD", "per million output tokens")]  # fmt: skip
    meta = {"version": __version__, "data": fingerprint()[:12], "seed": result.seed}
    title = f"{name_of(result.model)} on {result.chips:g} x {name_of(result.chip)}"
    return page(title, sections, meta, subtitle=f"{words(result.plan)} in {result.stack}; {load}", headlines=heads)


def _ms(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1.0 else f"{1e3 * seconds:.3g} ms"


def in_system(result: ServeResult, points: int = 240) -> list[dict[str, Any]]:
    """Lines of requests that wait for their first step, and that run, over time."""
    o = result.outcome
    issue, start, finish = (np.sort(x[x >= 0]) for x in (o.issue_s, o.start_s, o.finish_s))
    if len(issue) == 0:
        return []
    at = np.linspace(issue[0], max(float(finish[-1]) if len(finish) else issue[-1], float(issue[-1])), points)
    come, begun, gone = (np.searchsorted(x, at, "right") for x in (issue, start, finish))
    turned = np.searchsorted(np.sort(o.issue_s[(o.start_s < 0) & (o.issue_s >= 0)]), at, "right")
    both = (("running", begun - gone), ("waiting", np.maximum(come - turned - begun, 0)))
    return [{"name": name, "points": list(zip(at - at[0], count, strict=True))} for name, count in both]


def _figures(result: ServeResult) -> list[dict[str, str]]:
    s = result.summary
    rows = [
        ("requests/s", f"{s.request_throughput:.4g}"), ("output tokens/s", f"{s.output_throughput:,.0f}"),
        ("goodput [requests/s]", f"{s.request_goodput:.4g}"), ("mean batch per instance", f"{s.mean_batch:.3g}"),
        ("utilisation", f"{s.utilisation:.0%}"), ("KV cache in use", f"{s.kv_use:.0%}"),
        ("prompt tokens found in the prefix cache", f"{s.prefix_hit_rate:.0%}"), ("preemptions", f"{s.preemptions:,}"),
        ("bound by", result.bound_by), ("power", f"{result.power_w / 1e3:.3g} kW"),
        *((str(o), "met" if s.met.get(str(o)) else "missed") for o in result.slo),
    ]  # fmt: skip
    return [{"what": what, "value": value} for what, value in rows]
