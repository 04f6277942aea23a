"""One self-contained HTML page: text, tables, charts with their data and the library that draws them; no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from wafer2token.report.blocks import Chart, Section, table_html
from wafer2token.report.words import escape, inline, prose

# nothing may be fetched: the page works from a disk and tells nobody that it is read
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


def page(
    title: str,
    sections: Sequence[Section],
    meta: Mapping[str, Any],
    *,
    subtitle: str = "",
    headlines: Sequence[tuple[str, str, str]] = (),
) -> str:
    """The page as a string; the same arguments give the same bytes.

    ``meta`` is shown as a list of label and value (seed, version, fingerprint of the data, date: the caller's);
    ``headlines`` are (label, value, note) set large at the top, a range in brackets smaller.
    """
    charts = {s.id: s.chart.option for s in sections if s.chart is not None}
    body = "".join(_section(s) for s in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_asset('page.css')}</style>\n</head>\n<body>\n"
        f"{_header(title, subtitle, meta)}\n"
        f'<div class="frame">\n{_contents(sections)}\n<main>\n{_headlines(headlines)}{body}</main>\n</div>\n'
        f"<footer><p>Made by wafer2token. Charts: Apache ECharts 6 (Apache-2.0). "
        "Every chart carries its data as a table beneath it.</p></footer>\n"
        f'<script type="application/json" id="w2t-data">{_json(charts)}</script>\n'
        f"{_library() if charts else ''}<script>\n{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


def _header(title: str, subtitle: str, meta: Mapping[str, Any]) -> str:
    items = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in meta.items())
    under = f'<p class="subtitle">{inline(subtitle)}</p>' if subtitle else ""
    button = '<button id="w2t-theme" type="button" title="light or dark" aria-label="light or dark">◐</button>'
    return f"<header>{button}<h1>{escape(title)}</h1>{under}<dl>{items}</dl></header>"


def _contents(sections: Sequence[Section]) -> str:
    items = "".join(f'<li class="l{s.level}"><a href="#{escape(s.id)}">{escape(s.title)}</a></li>' for s in sections)
    return f'<nav aria-label="contents"><ol>{items}</ol></nav>'


def _headlines(items: Sequence[tuple[str, str, str]]) -> str:
    if not items:
        return ""
    cells = "".join(
        f'<div><span class="label">{escape(label)}</span>{_large(value)}<span class="note">{inline(note)}</span></div>'
        for label, value, note in items
    )
    return f'<div class="headlines">{cells}</div>\n'


def _large(value: str) -> str:
    """A headline value; a range in brackets behind it is set smaller."""
    head, bracket, rest = value.partition(" (")
    tail = f' <span class="range">({escape(rest)}</span>' if bracket else ""
    return f'<span class="value">{escape(head)}{tail}</span>'


def _section(section: Section) -> str:
    chart = _figure(section.id, section.chart) if section.chart else ""
    table = table_html(section.table) if section.table else ""
    head = f"h{section.level}"
    return (
        f'<section id="{escape(section.id)}" class="l{section.level}"><{head}>{escape(section.title)}</{head}>'
        f"{prose(section.text)}{chart}{table}</section>\n"
    )


def _figure(name: str, chart: Chart) -> str:
    return (
        f'<figure><div class="chart" data-chart="{escape(name)}" role="img" aria-label="{escape(chart.alt)}" '
        f'style="height:{chart.height}px"></div>'
        f"<details><summary>Data of this chart ({len(chart.data.rows)} rows)</summary>{table_html(chart.data)}"
        "</details></figure>"
    )


def _json(value: object) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _asset(name: str) -> str:
    return (resources.files("wafer2token.report") / "assets" / name).read_text(encoding="utf-8")


def _library() -> str:
    return f"<script>{_asset('echarts.min.js')}</script>\n"
