"""Calibration cards as TOML text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

_TIMES = frozenset({"floor", "cast_floor", "start", "token", "beat", "reduction", "regroup", "eager", "replay", "launch", "hop", "knee", "doubling", "per_block", "dispatch_launch", "combine_launch", "exchange_launch", "exchange_hop", "exchange_knee", "switch_latency", "latency"})  # fmt: skip
_RATES = frozenset({"cache"})
_SIZES: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fitted:
    """Fitted parameters and how well they do.

    ``error`` is the mean absolute percentage error on the held-out half (of the fitted rows when nothing was held
    out), ``low`` and ``high`` the 10th and 90th percentile of ln(measured / predicted) there.
    """

    family: str
    dtype: str
    parameters: Mapping[str, float]
    points: int
    held_out: int
    error: float
    low: float
    high: float
    bias: float = 0.0


@dataclass(frozen=True)
class CardDraft:
    """What a calibration card will say."""

    id: str
    name: str
    subject: str
    target: str
    stack: str
    result: Fitted
    sources: Sequence[str]
    as_of: date
    default: bool = False
    note: str = ""
    ranks: int = 0
    rates: dict[str, float] = field(default_factory=dict)
    grade: str = "measured"


def with_bias(draft: CardDraft, bias: float) -> CardDraft:
    """The draft with a systematic error of its family."""
    return replace(draft, result=replace(draft.result, bias=bias))


def write(folder: Path, name: str, drafts: Iterable[CardDraft], comment: str) -> Path:
    """One file with one ``[[card]]`` per draft, sorted by id."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.toml"
    text = "\n".join(_card(d) for d in sorted(drafts, key=lambda d: d.id))
    file.write_text(f"# {comment}\n\n{text}", encoding="utf-8")
    return file


def _card(draft: CardDraft) -> str:
    result = draft.result
    evidence = f'grade = "{draft.grade}", source = [{", ".join(_quoted(s) for s in draft.sources)}]'
    lines = [
        "[[card]]",
        f"id = {_quoted(draft.id)}",
        f"name = {_quoted(draft.name)}",
        f"subject = {_quoted(draft.subject)}",
        f"target = {_quoted(draft.target)}",
        f"stack = {_quoted(draft.stack)}",
        f"family = {_quoted(result.family)}",
        f"dtype = {_quoted(result.dtype)}",
        f"default = {str(draft.default).lower()}",
        f"as_of = {draft.as_of.isoformat()}",
    ]
    if draft.ranks:
        lines.append(f"ranks = {draft.ranks}")
    if draft.note:
        lines.append(f"note = {_quoted(draft.note)}")
    for table, names, unit in (("times", _TIMES, " s"), ("sizes", _SIZES, " B")):
        rows = [(k, v) for k, v in result.parameters.items() if k in names]
        lines += _table(table, rows, unit, evidence)
    rates = [*draft.rates.items(), *((k, v) for k, v in result.parameters.items() if k in _RATES)]
    lines += _table("rates", rates, " B/s", evidence)
    plain = [(k, v) for k, v in result.parameters.items() if k not in _TIMES | _SIZES | _RATES]
    lines += _table("ratios", plain, "", evidence)
    lines += [
        "[card.fit]",
        f"points = {result.points}",
        f"held_out = {result.held_out}",
        *(f"{k} = {{ value = {_number(getattr(result, k))}, {evidence} }}" for k in ("error", "low", "high", "bias")),
        "",
    ]
    return "\n".join(lines)


def _table(name: str, rows: Sequence[tuple[str, float]], unit: str, evidence: str) -> list[str]:
    if not rows:
        return []
    quoted = [f'"{_number(v)}{unit}"' if unit else _number(v) for _, v in rows]
    return [f"[card.{name}]", *(f"{k} = {{ value = {q}, {evidence} }}" for (k, _), q in zip(rows, quoted, strict=True))]


def _number(value: float) -> str:
    text = f"{value:.4g}"
    return text if any(c in text for c in ".en") else f"{text}.0"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
