"""How ``w2t allow`` looks on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

from wafer2token.cli.output import console, emit
from wafer2token.controls.frontier import Frontier, Limit
from wafer2token.controls.goldens import Check
from wafer2token.controls.items import show_interval
from wafer2token.controls.margins import Margin
from wafer2token.controls.places import destination
from wafer2token.controls.ruling import Finding, Ruling
from wafer2token.controls.timeline import Span, Timeline

_COLOUR = {"free": "green", "licence": "yellow", "denied": "red", "indeterminate": "magenta", "unknown": "cyan"}
_MARK = {"free": "─", "licence": "▒", "denied": "█", "indeterminate": "?", "unknown": "~"}
_ORDER = ("free", "licence", "indeterminate", "unknown", "denied")
_ENGLISH = {"in force": "", "reported, informal": "reported, not law"}


def show_ruling(r: Ruling) -> None:
    """The verdict, what was measured, the rules that decide or nearly do, assumptions and evidence."""
    from rich.text import Text

    screen = console()
    route = f"{destination(r.origin).name} to {destination(r.to).name}"
    screen.print(Text(f"{r.name}: {route}, {r.on}, {r.party}"), style="bold")
    screen.print(Text.assemble((r.verdict.upper(), f"bold {_COLOUR[r.verdict]}"), _because(r)))
    if _measured(r):
        screen.print(Text(_measured(r)))
    decisive = [f for f in r.matched if f.lane == "export" and not f.informal]
    _findings(decisive, "rules that apply")
    _findings(list(r.near), "near misses")
    _findings([f for f in r.matched if f.lane == "import" or f.informal], "reported, not law, or on the import side")
    for finding in r.considered:
        if closest := _closest(finding):
            screen.print(Text(f"not met: {finding.rule}, nearest {closest}"))
    for word, lines in (("assumed", r.assumptions), ("note", r.notes)):
        for line in lines:
            screen.print(Text(f"{word}: {line}"))
    if r.missing:
        screen.print(Text(f"open because of: {', '.join(r.missing)}"))
    number = f", weakest number {r.weakest_number}" if r.weakest_number else ""
    screen.print(Text(f"evidence: weakest rule text {r.weakest_evidence}{number}; view: {r.view}"), style="dim")
    screen.print(Text(r.disclaimer), style="dim")


def _because(r: Ruling) -> str:
    if r.verdict in ("indeterminate", "unknown") and r.at_least != r.at_most:
        return f"  between {r.at_least} and {r.at_most}"
    parts = [r.review, f"exception {r.exception}" if r.exception else "", r.condition]
    parts.append(f"{r.duty:.0%} duty" if r.duty else "")
    if r.import_verdict != "free":
        parts.append(f"import side: {r.import_verdict}")
    return "  " + "; ".join(p for p in parts if p)


def _measured(r: Ruling) -> str:
    m = r.metrics
    shown = []
    if m.tpp:
        bound = m.tpp[0] != m.tpp[1]
        how = ("bound" if bound else "declared") if m.tpp_declared else m.tpp_format
        density = show_interval(m.pd) if m.pd else "none (all planar)" if m.all_planar else "unknown (no die list)"
        shown += [f"TPP {show_interval(m.tpp)} ({how})", f"area {show_interval(m.area_mm2)} mm2", f"density {density}"]
    if m.mbd:
        shown.append(f"memory bandwidth density {show_interval(m.mbd)} GB/s/mm2")
    return "  ".join(shown)


def _findings(found: Sequence[Finding], title: str) -> None:
    if not found:
        return
    rows = [row for f in found for row in _finding_rows(f)]
    columns = {
        "rule": "rule",
        "says": "says",
        "leg": "limb",
        "value": "value",
        "threshold": "threshold",
        "margin": "margin",
    }
    emit(rows, columns, title)
    screen = console()
    from rich.text import Text

    for f in found:
        screen.print(Text(f"  {f.rule}: {f.name}. {'; '.join(f.citation)} [{f.evidence}]"), style="dim")


def _finding_rows(f: Finding) -> list[dict[str, Any]]:
    says = f"replaced by {f.replaced_by}" if f.replaced_by else _says(f)
    deciding = {leg.label for leg in f.legs if leg.met != "no"}
    margins = [m for m in f.margins if m.leg in deciding] or [m for m in f.margins if m.relative is not None]
    if f.match == "near":
        margins = [
            m for m in margins if m.relative is not None and m.met == "no" and abs(m.relative) <= 0.25
        ] or margins
    rows = [{"leg": m.leg, "value": _value(m), "threshold": _threshold(m), "margin": _relative(m)} for m in margins]
    named = [leg for leg in f.legs if leg.met == "yes" and leg.label not in {m.leg for m in margins}]
    rows = [{"leg": leg.label} for leg in named] + _once(rows) or [{"leg": f.excluded or "-"}]
    return [{"rule": f.rule if i == 0 else "", "says": says if i == 0 else "", **row} for i, row in enumerate(rows)]


def _once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same limb is named on its first line only."""
    above = [None, *(r["leg"] for r in rows)]
    return [{**r, "leg": "" if r["leg"] == before else r["leg"]} for r, before in zip(rows, above, strict=False)]


def _says(f: Finding) -> str:
    if f.match == "near":
        return "no"
    verdict = f.verdict if f.match == "yes" else f"{f.verdict} or {f.ceiling}"
    if f.duty:
        verdict = f"{f.duty:.0%} duty"
    extra = f.exception or _ENGLISH.get(f.standing, f.standing)
    return f"{verdict} ({extra})" if extra else verdict


def _closest(f: Finding) -> str:
    """The limb that comes nearest: the one whose largest shortfall is smallest."""
    short: dict[str, Margin] = {}
    for m in f.margins:
        if m.met == "no" and m.relative is not None and m.relative > -1:
            worst = short.get(m.leg)
            if worst is None or abs(m.relative) > abs(worst.relative or 0):
                short[m.leg] = m
    if not short:
        return ""
    m = min(short.values(), key=lambda x: abs(x.relative or 0))
    return f"{m.leg}: {_value(m)} against {_threshold(m)}, {_relative(m)}"


def _value(m: Margin) -> str:
    return f"{m.variable} {show_interval(m.value)}"


def _threshold(m: Margin) -> str:
    return f"{m.op} {show_interval(m.threshold)}"


def _relative(m: Margin) -> str:
    if m.relative is None:
        return "?"
    out = f"{m.relative:+.1%}"
    if m.probability is not None:
        out += f", {_percent(m.probability)} likely"
    if m.flip_area_mm2 and abs(m.relative) <= 0.1:
        out += f", flips at {m.flip_area_mm2:,.1f} mm2"
    return out


def _percent(probability: float) -> str:
    return ">99%" if 0.99 < probability < 1 else "<1%" if 0 < probability < 0.01 else f"{probability:.0%}"


def ruling_rows(r: Ruling) -> list[dict[str, Any]]:
    """One row per rule that decides or nearly does, for CSV."""
    head = {"item": r.item, "from": r.origin, "to": r.to, "on": r.on.isoformat(), "verdict": r.verdict}
    found = [*r.matched, *r.near]
    rows = [
        {**head, "rule": f.rule, "match": f.match, "says": f.verdict, "citation": "; ".join(f.citation)} for f in found
    ]
    return rows or [{**head, "rule": "", "match": "", "says": "", "citation": ""}]


def show_timeline(found: Timeline) -> None:
    """One mark per month under the years, then the spans."""
    from rich.text import Text

    screen = console()
    route = f"{destination(found.origin).name} to {destination(found.to).name}"
    screen.print(Text(f"{found.name}: {route}, {found.party}, {found.view}"), style="bold")
    months = _months(found.spans[0].start, found.spans[-1].end)
    step = max(1, math.ceil(len(months) / 96))
    cells = [months[i : i + step] for i in range(0, len(months), step)]
    screen.print(Text(_years(cells)))
    bar = Text()
    for cell in cells:
        verdict = _worst(found, cell, "verdict")
        bar.append(_MARK[verdict], style=_COLOUR[verdict])
    screen.print(bar)
    if any(s.import_verdict != "free" for s in found.spans):
        screen.print(Text("import side, reported:", style="dim"))
        screen.print(Text("".join(_MARK[_worst(found, c, "import_verdict")] for c in cells)))
    end = next((i for i, cell in enumerate(cells) if found.horizon < cell[0]), None)
    if end is not None:
        label = f"facts end {found.horizon}"
        text = f"{label} ^" if end > len(label) + 1 else f"^ {label}"
        screen.print(Text(text.rjust(end) if text.endswith("^") else " " * (end - 1) + text, style="dim"))
    screen.print(Text("  ".join(f"{mark} {word}" for word, mark in _MARK.items())), style="dim")
    columns = {"start": "from", "end": "to", "verdict": "verdict", "why": "why"}
    emit([{**_span_row(s), "why": _why(s)} for s in found.spans], columns)
    screen.print(
        Text(f"Drawn for every date, on sale or not. The facts reach {found.horizon}. {found.disclaimer}"), style="dim"
    )


def _months(first: date, last: date) -> list[date]:
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [date(first.year + (first.month - 1 + i) // 12, (first.month - 1 + i) % 12 + 1, 1) for i in range(count)]


def _years(cells: Sequence[Sequence[date]]) -> str:
    line = ""
    for i, cell in enumerate(cells):
        january = next((m for m in cell if m.month == 1), None)
        if (january or i == 0) and len(line) <= i:
            line = line.ljust(i) + str((january or cell[0]).year)
    return line


def _worst(found: Timeline, months: Sequence[date], key: str) -> str:
    """The strictest verdict on any day of some months."""
    last = months[-1]
    end = date(last.year + last.month // 12, last.month % 12 + 1, 1)
    verdicts: list[str] = [getattr(s, key) for s in found.spans if s.start < end and s.end >= months[0]]
    return max(verdicts, key=_ORDER.index)


def _why(span: Span) -> str:
    parts = [", ".join(span.rules), span.exception]
    parts.append(f"open: {', '.join(span.missing)}" if span.missing else "")
    parts.append(f"import side {span.import_verdict}" if span.import_verdict != "free" else "")
    return "; ".join(p for p in parts if p)


def _span_row(span: Span) -> dict[str, Any]:
    return {"start": span.start.isoformat(), "end": span.end.isoformat(), "verdict": span.verdict}


def span_rows(found: Timeline) -> list[dict[str, Any]]:
    """One row per span, for CSV."""
    return [
        {"item": found.item, **_span_row(s), "rules": ", ".join(s.rules), "import_verdict": s.import_verdict}
        for s in found.spans
    ]


def design_rows(found: Frontier) -> list[dict[str, Any]]:
    """One row per die area: strict upper limits."""
    return [
        {
            "area_mm2": d.area_mm2,
            "tpp": _limit(d.tpp),
            "density": _limit(d.pd),
            "fp16_tflops": _flops(d.tpp, 16),
            "fp8_tflops": _flops(d.tpp, 8),
            "memory_gbs": _limit(d.dram_bw_gbs),
            "link_gbs": _limit(d.link_gbs),
        }
        for d in found.designs
    ]


def _flops(limit: Limit, bits: int) -> str:
    return "no limit" if math.isinf(limit.sure) else f"{limit.sure / bits:,.5g}"


def _limit(limit: Limit) -> str:
    if math.isinf(limit.sure):
        return "no limit"
    sign = "" if limit.inclusive else "< "
    if limit.possible != limit.sure:
        top = "no limit" if math.isinf(limit.possible) else f"{limit.possible:,.5g}"
        return f"{sign}{limit.sure:,.5g} to {top}"
    return f"{sign}{limit.sure:,.5g}"


def show_design(found: Frontier, work: Sequence[Any] | None) -> None:
    """The frontier by die area, products near it, and what the design does on a model."""
    part = "datacenter" if found.datacenter else "non-datacenter"
    goal = "no licence" if found.verdict == "free" else "a licence that can be had"
    columns = {"area_mm2": "area mm2", "tpp": "TPP", "density": "density", "fp16_tflops": "FP16 TFLOP/s",
               "fp8_tflops": "FP8 TFLOP/s", "memory_gbs": "memory GB/s", "link_gbs": "link GB/s"}  # fmt: skip
    emit(design_rows(found), columns, f"strongest {part} part to {found.to} on {found.on} with {goal}")
    if found.neighbours:
        rows = [{**n.to_dict(), "below": f"{n.below:+.1%}", "limit": f"{n.limit:,.5g}", "tpp": f"{n.tpp:,.6g}", "area_mm2": f"{n.area_mm2:,.5g}"} for n in found.neighbours]  # fmt: skip
        heads = {
            "item": "product",
            "area_mm2": "area mm2",
            "tpp": "TPP",
            "limit": "limit at its area",
            "below": "below the line",
        }
        emit(rows, heads, "products within a tenth of the line")
    for w in work or ():
        emit(w.rows(), w.columns(), w.title(), note=w.note)
    from rich.text import Text

    console().print(Text(found.disclaimer), style="dim")


def check_title(found: Sequence[Check]) -> str:
    """How many known outcomes agree, documented and derived apart."""
    told = {basis: [c for c in found if c.basis == basis] for basis in ("documented", "derived")}
    parts = [f"{sum(c.agrees for c in told[b])} of {len(told[b])} {word}" for b, word in (("documented", "documented"), ("derived", "derived here"))]  # fmt: skip
    return f"{sum(c.agrees for c in found)} of {len(found)} known outcomes agree: {', '.join(parts)}"


def check_rows(found: Sequence[Check]) -> list[dict[str, str]]:
    """Agreement by rule or route."""
    rows = []
    for asked in dict.fromkeys(c.asked for c in found):
        row = {"asked": asked}
        for basis in ("documented", "derived"):
            some = [c for c in found if c.asked == asked and c.basis == basis]
            row[basis] = f"{sum(c.agrees for c in some)} of {len(some)}" if some else "-"
        rows.append(row)
    return rows
