"""Results as rows of text, narrow enough for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from wafer2token.evidence.units import format_range
from wafer2token.study.claims import label
from wafer2token.study.result import RunResult
from wafer2token.study.verdict import Verdict

Table = tuple[str, dict[str, str], list[dict[str, Any]]]
_ROW = {"measure": "", "p5": "p5", "p50": "p50", "p95": "p95", "grade": "weakest"}


def run_tables(result: RunResult) -> list[Table]:
    """The tables of a run, in the order of the chain."""
    tables: list[Table] = []
    if quarters := result.details.get("supply", {}).get("quarters_table"):
        tables.append(("Ascend by quarter: chips made, what binds", {k: k for k in quarters[0]}, quarters))
    supply = [r.shown() for r in result.rows if r.section == "supply"]
    if supply:
        tables.append(("Supply: p5 - p50 - p95", _ROW, supply))
    tables += _engine_tables(result)
    tables += _pair_tables(result)
    if result.verdicts:
        columns = {
            "claim": "claim",
            "sense": "sense",
            "claimed": "claimed",
            "computed": "computed",
            "p": "P",
            "finding": "verdict",
            "grade": "weakest",
        }
        tables.append(("Claims, each in its sense", columns, verdict_rows(result.verdicts, shown=True)))
    return tables


def _engine_tables(result: RunResult) -> list[Table]:
    """One table per model trained or served: a row per fleet, a column per measure."""
    tables: list[Table] = []
    for section, title, left_out in (("train", "Training", "tokens/s per chip"), ("serve", "Serving", "")):
        rows = [r for r in result.rows if r.section == section]
        for model in dict.fromkeys(r.item.split(".")[0] for r in rows):
            of_model = [r for r in rows if r.item.split(".")[0] == model and r.measure != left_out]
            columns = {"on": "on", **{r.measure: r.measure for r in of_model}, "grade": "weakest"}
            fleets = dict.fromkeys(r.item.split(".")[1] for r in of_model)
            cells: list[dict[str, Any]] = [
                {"on": f.replace("_x", " x"), **{r.measure: format_range(r.p5, r.p50, r.p95, r.unit) for r in of_model if r.item == f"{model}.{f}"},
                 "grade": next(r.grade for r in of_model if r.item == f"{model}.{f}")}
                for f in fleets
            ]  # fmt: skip
            tables.append((f"{title} {model}: p50 (p5-p95)", columns, cells))
    return tables


def _pair_tables(result: RunResult) -> list[Table]:
    from wafer2token.study.compare import shared_measures, side

    tables: list[Table] = []
    for a, b in result.pairs():
        sides = [side(result.graph, m, a, b) for m in shared_measures(result.graph, a, b)]
        columns = {"measure": "", "a": a, "b": b, "ratio": "A/B", "better": "A wins", "grade": "weakest"}
        tables.append((f"{a} against {b}: median (p5-p95)", columns, [s.shown() for s in sides]))
    return tables


def verdict_rows(verdicts: Iterable[Verdict], *, shown: bool) -> list[dict[str, Any]]:
    """Verdicts as rows; ``shown`` as text with units."""
    rows = []
    for v in verdicts:
        computed = format_range(v.p5, v.p50, v.p95, v.unit)
        rows.append({"claim": v.claim, "sense": v.sense, "claimed": v.claimed, "computed": computed,
                     "p": f"{v.probability:.0%}" if shown else v.probability, "finding": v.finding, "grade": v.grade})  # fmt: skip
    return rows


def claim_card_rows(cards: Sequence[Any]) -> list[dict[str, Any]]:
    """Claim cards as rows."""
    return [
        {
            "id": label(c),
            "document": c.document,
            "form": c.form,
            "grade": c.seed_grade,
            "status": c.status,
            "statement": c.statement,
        }
        for c in cards
    ]
