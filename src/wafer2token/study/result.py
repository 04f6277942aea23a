"""What ``run`` returns: rows for the table, the graph behind them, verdicts, drivers, and what gave no answer."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from wafer2token.evidence.sampling import summary
from wafer2token.evidence.units import format_quantity
from wafer2token.study.folder import csv_bytes
from wafer2token.study.graph import Graph
from wafer2token.study.scenario import Scenario, entity
from wafer2token.study.sensitivity import Driver
from wafer2token.study.verdict import Verdict


@dataclass(frozen=True)
class Row:
    """One result: p5, p50 and p95 in SI of ``unit``, the weakest grade under it, and its name in the graph."""

    section: str
    item: str
    measure: str
    unit: str
    p5: float
    p50: float
    p95: float
    grade: str
    name: str
    note: str = ""

    def shown(self) -> dict[str, str]:
        """The row as text."""
        return {"item": self.item, "measure": self.measure, "p5": format_quantity(self.p5, self.unit), "p50": format_quantity(self.p50, self.unit),
                "p95": format_quantity(self.p95, self.unit), "grade": self.grade, "note": self.note}  # fmt: skip


def row(graph: Graph, section: str, item: str, measure: str, name: str, note: str = "") -> Row:
    """A row from a quantity of the graph; a series counts by its last step."""
    values = graph.values[name]
    values = values[..., -1] if values.ndim > 1 else values
    p5, p50, p95 = summary(values)
    share = float(np.isfinite(values).mean())
    if share < 1:
        note = f"{note}; defined in {share:.0%} of the samples".removeprefix("; ")
    return Row(section, item, measure, graph.quantities[name].unit, p5, p50, p95, graph.grade(name), name, note)


@dataclass(frozen=True)
class RunResult:
    """A run of the whole chain. ``series`` holds what goes by quarter, ``problems`` what could not be answered and why."""

    scenario: Scenario
    version: str
    fingerprint: str
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    drivers: tuple[Driver, ...]
    problems: Mapping[str, str]
    series: Mapping[str, Any]
    details: Mapping[str, Any]
    graph: Graph = field(repr=False)

    def pairs(self) -> list[tuple[str, str]]:
        """The ids of the pairs compared."""
        return [(entity(a)[1].id, entity(b)[1].id) for a, b in self.scenario.compare]

    def manifest(self) -> dict[str, Any]:
        """What identifies the run: the resolved scenario, seed, version and the fingerprint of the data."""
        return {
            "schema": 1,
            "version": self.version,
            "data_fingerprint": self.fingerprint,
            "seed": self.scenario.seed,
            "samples": self.scenario.samples,
            "scenario": self.scenario.model_dump(by_alias=True, mode="json"),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as in summary.json."""
        return {
            **{k: v for k, v in self.manifest().items() if k != "scenario"},
            "scenario": self.scenario.name,
            "rows": [asdict(r) for r in self.rows],
            "claims": [v.to_dict() for v in self.verdicts],
            "drivers": [d.to_dict() for d in self.drivers],
            "problems": dict(self.problems),
            "details": dict(self.details),
        }

    def to_csv(self) -> str:
        """The rows as CSV."""
        return csv_bytes([asdict(r) for r in self.rows]).decode()

    def _repr_html_(self) -> str:
        cells = (r.shown() | {"section": r.section} for r in self.rows)
        columns = ("section", "item", "measure", "p5", "p50", "p95", "grade")
        head = "".join(f"<th>{c}</th>" for c in columns)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(c[k])}</td>" for k in columns) + "</tr>" for c in cells)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
