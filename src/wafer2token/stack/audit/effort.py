"""How large the port may be, in lines of source, from the published size of real first ports. Never hours."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from wafer2token.evidence.errors import EvidenceError
from wafer2token.stack.audit.model import EFFORTS, Finding, rank

_LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Port:
    """A real first port: source lines added, and what the audit counts in the release before it."""

    project: str
    lines_added: int
    sites: int | None
    grade: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Effort:
    """Source lines that a first port may add: P10, P50, P90, and the sites by class of effort.

    ``sites`` are distinct lines with a finding of medium severity and above in product code.
    """

    sites: int
    files: int
    by_class: dict[str, int]
    lines: tuple[float, float, float] | None
    calibration: tuple[Port, ...]

    def to_dict(self) -> dict[str, Any]:
        lines = dict(zip(("p10", "p50", "p90"), self.lines, strict=True)) if self.lines else None
        calibration = [{**vars(p), "sources": list(p.sources)} for p in self.calibration]
        return {
            "sites": self.sites, "files": self.files, "by_class": self.by_class, "unit": "source lines added",
            "lines": lines, "calibration": calibration,
        }  # fmt: skip


@cache
def ports() -> tuple[Port, ...]:
    """The published ports, smallest first. Raises EvidenceError for one without source or grade."""
    data = files("wafer2token.stack.audit") / "data"
    document = tomllib.loads((data / "ports.toml").read_text(encoding="utf-8"))
    counted = {
        r["project"]: int(r["sites"]) for r in csv.DictReader((data / "port_sites.csv").read_text().splitlines())
    }
    found = []
    for entry in document["port"]:
        sources = tuple(document["sources"][s] for s in entry["sources"])
        if not sources or not entry.get("grade"):
            raise EvidenceError(f"port {entry['project']}: no source or no grade")
        sites = counted.get(entry["project"])
        found.append(Port(entry["project"], entry["lines_added"], sites, entry["grade"], sources))
    return tuple(sorted(found, key=lambda p: p.lines_added))


def sites_of(findings: Iterable[Finding]) -> dict[tuple[str, int], str]:
    """Distinct places with a finding of medium severity and above, each with its hardest class of effort."""
    found: dict[tuple[str, int], str] = {}
    for finding in findings:
        if rank(finding.severity) >= rank("medium"):
            key = (finding.file, finding.line)
            found[key] = max(found.get(key, finding.effort), finding.effort, key=EFFORTS.index)
    return found


def lines_added(sites: int, known: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """P10, P50 and P90 of the source lines that a first port adds, for a number of sites.

    Ordinary least squares of log(lines) on log(1 + sites) over real ports, with the prediction interval of a new one
    (Student's t, n - 2 degrees of freedom).

    Args:
        sites: distinct lines of medium severity and above.
        known: (sites, lines added) of real ports, at least three.

    References: Draper and Smith, Applied Regression Analysis, 3rd ed., section 3.1.
    """
    from scipy.stats import t

    x = [math.log1p(s) for s, _ in known]
    y = [math.log(lines) for _, lines in known]
    n = len(known)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    spread = sum((a - mean_x) ** 2 for a in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    intercept = mean_y - slope * mean_x
    residual = sum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True)) / (n - 2)
    here = math.log1p(sites)
    error = math.sqrt(residual * (1 + 1 / n + (here - mean_x) ** 2 / spread))
    low, mid, high = (math.exp(intercept + slope * here + float(t.ppf(q, n - 2)) * error) for q in _LEVELS)
    return low, mid, high


def estimate(findings: Iterable[Finding]) -> Effort:
    """The effort that findings call for; no lines where nothing of medium severity was found."""
    found = sites_of(findings)
    by_class = {name: sum(effort == name for effort in found.values()) for name in EFFORTS}
    known = [(p.sites, p.lines_added) for p in ports() if p.sites is not None]
    lines = lines_added(len(found), known) if found and len(known) >= 3 else None
    return Effort(len(found), len({file for file, _ in found}), by_class, lines, ports())
