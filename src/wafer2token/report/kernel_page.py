"""The page of ``w2t kernel``: the rooflines of the chips with the kernel on them, and its figures."""

from __future__ import annotations

from wafer2token import __version__
from wafer2token.chip.verb import KernelOnChip, KernelResult
from wafer2token.evidence.units import format_quantity
from wafer2token.report.blocks import Column, Section, Table
from wafer2token.report.charts import roofline
from wafer2token.report.page import page
from wafer2token.report.words import interval


def kernel_page(result: KernelResult, note: str = "") -> str:
    """A kernel on one chip or two as one HTML file; the same result gives the same bytes.

    Memory and quantise operations do no arithmetic that a roofline could hold: their page has the figures alone.
    """
    sizes = ", ".join(f"{k} {v:g}" for k, v in result.sizes.items())
    sections = [*([_roofline(result)] if result.roofline else []), Section("figures", "Figures", note, table=_figures(result))]
    headlines = [(c.name, interval([c.p10, c.seconds, c.p90], "s"), f"{c.basis}; bound by {c.bound}") for c in result.chips]
    meta = {"sizes": sizes, "format": result.dtype, "version": __version__}
    return page(f"{result.operation} in {result.dtype}", sections, meta, subtitle=sizes, headlines=headlines)


def _roofline(result: KernelResult) -> Section:
    machines = []
    for chip in result.chips:
        own = [p for p in result.roofline if p.chip == chip.chip]
        peak = max(p.peak for p in own)
        machines.append({"name": chip.name, "flops": peak, "bandwidth": max(p.peak / p.intensity for p in own)})
    points = [
        {"name": result.operation, "machine": c.name, "intensity": c.flops / c.bytes, "rate": c.flops_per_s} for c in result.chips
    ]
    text = "Lines: dense peak and memory bandwidth of each chip. Points: this kernel as predicted, at its least traffic."
    return Section("roofline", "Roofline", text, chart=roofline(machines, points))


def _figures(result: KernelResult) -> Table:
    columns = [
        Column("chip", "chip"), Column("time", "time"), Column("range", "80% interval"), Column("bound", "bound by"),
        Column("rate", "reached"), Column("compute", "of peak"), Column("memory", "of bandwidth"), Column("basis", "efficiency"),
    ]  # fmt: skip
    return Table(columns, [_row(c) for c in result.chips])


def _row(c: KernelOnChip) -> dict[str, str]:
    rate = format_quantity(c.flops_per_s, "FLOP/s") if c.flops else format_quantity(c.bytes_per_s, "B/s")
    return {
        "chip": c.name, "time": format_quantity(c.seconds, "s"), "bound": c.bound, "rate": rate, "basis": f"{c.basis} ({c.card})",
        "range": f"{format_quantity(c.p10, 's')} - {format_quantity(c.p90, 's')}",
        "compute": f"{c.compute_share:.0%}", "memory": f"{c.memory_share:.0%}",
    }  # fmt: skip
