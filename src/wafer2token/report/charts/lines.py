"""Plain lines over a numeric axis: distributions, and what happens over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wafer2token.report.blocks import Chart, Column, Table
from wafer2token.report.palette import NEUTRAL, colour
from wafer2token.report.parts import base, finite, legend, value_axis
from wafer2token.report.words import amount, tip

_GRID = {"left": 84, "right": 24, "top": 44, "bottom": 60}


def lines(
    found: Sequence[Mapping[str, Any]], *, x: tuple[str, str], y: tuple[str, str], log: bool = False,
    limits: Sequence[tuple[str, float]] = (),
) -> Chart:  # fmt: skip
    """One line per entry.

    Each line: ``name``, ``points`` [(x, y)]. ``x`` and ``y`` are (name, unit); ``log`` of the horizontal axis; ``limits`` are
    (label, x) of dashed vertical lines.
    """
    names = [str(line["name"]) for line in found]
    series: list[dict[str, Any]] = []
    for line in found:
        paint = colour(str(line["name"]), names)
        data = [
            {"value": [finite(a), finite(b)], "tip": tip(str(line["name"]), (x[0], amount(a, x[1])), (y[0], amount(b, y[1])))}
            for a, b in line["points"]
        ]
        series.append({"type": "line", "name": line["name"], "data": data, "symbol": "circle", "symbolSize": 4, "showSymbol": False,
                       "lineStyle": {"width": 2, "color": paint}, "itemStyle": {"color": paint}})  # fmt: skip
    if limits and series:
        series[0]["markLine"] = {
            "symbol": "none", "silent": True, "lineStyle": {"type": "dashed", "color": NEUTRAL},
            "data": [{"xAxis": float(at), "label": {"formatter": label, "position": "end"}} for label, at in limits],
        }  # fmt: skip
    alt = f"{y[0]} against {x[0]}: {', '.join(names)}"
    option = base(alt, legend=legend(names), grid=_GRID, xAxis=value_axis(*x, log=log), yAxis=value_axis(*y, horizontal=False), series=series)
    rows = [{"name": line["name"], "x": float(a), "y": float(b)} for line in found for a, b in line["points"]]
    columns = [Column("name", "line"), Column("x", *x, "number"), Column("y", *y, "number")]
    return Chart(option, Table(columns, rows), alt, 380)
