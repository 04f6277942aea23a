"""Charts of one quantity against another: frontiers, rooflines, predictions against measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from wafer2token.report.blocks import Chart, Column, Table
from wafer2token.report.palette import NEUTRAL, colour
from wafer2token.report.parts import base, finite, legend, value_axis
from wafer2token.report.words import amount, tip

_GRID = {"left": 84, "right": 24, "top": 44, "bottom": 60}


def frontier(
    lines: Sequence[Mapping[str, Any]],
    *,
    x_name: str = "interactivity",
    x_unit: str = "tokens/s/user",
    y_name: str = "throughput",
    y_unit: str = "tokens/s/chip",
    log: bool = False,
    target: float | None = None,
) -> Chart:
    """Throughput against interactivity, one line per system.

    Each line: ``name``, ``points`` [{``x``, ``y``, perhaps ``label`` (the plan) and ``low``, ``high``}]; ``target``
    draws the wanted interactivity.
    """
    names = [str(line["name"]) for line in lines]
    sorted_points = [sorted(line["points"], key=lambda p: p["x"]) for line in lines]
    series: list[dict[str, Any]] = []
    for name, points in zip(names, sorted_points, strict=True):
        series.append(_line(name, points, colour(name, names), (x_name, x_unit), (y_name, y_unit)))
        series += _spread(name, points, colour(name, names))
    rows = [{"name": name, **p} for name, points in zip(names, sorted_points, strict=True) for p in points]
    if target is not None and series:
        series[0]["markLine"] = {
            "symbol": "none",
            "silent": True,
            "lineStyle": {"type": "dashed", "color": NEUTRAL},
            "label": {"formatter": f"target {amount(target, x_unit)}", "position": "end"},
            "data": [{"xAxis": float(target)}],
        }
    alt = f"{y_name} against {x_name} for {', '.join(names)}"
    option = base(
        alt,
        legend=legend(names),
        grid=_GRID,
        xAxis=value_axis(x_name, x_unit, log=log),
        yAxis=value_axis(y_name, y_unit, log=log, horizontal=False),
        series=series,
    )
    columns = [
        Column("name", "system"),
        Column("x", x_name, x_unit, "number"),
        Column("y", y_name, y_unit, "number"),
        Column("label", "plan"),
    ]
    return Chart(option, Table(columns, rows), alt, 420)


def _line(
    name: str, points: Sequence[Mapping[str, Any]], paint: str, x: tuple[str, str], y: tuple[str, str]
) -> dict[str, Any]:
    data = [
        {
            "value": [finite(p["x"]), finite(p["y"])],
            "tip": tip(
                name,
                (x[0], amount(p["x"], x[1])),
                (y[0], amount(p["y"], y[1])),
                ("plan", str(p.get("label", ""))),
            ),
        }
        for p in points
    ]
    return {
        "type": "line",
        "name": name,
        "data": data,
        "symbolSize": 7,
        "symbol": "circle",
        "lineStyle": {"width": 2, "color": paint},
        "itemStyle": {"color": paint},
    }


def _spread(name: str, points: Sequence[Mapping[str, Any]], paint: str) -> list[dict[str, Any]]:
    """A band from ``low`` to ``high`` under a line, where every point has both."""
    if not points or not all("low" in p and "high" in p for p in points):
        return []
    quiet: dict[str, Any] = {"type": "line", "symbol": "none", "silent": True, "stack": f"band of {name}"}
    floor = [[finite(p["x"]), finite(p["low"])] for p in points]
    depth = [[finite(p["x"]), finite(p["high"] - p["low"])] for p in points]
    return [
        {**quiet, "name": name, "data": floor, "lineStyle": {"opacity": 0}},
        {
            **quiet,
            "name": name,
            "data": depth,
            "lineStyle": {"opacity": 0},
            "areaStyle": {"color": paint, "opacity": 0.18},
        },
    ]


def roofline(machines: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]] = ()) -> Chart:
    """Attainable rate against arithmetic intensity, both logarithmic.

    Each machine: ``name``, ``flops`` [FLOP/s], ``bandwidth`` [B/s]; each point: ``name``, ``machine``,
    ``intensity`` [FLOP/B], ``rate`` [FLOP/s].
    """
    names = [str(m["name"]) for m in machines]
    knees = [m["flops"] / m["bandwidth"] for m in machines]
    around = [*knees, *(p["intensity"] for p in points)]
    low, high = 10 ** math.floor(math.log10(min(around) / 4)), 10 ** math.ceil(math.log10(max(around) * 2))
    series: list[dict[str, Any]] = []
    for m, knee in zip(machines, knees, strict=True):
        paint = colour(m["name"], names)
        text = tip(
            str(m["name"]),
            ("peak", amount(m["flops"], "FLOP/s")),
            ("bandwidth", amount(m["bandwidth"], "B/s")),
            ("knee", amount(knee, "FLOP/B")),
        )
        ends = [(low, low * m["bandwidth"]), (knee, m["flops"]), (high, m["flops"])]
        series.append(
            {
                "type": "line",
                "name": m["name"],
                "data": [{"value": [x, y], "tip": text} for x, y in ends],
                "symbolSize": 6,
                "symbol": "circle",
                "lineStyle": {"width": 2, "color": paint},
                "itemStyle": {"color": paint},
            }
        )
        own = [p for p in points if p["machine"] == m["name"]]
        series.append(_roofline_points(str(m["name"]), own, paint))
    alt = f"roofline of {', '.join(names)}"
    option = base(
        alt,
        legend=legend(names),
        grid=_GRID,
        xAxis=value_axis("arithmetic intensity", "FLOP/B", log=True, min=low, max=high),
        yAxis=value_axis(
            "rate",
            "FLOP/s",
            log=True,
            horizontal=False,
            max=10 ** math.ceil(math.log10(1.5 * max(m["flops"] for m in machines))),
        ),
        series=series,
    )
    rows = [
        {"name": f"{m['name']} (peak)", "machine": m["name"], "intensity": k, "rate": m["flops"]}
        for m, k in zip(machines, knees, strict=True)
    ]
    columns = [
        Column("name", "point"),
        Column("machine", "machine"),
        Column("intensity", "intensity", "FLOP/B", "number"),
        Column("rate", "rate", "FLOP/s", "number"),
    ]
    return Chart(option, Table(columns, [*rows, *points]), alt, 420)


def _roofline_points(name: str, points: Sequence[Mapping[str, Any]], paint: str) -> dict[str, Any]:
    data = [
        {
            "value": [p["intensity"], p["rate"]],
            "tip": tip(
                str(p["name"]),
                ("on", name),
                ("intensity", amount(p["intensity"], "FLOP/B")),
                ("rate", amount(p["rate"], "FLOP/s")),
            ),
            "label": {"formatter": str(p["name"])},
        }
        for p in points
    ]
    label = {"show": len(data) <= 12, "position": "right", "fontSize": 11}
    return {
        "type": "scatter",
        "name": name,
        "data": data,
        "symbolSize": 9,
        "label": label,
        "labelLayout": {"hideOverlap": True},
        "itemStyle": {"color": paint},
    }


def validation(points: Sequence[Mapping[str, Any]], *, name: str, unit: str, within: float = 0.2) -> Chart:
    """Predicted against measured, both logarithmic, with the diagonal and a band of ``within`` around it.

    Each point: ``id``, ``group``, ``measured``, ``predicted``, perhaps ``p10`` and ``p90``.
    """
    usable = [p for p in points if p["measured"] > 0 and p["predicted"] > 0]
    groups = list(dict.fromkeys(str(p["group"]) for p in usable))
    values = [v for p in usable for v in (p["measured"], p["predicted"])] or [1.0]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    series: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "name": group,
            "symbolSize": 6 if len(usable) > 200 else 8,
            "itemStyle": {"color": colour(group, groups), "opacity": 0.75},
            "data": [_measured(p, unit) for p in usable if p["group"] == group],
        }
        for group in groups
    ]
    for factor, style in ((1.0, "solid"), (1 + within, "dashed"), (1 / (1 + within), "dashed")):
        series.append(
            {
                "type": "line",
                "data": [[low, low * factor], [high, high * factor]],
                "symbol": "none",
                "silent": True,
                "tooltip": {"show": False},
                "lineStyle": {"type": style, "width": 1, "color": NEUTRAL},
            }
        )
    alt = f"predicted against measured {name}, {len(usable)} points; dashed: a factor of {1 + within:g}"
    option = base(
        alt,
        legend=legend(groups),
        grid=_GRID,
        xAxis=value_axis(f"measured {name}", unit, log=True, min=low, max=high),
        yAxis=value_axis(f"predicted {name}", unit, log=True, horizontal=False, min=low, max=high),
        series=series,
    )
    columns = [
        Column("id", "point"),
        Column("group", "family"),
        Column("measured", "measured", unit, "number"),
        Column("predicted", "predicted", unit, "number"),
        Column("p10", "p10", unit, "number"),
        Column("p90", "p90", unit, "number"),
        Column("error", "error", "%", "number"),
    ]
    rows = [{**p, "error": p["predicted"] / p["measured"] - 1} for p in usable]
    return Chart(option, Table(columns, rows), alt, 520)


def _measured(point: Mapping[str, Any], unit: str) -> dict[str, Any]:
    error = point["predicted"] / point["measured"] - 1
    text = tip(
        str(point["id"]),
        ("measured", amount(point["measured"], unit)),
        ("predicted", amount(point["predicted"], unit)),
        ("error", f"{100 * error:+.0f} %"),
    )
    return {"value": [point["measured"], point["predicted"]], "tip": text}
