"""What a page is made of: sections with text, charts that carry their own data as a table, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wafer2token.report.words import MISSING, amount, escape, inline, interval

GRADES = ("measured", "teardown", "vendor", "analyst", "press", "assumed")
KINDS = ("text", "number", "interval", "grade", "source", "shares")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``key`` into the rows, ``title``, ``unit`` (shown in the head), ``kind`` of the cells.

    Kinds: ``text``; ``number`` a float; ``interval`` three floats (p5, p50, p95); ``grade`` one of the grades of
    evidence; ``source`` a title, a (title, address) pair or a list of these; ``shares`` a list of
    (label, share, tone) that is drawn as one bar, tones as in ``TONES``.
    """

    key: str
    title: str
    unit: str = ""
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of plain values under columns, with a caption."""

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """An Apache ECharts option (JSON values only), its height [px], its data as a table, and what it shows in words."""

    option: dict[str, Any]
    data: Table
    alt: str
    height: int = 380


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: anchor id, title, text (see ``words.prose``), and at most one chart and one table.

    ``level`` 2 is a chapter, 3 a part of the chapter before it.
    """

    id: str
    title: str
    text: str = ""
    chart: Chart | None = None
    table: Table | None = None
    level: int = 2


def table_html(table: Table) -> str:
    """A table as HTML."""
    caption = f"<caption>{inline(table.caption)}</caption>" if table.caption else ""
    head = "".join(_head(column) for column in table.columns)
    body = "".join(f"<tr>{''.join(_cell(column, row) for column in table.columns)}</tr>" for row in table.rows)
    return f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(column: Column) -> str:
    unit = "" if column.unit in ("", "1") else f' <span class="unit">{escape(column.unit)}</span>'
    right = ' class="num"' if column.kind in ("number", "interval") else ""
    return f"<th{right}>{escape(column.title)}{unit}</th>"


def _cell(column: Column, row: Mapping[str, Any]) -> str:
    value = row.get(column.key)
    if value is None or value == "":
        return f'<td class="none">{MISSING}</td>'
    if column.kind == "number":
        return f'<td class="num">{escape(amount(float(value), "%" if column.unit == "%" else ""))}</td>'
    if column.kind == "interval":
        return f'<td class="num">{escape(interval(value, "%" if column.unit == "%" else ""))}</td>'
    if column.kind == "grade":
        known = value if value in GRADES else "other"
        return f'<td><span class="grade g-{known}">{escape(value)}</span></td>'
    if column.kind == "source":
        return f'<td class="source">{_sources(value)}</td>'
    if column.kind == "shares":
        return f"<td>{_shares(value)}</td>"
    return f"<td>{inline(str(value))}</td>"


def _sources(value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    out = []
    for item in items:
        title, address = item if isinstance(item, (tuple, list)) else (item, "")
        linked = str(address).startswith(("https://", "http://"))
        out.append(f'<a href="{escape(address)}" rel="noreferrer">{escape(title)}</a>' if linked else escape(title))
    return "; ".join(out)


def _shares(parts: Sequence[tuple[str, float, str]]) -> str:
    """One bar of labelled shares of one; the words stand beside it, so that colour is never needed."""
    pieces = "".join(
        f'<i class="t-{escape(tone)}" style="width:{100 * share:.1f}%" title="{escape(label)} {100 * share:.0f} %"></i>'
        for label, share, tone in parts
        if share > 0
    )
    words = ", ".join(f"{escape(label)} {100 * share:.0f}\u00a0%" for label, share, _ in parts if share > 0)
    return f'<span class="shares">{pieces}</span><span class="sharewords">{words}</span>'
