"""Numbers as people read them, and text as HTML: the only place of the report that formats."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence

from wafer2token.evidence.errors import W2TError
from wafer2token.evidence.units import format_quantity

_SCALES = ((1e12, "tn"), (1e9, "bn"), (1e6, "M"), (1e3, "k"))
_PREFIXED = re.compile(r"^(B|bit|FLOP|FLOP/s|FLOP/s/W|FLOP/B|OP/s|B/s|bit/s|W|Wh|J|Hz|s|m)$")
_INLINE = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)"), r'<a href="\2" rel="noreferrer">\1</a>'),
)
MISSING = "–"


def plain(value: float | None, digits: int = 3) -> str:
    """A number at ``digits`` significant digits with k, M, bn or tn: 1234567 -> ``1.23 M``."""
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    for scale, word in _SCALES:
        if size >= scale * (1 - 0.5 * 10**-digits) and size >= 1e4 * (1 - 0.5 * 10**-digits):
            return f"{_digits(value / scale, digits)} {word}"
    return _digits(value, digits)


def prefixed(unit: str) -> bool:
    """Whether ``amount`` writes a unit with a prefix of its own (``PFLOP/s``)."""
    return bool(_PREFIXED.match(unit))


def readable(unit: str, size: float) -> tuple[float, str]:
    """(factor, unit) that suits values of a size on an axis: long times in days, everything else as it is."""
    return (1 / 86400, "days") if unit == "s" and size >= 2 * 86400 else (1.0, unit)


def amount(value: float | None, unit: str = "", digits: int = 3) -> str:
    """A value with its unit: shares as percent (unit ``%``), SI units with a prefix, everything else as a count."""
    if value is None or not math.isfinite(value):
        return MISSING
    if unit == "%":
        return f"{_digits(100 * value, digits)} %"
    if prefixed(unit):
        try:
            return format_quantity(value, unit, digits)
        except W2TError:
            return f"{plain(value, digits)} {unit}"
    return f"{plain(value, digits)} {unit}".strip()


def interval(values: Sequence[float | None], unit: str = "") -> str:
    """``p50 (p5 – p95)`` of three values, the unit once at the end."""
    low, mid, high = values
    if low == mid == high:
        return amount(mid, unit)
    tail = "" if unit in ("", "%") else f" {unit}"
    inner = unit if unit == "%" else ""
    if prefixed(unit):
        return f"{amount(mid, unit)} ({amount(low, unit)} – {amount(high, unit)})"
    return f"{amount(mid, inner)} ({amount(low, inner)} – {amount(high, inner)}){tail}"


def _digits(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e+" in text else text


def escape(text: object) -> str:
    """Text made safe for HTML."""
    return html.escape(str(text), quote=True)


def prose(text: str) -> str:
    """Paragraphs of plain text as HTML; `` `code` ``, ``**bold**`` and ``[title](address)`` are understood."""
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n", text.strip()) if p.strip()]
    return "".join(f"<p>{inline(p)}</p>" for p in paragraphs)


def inline(text: str) -> str:
    """One line of plain text as HTML."""
    out = escape(" ".join(text.split()))
    for pattern, replacement in _INLINE:
        out = pattern.sub(replacement, out)
    return out


def tip(title: str, *lines: tuple[str, str]) -> str:
    """The text of a tooltip: a title and lines of label and value, as safe HTML."""
    rows = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in lines)
    return f"<b>{escape(title)}</b><table>{rows}</table>"
