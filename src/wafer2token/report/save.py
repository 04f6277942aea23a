"""``save``: a run as a folder of files that anything can read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from wafer2token.catalog.bibliography import bibliography
from wafer2token.report.run_page import run_page, used_sources
from wafer2token.study.folder import csv_bytes, json_bytes, parquet_bytes, write
from wafer2token.study.result import RunResult


def save(result: RunResult, folder: str | Path) -> Path:
    """Writes a run's folder whole: manifest, summary, series, graph, bibliography, report.

    Args:
        result: what ``run`` returned.
        folder: new, or the folder of an earlier run, which is replaced.

    Raises:
        InputError: the place holds something else, or cannot be written.
    """
    series = [(name, quarter, *(float(s[p][i]) for p in ("p5", "p50", "p95")), s["unit"])
              for name, s in result.series.items() for i, quarter in enumerate(s["quarters"])]  # fmt: skip
    columns = ("name", "quarter", "p5", "p50", "p95", "unit")
    return write(folder, {
        "run.json": json_bytes(result.manifest()),
        "summary.json": json_bytes(result.to_dict()),
        "summary.csv": csv_bytes([asdict(r) for r in result.rows]),
        "series.parquet": parquet_bytes({c: [row[i] for row in series] for i, c in enumerate(columns)}),
        "graph.json": json_bytes(result.graph.to_dict()),
        "sources.bib": bibliography(used_sources(result)).encode(),
        "report.html": run_page(result).encode(),
    })  # fmt: skip
