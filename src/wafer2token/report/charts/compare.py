"""Charts that set things side by side: metrics with their spread, drivers of an answer, verdicts on claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wafer2token.report.blocks import Chart, Column, Table
from wafer2token.report.palette import SERIES, colour
from wafer2token.report.parts import base, category_axis, finite, legend, value_axis
from wafer2token.report.words import amount, interval, prefixed, readable, tip

_ARROWS = {"higher": "↑ higher is better", "lower": "↓ lower is better", "": ""}


def side_by_side(items: Sequence[str], metrics: Sequence[Mapping[str, Any]], *, columns: int = 0) -> Chart:
    """Small bar charts, one per metric with its own scale: a bar per item and a line from p5 to p95.

    Each metric: ``name``, ``unit``, ``values`` {item: (p5, p50, p95) or None}, and perhaps ``better``
    (``higher`` | ``lower``), ``grade``, ``source``. ``columns`` 0: as many as the names leave room for.
    """
    columns = columns or (3 if all(len(str(m["name"])) <= 27 for m in metrics) else 2)
    rows_high = 62 + 26 * len(items)
    lines = -(-len(metrics) // columns)
    height = lines * rows_high + 40
    grids, x_axes, y_axes, series, titles = [], [], [], [], []
    gap, left = 3.0, min(24.0, max(9.0, 3 + 0.68 * max((len(i) for i in items), default=0)))
    width = (100 - left - gap * (columns - 1)) / columns
    for i, metric in enumerate(metrics):
        column, line = i % columns, i // columns
        x, y = left + column * (width + gap), 34 + line * rows_high
        grids.append({"left": f"{x:.2f}%", "width": f"{width - 5:.2f}%", "top": y + 30, "height": 26 * len(items)})
        unit = metric["unit"]
        shown = "" if unit in ("", "1", "%") or prefixed(unit) else unit
        titles.append(
            {
                "text": metric["name"],
                "subtext": "   ".join(part for part in (shown, _ARROWS[metric.get("better", "")]) if part),
                "left": f"{x:.2f}%",
                "top": y - 12,
                "padding": 0,
                "itemGap": 3,
                "textStyle": {"fontSize": 13, "fontWeight": 600, "lineHeight": 17},
                "subtextStyle": {"fontSize": 11, "lineHeight": 14},
            }
        )
        x_axes.append({"type": "value", "gridIndex": i, "show": False, "min": 0, "max": _room(metric)})
        y_axes.append(
            category_axis(
                items,
                gridIndex=i,
                inverse=True,
                axisLine={"show": False},
                axisLabel={"show": column == 0, "width": 9.4 * left, "overflow": "truncate"},
            )
        )
        series += _bars(i, items, metric)
    alt = f"{', '.join(items)} compared on {', '.join(str(m['name']) for m in metrics)}"
    option = base(alt, title=titles, grid=grids, xAxis=x_axes, yAxis=y_axes, series=series)
    return Chart(option, _comparison(items, metrics), alt, height)


def _bars(index: int, items: Sequence[str], metric: Mapping[str, Any]) -> list[dict[str, Any]]:
    unit = metric["unit"]
    bars, spreads, labels = [], [], []
    for row, item in enumerate(items):
        values = metric["values"].get(item)
        low, mid, high = values or (None, None, None)
        text = amount(mid, unit)
        bars.append(
            {
                "value": finite(mid),
                "itemStyle": {"color": colour(item, items)},
                "tip": tip(item, (metric["name"], interval((low, mid, high), unit) if values else text)),
            }
        )
        words = text if prefixed(unit) or unit == "%" else text.removesuffix(f" {unit}")
        labels.append({"value": [finite(high) or 0, row], "label": {"formatter": words}})
        if values and low != high:
            spreads.append({"value": [finite(low), finite(high), row]})
    common = {"xAxisIndex": index, "yAxisIndex": index}
    label = {"show": True, "position": "right", "distance": 8, "fontSize": 11}
    return [
        {"type": "bar", "data": bars, "barWidth": 16, **common},
        {"type": "scatter", "data": labels, "symbolSize": 0.1, "silent": True, "label": label, **common},
        {
            "type": "custom",
            "renderItem": {"fn": "error_bar"},
            "data": spreads,
            "encode": {"x": [0, 1], "y": 2},
            "silent": True,
            "z": 5,
            **common,
        },
    ]


def _room(metric: Mapping[str, Any]) -> float:
    """End of a metric's scale: the largest value and space for its label."""
    return 1.4 * max((finite(values[2]) or 0 for values in metric["values"].values() if values), default=1) or 1


def _comparison(items: Sequence[str], metrics: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for metric in metrics:
        row: dict[str, Any] = {"metric": metric["name"], "unit": metric["unit"]}
        row |= {"grade": metric.get("grade"), "source": metric.get("source")}
        for item in items:
            values = metric["values"].get(item)
            row[item] = interval(values, metric["unit"]) if values else None
        rows.append(row)
    columns = [Column("metric", "metric"), *(Column(i, f"{i}, p50 (p5 – p95)") for i in items)]
    if any(row["grade"] for row in rows):
        columns.append(Column("grade", "weakest grade", kind="grade"))
    if any(row["source"] for row in rows):
        columns.append(Column("source", "source", kind="source"))
    return Table(columns, rows)


def tornado(drivers: Sequence[Mapping[str, Any]], *, centre: float, name: str, unit: str, most: int = 15) -> Chart:
    """What moves an answer: for each driver the result with the driver at its low and at its high value.

    Each driver: ``name``, ``low``, ``high`` (results), perhaps ``at_low``, ``at_high`` (the driver's values, as text).
    Sorted by swing, the ``most`` largest are drawn.
    """
    factor, unit = readable(unit, max((abs(d[k]) for d in drivers for k in ("low", "high")), default=0.0))
    centre *= factor
    drivers = [{**d, "low": d["low"] * factor, "high": d["high"] * factor} for d in drivers]
    ranked = sorted(drivers, key=lambda d: (-_swing(d, centre), d["name"]))
    shown = ranked[:most]
    series = [_side(shown, key, paint, centre, name, unit) for key, paint in (("low", SERIES[0]), ("high", SERIES[1]))]
    series[0]["markLine"] = {
        "symbol": "none",
        "silent": True,
        "lineStyle": {"type": "solid", "width": 1},
        "label": {"formatter": amount(centre, unit), "position": "start"},
        "data": [{"xAxis": float(centre)}],
    }
    alt = f"drivers of {name}, largest first: {', '.join(str(d['name']) for d in shown[:5])}"
    option = base(
        alt,
        legend=legend([s["name"] for s in series]),
        grid={"left": 230, "right": 28, "top": 40, "bottom": 64},
        xAxis=value_axis(name, unit, scale=True, nameGap=40),
        yAxis=category_axis(
            [str(d["name"]) for d in shown], inverse=True, axisLabel={"width": 215, "overflow": "truncate"}
        ),
        series=series,
    )
    rows = [{**d, "swing": _swing(d, centre)} for d in ranked]
    columns = [
        Column("name", "driver"),
        Column("at_low", "low value"),
        Column("at_high", "high value"),
        Column("low", f"{name} at low", unit, "number"),
        Column("high", f"{name} at high", unit, "number"),
        Column("swing", "swing", unit, "number"),
    ]
    return Chart(option, Table(columns, rows), alt, 120 + 28 * len(shown))


def _side(
    drivers: Sequence[Mapping[str, Any]], key: str, paint: str, centre: float, name: str, unit: str
) -> dict[str, Any]:
    """The bars of all drivers at their low or at their high value."""
    title = f"driver {key}"
    data = [
        {
            "value": [row, *_reach(d, key, centre)],
            "tip": tip(
                str(d["name"]),
                (title, str(d.get(f"at_{key}", ""))),
                (name, amount(d[key], unit)),
                ("against", amount(centre, unit)),
            ),
        }
        for row, d in enumerate(drivers)
    ]
    return {
        "type": "custom",
        "name": title,
        "renderItem": {"fn": "range_bar", "vertical": False},
        "itemStyle": {"color": paint},
        "encode": {"x": [1, 2], "y": 0},
        "data": data,
    }


def _swing(driver: Mapping[str, Any], centre: float) -> float:
    """How far the answer moves over the driver's range, the central case included."""
    ends = (float(driver["low"]), float(driver["high"]), float(centre))
    return max(ends) - min(ends)


def _reach(driver: Mapping[str, Any], key: str, centre: float) -> list[float]:
    """From where to where a driver's bar goes; where both ends lie on one side the farther one continues the nearer."""
    here, other = float(driver[key]), float(driver["high" if key == "low" else "low"])
    same_side = (here - centre) * (other - centre) > 0
    start = other if same_side and abs(here - centre) > abs(other - centre) else float(centre)
    return sorted((start, here))


_VERDICTS = (("holds", "good"), ("open", "open"), ("fails", "bad"))


def _shares_of(claim: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """In which share of the samples a claim holds, decides nothing, and does not hold."""
    holds, open_share = float(claim["holds"]), float(claim.get("open", 0.0))
    return [(word, share, tone) for (word, tone), share in zip(_VERDICTS, (holds, open_share, 1 - holds - open_share), strict=True)]


def claims_table(claims: Sequence[Mapping[str, Any]], caption: str = "") -> Table:
    """Claims with their verdicts as bars; a claim tested in several senses in a row is named once.

    Each claim: ``claim`` (text), ``sense`` (in which it was tested), ``holds`` (its probability), ``finding`` (the
    verdict in a word), and perhaps ``open`` (share that decides nothing), ``conditions``, ``grade``, ``source``.
    """
    before = [None, *(claim["claim"] for claim in claims)]
    rows = [
        {
            **claim,
            "claim": "\u00a0" if claim["claim"] == previous else claim["claim"],
            "bar": _shares_of(claim),
        }
        for claim, previous in zip(claims, before, strict=False)
    ]
    columns = [Column("claim", "claim"), Column("sense", "in the sense"), Column("finding", "verdict"), Column("bar", "samples", kind="shares")]
    for key, title, kind in (
        ("conditions", "under", "text"),
        ("grade", "weakest grade", "grade"),
        ("source", "source", "source"),
    ):
        if any(claim.get(key) for claim in claims):
            columns.append(Column(key, title, kind=kind))
    return Table(columns, rows, caption)
