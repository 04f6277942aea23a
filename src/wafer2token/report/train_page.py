"""The page of a training answer: the best plans, where their time goes, the pipeline played out, memory, the intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wafer2token import __version__
from wafer2token.report.blocks import Chart, Column, Section, Table
from wafer2token.report.charts import timeline
from wafer2token.report.names import name_of
from wafer2token.report.page import page
from wafer2token.report.run_page import plan_words
from wafer2token.report.words import interval
from wafer2token.train.run import PlanResult, TrainResult
from wafer2token.train.timeline import timeline_of

DRAWN_SLICES = 2500
GIB = 2.0**30
QUANTILES = (5, 50, 95)
TONE = {"compute": "good", "recompute": "warn", "bubble": "bad", "optimizer": "open", "other": "open"}
KIND = {"F": "forward", "B": "backward", "W": "weight gradient", "FB": "forward beside backward"}


def train_page(result: TrainResult) -> str:
    """The report of a training answer as one HTML file; the same answer gives the same bytes."""
    sections = [_plans(result), _pipeline(result.best[0]), _intervals(result), _memory(result), _frontier(result)]
    meta = {
        "on": f"{result.chips:,} x {result.chip} ({result.on})",
        "precision": result.precision,
        "batch": f"{result.global_batch:,} sequences of {result.seq_len:,} tokens",
        "stack": result.stack,
        "version": __version__,
    }
    if result.assumed:
        meta["assumed"] = "; ".join(result.assumed)
    headlines = [
        ("step", _range(result.step_time_s, "s"), "best plan"),
        ("tokens per second", _range(result.tokens_per_s, ""), "whole machine"),
        ("MFU", _range(result.mfu["megatron"], "%"), "Megatron's count of operations"),
        ("days", _range(result.days, "days"), "with failures and restarts"),
    ]
    subtitle = f"{result.tokens / 1e12:g} trillion tokens; {result.tried:,} legal plans, {result.fitting:,} fit in {result.room_bytes / GIB:.0f} GiB"
    return page(f"Training {name_of(result.model)}", sections, meta, subtitle=subtitle, headlines=headlines)


def _range(values: Sequence[float] | np.ndarray, unit: str) -> str:
    return interval([float(x) for x in np.percentile(values, QUANTILES)], unit)


def _rows(results: Sequence[PlanResult], chips: bool = False) -> Table:
    columns = (
        *([Column("ranks", "ranks")] if chips else []),
        Column("plan", "plan"),
        Column("step", "step", "s", "number"),
        Column("mfu", "MFU, causal", "%", "number"),
        Column("memory", "memory", "GiB", "number"),
        Column("parts", "where the time goes", kind="shares"),
        *([] if chips else [Column("against", "against the best")]),
    )
    rows = [
        {
            "plan": plan_words(r.plan.to_dict()),
            "ranks": f"{r.plan.ranks:,}",
            "against": _against(r, results[0]),
            "step": r.step_time_s,
            "mfu": r.mfu,
            "memory": r.memory_bytes / GIB,
            "parts": _parts(r),
        }
        for r in results
    ]
    return Table(columns, rows)


def _against(result: PlanResult, best: PlanResult) -> str:
    """What separates a plan from the best: its largest gaps, in shares of the best step."""
    if result is best:
        return "the best"
    gaps = [f"{name} {gap / best.step_time_s:+.1%}" for name, gap in result.against(best).items()]
    return f"{result.step_time_s / best.step_time_s - 1:+.1%}: {', '.join(gaps[:3])}"


def _parts(result: PlanResult) -> list[tuple[str, float, str]]:
    shares = ((name, seconds / result.step_time_s) for name, seconds in result.parts_s.items())
    return [(name, share, TONE.get(name, "info")) for name, share in shares if share > 0.005]


def _plans(result: TrainResult) -> Section:
    text = "The best plans that differ in how the model is cut, fastest first, in the central case."
    return Section("plans", "Best plans", text, table=_rows(result.best))


def _frontier(result: TrainResult) -> Section:
    text = "Plans that no other beats in time, memory and chips; those on fewer chips run the same batch."
    return Section("frontier", "Time against memory and chips", text, table=_rows(result.pareto, chips=True))


def _pipeline(best: PlanResult) -> Section:
    """The pipeline of the best plan, as many micro-batches as can be told apart."""
    plan = best.plan
    rounds = DRAWN_SLICES // (2 * plan.vpp * plan.pp * plan.pp)
    played = timeline_of(best, micro_batches=max(rounds, 1) * plan.pp)
    drawn = 1 + max(s.micro_batch for s in played.slices)
    slices = [
        {
            "track": f"stage {s.stage}",
            "start": s.start_s,
            "end": s.end_s,
            "name": s.label,
            "kind": KIND[s.kind],
        }
        for s in played.slices
    ]
    chart: Chart = timeline([f"stage {i}" for i in range(plan.pp)], slices, name="time in the step")
    return Section("pipeline", "The pipeline of the best plan", _pipeline_text(best, played.schedule, drawn), chart)


def _pipeline_text(best: PlanResult, played: str, drawn: int) -> str:
    plan = best.plan
    text = f"Schedule {played}, played event by event: {drawn} of {plan.micro_batches} micro-batches. "
    if drawn < plan.micro_batches:
        text += "Fewer micro-batches show more idle time than the step has. "
    idle = best.parts_s["bubble"] / best.step_time_s
    return text + f"Over the whole step the stages idle {idle:.1%} of the time. All stages are drawn equally heavy."


def _intervals(result: TrainResult) -> Section:
    named = (
        ("step", result.step_time_s, "s"),
        ("tokens per second", result.tokens_per_s, ""),
        *((f"MFU, {name}", values, "%") for name, values in result.mfu.items()),
        ("useful share of time", result.goodput, "%"),
        ("interruptions per day", result.interruptions_per_day, ""),
        ("spare nodes that keep it whole 95% of the time", result.spare_nodes, ""),
        ("loss to slow nodes until found (not in days)", result.slow_loss, "%"),
        ("days", result.days, "days"),
        ("energy", result.energy_j, "J"),
        ("cost", result.cost_usd, "USD"),
    )
    rows = [{"what": what, "value": _range(values, unit)} for what, values, unit in named]
    text = f"p50 (p5 – p95). The spread of step times comes from {result.points} published measurements of chips of this family."
    return Section(
        "answer", "The best plan in numbers", text, table=Table((Column("what", ""), Column("value", "value")), rows)
    )


def _memory(result: TrainResult) -> Section:
    rows = [{"what": name, "gib": value / GIB} for name, value in result.memory_bytes.items()]
    rows.append({"what": "there is", "gib": result.room_bytes / GIB})
    columns = (Column("what", "on the heaviest stage"), Column("gib", "memory", "GiB", "number"))
    return Section("memory", "Memory of a rank", table=Table(columns, rows))
