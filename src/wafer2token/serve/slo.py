"""Service-level objectives: ``ttft=2s,tpot=50ms,p99_ttft=5s``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.evidence.units import parse_quantity

METRICS = ("ttft", "tpot", "itl", "e2e")
_ITEM = re.compile(r"^\s*(?:(p\d{1,2}(?:\.\d+)?|mean|median)_)?([a-z0-9]+)\s*[=:<]\s*(.+?)\s*$")


@dataclass(frozen=True)
class Objective:
    """One limit: metric (ttft, tpot, itl, e2e), the statistic it holds for ("p99", "mean"), seconds."""

    metric: str
    limit_s: float
    statistic: str = "p99"

    def __str__(self) -> str:
        return f"{self.statistic} {self.metric} <= {self.limit_s:.4g} s"


def parse_slo(text: str, statistic: str = "p99") -> tuple[Objective, ...]:
    """Objectives out of ``"ttft=2s,tpot=50ms"``; a bare number is refused, every problem is named.

    ``statistic`` holds where an objective names none (``p95_ttft=2s`` names one).
    """
    found, wrong = [], []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = _ITEM.match(part)
        if not match:
            wrong.append(Problem("not an objective", "--slo", part, "ttft=2s,tpot=50ms,p95_e2e=10s"))
            continue
        named, metric, value = match.groups()
        if metric not in METRICS:
            wrong.append(unknown("metric", metric, METRICS, "--slo"))
            continue
        try:
            limit = parse_quantity(value, "s", f"--slo {metric}")
        except InputError as error:
            wrong.extend(error.problems)
            continue
        if limit <= 0:
            wrong.append(Problem("a limit must be above zero", f"--slo {metric}", value))
        found.append(Objective(metric, limit, named or statistic))
    if wrong:
        raise InputError(wrong)
    if not found:
        raise InputError(Problem("no objective", "--slo", text, "ttft=2s,tpot=50ms"))
    return tuple(found)
