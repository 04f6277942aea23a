"""What a newer software version buys the same code, and which findings are new since a baseline."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.stack.audit import support
from wafer2token.stack.audit.engine import Audit, audit
from wafer2token.stack.audit.model import Finding, rank


@dataclass(frozen=True)
class AuditDiff:
    """Two audits of the same code: findings that went, that came, and what the operator registry gained."""

    old: Audit
    new: Audit
    fixed: tuple[Finding, ...]
    added: tuple[Finding, ...]
    gained_operators: tuple[str, ...]
    lost_operators: tuple[str, ...]
    gained_fused: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "old": {"torch_npu": self.old.target.wheel.version, "verdict": self.old.verdict},
            "new": {"torch_npu": self.new.target.wheel.version, "verdict": self.new.verdict},
            "fixed": [f.to_dict() for f in self.fixed],
            "added": [f.to_dict() for f in self.added],
            "gained_operators": list(self.gained_operators),
            "lost_operators": list(self.lost_operators),
            "gained_fused_operators": list(self.gained_fused),
            "coverage": {"old": self.old.coverage, "new": self.new.coverage},
        }


def diff(path: str | Path, old: str, new: str, target: str = "ascend_910c", **options: Any) -> AuditDiff:
    """Audits ``path`` against two versions of torch_npu.

    Args:
        path: what to audit.
        old, new: versions of torch_npu or their beginnings.
        target: chip id or alias.
        options: further arguments of ``audit``.

    Raises InputError for a path, chip or version that is not known.
    """
    before = audit(path, target, old, **options)
    after = audit(path, target, new, **options)
    first, second = before.target.wheel.version, after.target.wheel.version
    gained, lost = _operators(first, second)
    fused = tuple(sorted(f.name for f in support.fused().values() if f.in_wheel(second) and not f.in_wheel(first)))
    return AuditDiff(
        before, after, _only_in(before.findings, after.findings), _only_in(after.findings, before.findings),
        gained, lost, fused,
    )  # fmt: skip


def _only_in(mine: tuple[Finding, ...], other: tuple[Finding, ...]) -> tuple[Finding, ...]:
    left = Counter(f.digest for f in other)
    found = []
    for finding in mine:
        if left[finding.digest]:
            left[finding.digest] -= 1
        else:
            found.append(finding)
    return tuple(found)


def _operators(first: str, second: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Overloads with a CUDA kernel that stopped, and that began, to fall back to the CPU."""
    gained, lost = [], []
    for name, operator in support.operators().items():
        if not operator.on_cuda or name.endswith("out"):
            continue
        before, after = operator.classes[first], operator.classes[second]
        if before == "C" and after not in "Cx-":
            gained.append(name)
        elif after == "C" and before not in "Cx-":
            lost.append(name)
    return tuple(sorted(gained)), tuple(sorted(lost))


def new_since(report: Audit, baseline: str | Path, severity: str) -> tuple[Finding, ...]:
    """The findings of a severity and above that a baseline report (``--json``) does not have.

    A finding is recognised by rule, file and the text of its line, so that lines may move. A source added to an extension
    that is told once counts with its own severity. Raises InputError where the
    baseline cannot be read.
    """
    path = Path(baseline)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        left = Counter(str(f["digest"]) for f in [*document["findings"], *document.get("ignored", [])])
    except (OSError, ValueError, KeyError, TypeError) as error:
        remedy = "write one with: w2t audit PATH --json > FILE"
        raise InputError(Problem(f"not a baseline: {type(error).__name__}", str(path), remedy=remedy)) from error
    found = []
    for finding in report.findings:
        if left[finding.digest]:
            left[finding.digest] -= 1
        elif rank(finding.severity_alone or finding.severity) >= rank(severity):
            found.append(finding)
    return tuple(found)
