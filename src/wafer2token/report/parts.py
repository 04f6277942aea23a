"""Pieces that the charts share. Functions of the browser are named, never written here: ``{"fn": name, ...}``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

FUNCTIONS = ("axis", "tip", "error_bar", "range_bar", "slice", "ramp", "paper")
"""Named functions that the page's script provides."""

Json = dict[str, Any]


def axis_format(unit: str = "") -> Json:
    """Labels of a number axis: shares as percent, large numbers with k, M, bn."""
    return {"fn": "axis", "unit": unit}


def value_axis(name: str, unit: str = "", log: bool = False, horizontal: bool = True, **more: Any) -> Json:
    """A number axis with its name and unit."""
    title = name if unit in ("", "1") else f"{name} [{unit}]"
    out: Json = {
        "type": "log" if log else "value",
        "name": title,
        "nameLocation": "middle",
        "nameGap": 34 if horizontal else 58,
        "axisLabel": {"formatter": axis_format(unit), "hideOverlap": True},
        "splitLine": {"show": True},
    }
    return out | more


def category_axis(names: Sequence[str], name: str = "", horizontal: bool = True, **more: Any) -> Json:
    """An axis of names."""
    out: Json = {
        "type": "category",
        "data": list(names),
        "axisTick": {"show": False},
        "splitLine": {"show": False},
    }
    if name:
        out |= {"name": name, "nameLocation": "middle", "nameGap": 34 if horizontal else 70}
    return out | more


def legend(names: Sequence[str], **more: Any) -> Json:
    """A legend above the chart, scrolling when it is long."""
    return {"data": list(names), "top": 0, "left": "left", "type": "scroll", "icon": "roundRect"} | more


def tooltip() -> Json:
    """Tooltips whose text each item brings along as ``tip``."""
    return {"trigger": "item", "formatter": {"fn": "tip"}, "confine": True}


def base(alt: str, **more: Any) -> Json:
    """What every option starts from."""
    return {"animation": False, "aria": {"enabled": True, "label": {"description": alt}}, "tooltip": tooltip()} | more


def finite(value: float | None) -> float | None:
    """JSON has no NaN: what is not finite becomes null."""
    return float(value) if value is not None and math.isfinite(value) else None
