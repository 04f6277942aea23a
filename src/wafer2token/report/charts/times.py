"""Charts over time: supply bands, what binds, status by date, and the slices of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from wafer2token.report.blocks import Chart, Column, Table
from wafer2token.report.palette import NEUTRAL, SERIES, TONES, colour
from wafer2token.report.parts import base, category_axis, finite, legend, value_axis
from wafer2token.report.words import amount, interval, tip


def supply_bands(
    quarters: Sequence[str],
    p5: Sequence[float],
    p50: Sequence[float],
    p95: Sequence[float],
    binds: Sequence[str],
    *,
    name: str,
    unit: str,
    stages: Sequence[str] = (),
    marks: Sequence[tuple[str, str]] = (),
) -> Chart:
    """Bars from p5 to p95 with the median, one per quarter, coloured by the stage that binds most often.

    All sequences have one entry per quarter; ``binds`` names a stage; ``stages`` fixes the order of colours;
    ``marks`` are (quarter, text) to write at the top, such as the date of a rule.
    """
    order = list(stages) or list(dict.fromkeys(binds))
    series: list[dict[str, Any]] = []
    for stage in order:
        data = [
            {
                "value": [i, finite(p5[i]), finite(p95[i]), finite(p50[i])],
                "tip": tip(quarters[i], (name, interval((p5[i], p50[i], p95[i]), unit)), ("binds", stage)),
            }
            for i in range(len(quarters))
            if binds[i] == stage
        ]
        if data:
            series.append(_range_series(stage, data, colour(stage, order)))
    line = {
        "type": "line",
        "name": "median",
        "data": [finite(v) for v in p50],
        "symbol": "none",
        "silent": True,
        "lineStyle": {"width": 1.2, "color": NEUTRAL},
        "itemStyle": {"color": NEUTRAL},
        "z": 3,
    }
    if marks:
        line["markLine"] = {
            "symbol": "none",
            "lineStyle": {"type": "dashed", "color": NEUTRAL},
            "label": {"position": "end", "fontSize": 11.5, "distance": 4},
            "data": [{"xAxis": list(quarters).index(q), "label": {"formatter": text}} for q, text in marks],
        }
    used = [s["name"] for s in series]
    alt = f"{name} per quarter, 5th to 95th percentile and median, coloured by the binding stage"
    option = base(
        alt,
        legend=legend([*used, "median"]),
        grid={"left": 76, "right": 16, "top": 60 if marks else 40, "bottom": 56},
        xAxis=category_axis(quarters, "quarter"),
        yAxis=value_axis(name, unit, horizontal=False, min=0),
        series=[*series, line],
    )
    rows = [{"quarter": q, "value": (p5[i], p50[i], p95[i]), "binds": binds[i]} for i, q in enumerate(quarters)]
    columns = [Column("quarter", "quarter"), Column("value", f"{name}, p50 (p5 – p95)", unit, "interval")]
    return Chart(option, Table([*columns, Column("binds", "binds most often")], rows), alt, 400)


def _range_series(name: str, data: list[dict[str, Any]], paint: str) -> dict[str, Any]:
    return {
        "type": "custom",
        "name": name,
        "renderItem": {"fn": "range_bar", "vertical": True},
        "itemStyle": {"color": paint},
        "encode": {"x": 0, "y": [1, 2]},
        "data": data,
        "z": 2,
    }


def binding(quarters: Sequence[str], stages: Sequence[str], shares: Sequence[Sequence[float]]) -> Chart:
    """Heat map: in which share of the samples each stage binds, per quarter. ``shares[stage][quarter]`` in 0..1."""
    data = [
        {
            "value": [x, y, round(float(shares[y][x]), 6)],
            "tip": tip(f"{stages[y]}, {quarters[x]}", ("binds in", amount(shares[y][x], "%"))),
            "label": _share_label(float(shares[y][x])),
        }
        for y in range(len(stages))
        for x in range(len(quarters))
    ]
    alt = "share of the samples in which each stage limits production, per quarter"
    option = base(
        alt,
        grid={"left": 150, "right": 16, "top": 44, "bottom": 56},
        xAxis=category_axis(quarters, "quarter"),
        yAxis=category_axis(stages, inverse=True),
        visualMap={
            "min": 0,
            "max": 1,
            "calculable": False,
            "orient": "horizontal",
            "left": "right",
            "top": 0,
            "itemWidth": 12,
            "itemHeight": 120,
            "text": ["100 % of samples", "0"],
            "inRange": {"color": {"fn": "ramp", "to": SERIES[0]}},
        },
        series=[{"type": "heatmap", "data": data, "itemStyle": {"borderWidth": 2, "borderColor": {"fn": "paper"}}}],
    )
    rows = [
        {"quarter": quarter, **{s: float(shares[y][x]) for y, s in enumerate(stages)}}
        for x, quarter in enumerate(quarters)
    ]
    columns = [Column("quarter", "quarter"), *(Column(s, s, "%", "number") for s in stages)]
    return Chart(option, Table(columns, rows), alt, 120 + 38 * len(stages))


def _share_label(share: float) -> dict[str, Any]:
    label: dict[str, Any] = {"show": share >= 0.05, "formatter": f"{100 * share:.0f}"}
    return label | ({"color": "#fff"} if share >= 0.5 else {})


def timeline(
    tracks: Sequence[str],
    slices: Sequence[Mapping[str, Any]],
    *,
    unit: str = "s",
    name: str = "time",
) -> Chart:
    """Slices on tracks, such as a training pipeline by stage.

    Each slice: ``track``, ``start``, ``end`` (in ``unit``), ``name``, ``kind`` (decides the colour).
    """
    kinds = list(dict.fromkeys(str(s["kind"]) for s in slices))
    series = []
    for kind in kinds:
        data = [
            {
                "value": [tracks.index(s["track"]), s["start"], s["end"]],
                "name": str(s["name"]),
                "tip": tip(
                    str(s["name"]),
                    ("track", str(s["track"])),
                    ("from", amount(s["start"], unit)),
                    ("lasts", amount(s["end"] - s["start"], unit)),
                ),
            }
            for s in slices
            if s["kind"] == kind
        ]
        series.append(_slices(kind, data, colour(kind, kinds)))
    alt = f"timeline of {len(slices)} slices on {len(tracks)} tracks"
    option = base(
        alt,
        legend=legend(kinds),
        grid={"left": 110, "right": 20, "top": 40, "bottom": 56},
        xAxis=value_axis(name, unit),
        yAxis=category_axis(tracks, inverse=True),
        dataZoom=[{"type": "inside", "filterMode": "weakFilter"}],
        series=series,
    )
    columns = [
        Column("track", "track"),
        Column("name", "slice"),
        Column("kind", "kind"),
        Column("start", "start", unit, "number"),
        Column("end", "end", unit, "number"),
    ]
    return Chart(option, Table(columns, list(slices)), alt, 110 + 34 * len(tracks))


def _slices(name: str, data: list[dict[str, Any]], paint: str) -> dict[str, Any]:
    return {
        "type": "custom",
        "name": name,
        "renderItem": {"fn": "slice"},
        "itemStyle": {"color": paint},
        "encode": {"x": [1, 2], "y": 0},
        "data": data,
    }


STATUS_TONES = {"free": "good", "licence": "warn", "denied": "bad", "indeterminate": "info", "unknown": "open"}


def status_timeline(
    items: Sequence[str], spans: Sequence[Mapping[str, Any]], *, marks: Sequence[tuple[date, str]] = ()
) -> Chart:
    """Export status over time, one row per item.

    Each span: ``item``, ``start``, ``end`` (dates), ``status`` (``free``, ``licence``, ``denied``,
    ``indeterminate``, ``unknown``),
    ``rule`` (which rule decides). ``marks`` are (date, text) of rules that take effect.
    """
    statuses = [s for s in STATUS_TONES if any(span["status"] == s for span in spans)]
    series = []
    for status in statuses:
        data = [
            {
                "value": [items.index(s["item"]), s["start"].isoformat(), s["end"].isoformat()],
                "name": str(s["rule"]),
                "tip": tip(
                    str(s["item"]),
                    ("status", status),
                    ("rule", str(s["rule"])),
                    ("from", s["start"].isoformat()),
                    ("to", s["end"].isoformat()),
                ),
            }
            for s in spans
            if s["status"] == status
        ]
        series.append(_slices(status, data, TONES[STATUS_TONES[status]]))
    if marks and series:
        series[0]["markLine"] = {
            "symbol": "none",
            "silent": True,
            "lineStyle": {"type": "dashed", "color": NEUTRAL},
            "data": [
                {"xAxis": day.isoformat(), "label": {"formatter": text, "position": "start", "fontSize": 11.5}}
                for day, text in marks
            ],
        }
    alt = f"export status of {len(items)} items over time"
    axis = {"type": "time", "name": "date", "nameLocation": "middle", "nameGap": 30, "splitLine": {"show": True}}
    option = base(
        alt,
        legend=legend(statuses),
        grid={"left": 140, "right": 24, "top": 64 if marks else 40, "bottom": 56},
        xAxis=axis,
        yAxis=category_axis(items, inverse=True),
        series=series,
    )
    rows = [{**s, "start": s["start"].isoformat(), "end": s["end"].isoformat()} for s in spans]
    columns = [Column(k, k) for k in ("item", "start", "end", "status", "rule")]
    return Chart(option, Table(columns, rows), alt, 130 + 34 * len(items))
