"""The audit: read a project, judge every site, and say what the move takes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wafer2token.stack.audit.coverage import operator_coverage
from wafer2token.stack.audit.derive import with_derived
from wafer2token.stack.audit.efficiency import expected_efficiency
from wafer2token.stack.audit.effort import Effort, estimate
from wafer2token.stack.audit.files import discover, kind_of
from wafer2token.stack.audit.graph import run_on_import, unreachable
from wafer2token.stack.audit.judge import judge, worst
from wafer2token.stack.audit.model import EFFORTS, SEVERITIES, FileScan, Finding, Ignored, Skipped, rank
from wafer2token.stack.audit.rules import RuleBook, load_rules
from wafer2token.stack.audit.scan import scan_files
from wafer2token.stack.audit.target import Target
from wafer2token.stack.audit.target import target as find_target
from wafer2token.stack.audit.together import told_once
from wafer2token.stack.audit.versions import lags, required

SCHEMA = 1
MAX_BYTES = 2_000_000
VERDICTS = ("runs today", "runs with configuration", "needs edits", "needs kernels", "blocked")
_EDITS = VERDICTS.index("needs edits")
_MOST = {"medium": 2, "high": 3, "critical": 4}
_VERDICT_OF = dict(zip(EFFORTS, (1, 1, 2, 3, 4), strict=True))


@dataclass(frozen=True)
class Audit:
    """What keeps a project on CUDA, and what the move to the target takes."""

    path: str
    target: Target
    verdict: str
    verdict_with_transfer_to_npu: str
    findings: tuple[Finding, ...]
    ignored: tuple[Ignored, ...]
    skipped: tuple[Skipped, ...]
    files: tuple[dict[str, Any], ...]
    lines: int
    effort: Effort
    coverage: dict[str, Any]
    versions: dict[str, Any]
    efficiency: dict[str, Any]
    trace: Any = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def at_least(self, severity: str) -> tuple[Finding, ...]:
        """The findings of a severity and above."""
        return tuple(f for f in self.findings if rank(f.severity) >= rank(severity))

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "path": self.path,
            "target": self.target.to_dict(),
            "verdict": self.verdict,
            "verdict_with_transfer_to_npu": self.verdict_with_transfer_to_npu,
            "lines": self.lines,
            "counts": dict(self.counts),
            "effort": self.effort.to_dict(),
            "coverage": self.coverage,
            "versions": self.versions,
            "efficiency": self.efficiency,
            "trace": self.trace.to_dict() if self.trace is not None else None,
            "files": list(self.files),
            "rules": {i: _rule_row(i) for i in sorted({f.rule for f in self.findings})},
            "findings": [f.to_dict() for f in self.findings],
            "ignored": [{**i.finding.to_dict(), "reason": i.reason} for i in self.ignored],
            "skipped": [vars(s) for s in self.skipped],
        }


def audit(
    path: str | Path,
    target: str = "ascend_910c",
    torch_npu: str | None = None,
    entry: str | None = None,
    max_bytes: int = MAX_BYTES,
    trace: str | None = None,
    efficiency: Callable[[str], Mapping[str, Any]] | None = None,
    graph_sizes: int | None = None,
    price: Callable[[Any], float] | None = None,
) -> Audit:
    """Audits a project, a folder or one file. Reads only; nothing in it is executed unless ``trace`` is given.

    Args:
        path: what to audit.
        target: id or alias of an Ascend chip ("ascend_910b", "910C", "950DT").
        torch_npu: version of torch_npu or its beginning; None takes the newest that was read.
        entry: path in the project of the one file that is run; what it does not reach counts less. Without it, files
            that nothing in the project reaches are marked and count in full.
        max_bytes: larger files are passed over.
        trace: a Hugging Face config.json, or ``module:factory`` in ``path``, to trace on fake tensors (needs torch).
        efficiency: what to expect of the chip's software, as a function of the chip id; by default the room's
            progress curves and calibrations.
        price: seconds of a traced call on the chip (``trace.Call``); by default the roofline of the chip's card.
        graph_sizes: how many batch sizes are captured as graphs, for the stream budget of a config.json.

    Raises InputError for a path, chip or version that is not known.
    """
    root = Path(path)
    aim = find_target(target, torch_npu)
    found, passed_over = discover(root, max_bytes)
    scans = scan_files(found)
    book = load_rules()
    dead, always_run = unreachable(scans, entry), run_on_import(scans, entry)
    scans = [with_derived(scan, aim, graph_sizes) for scan in scans]
    findings, ignored = judge_all(scans, book, dead, entry is not None, aim)
    passed_over = passed_over + [Skipped(s.file, p) for s in scans for p in s.problems]
    traced = _trace(trace, root, aim, price) if trace else None
    return Audit(
        path=str(path),
        target=aim,
        verdict=verdict(findings, always_run),
        verdict_with_transfer_to_npu=verdict([f for f in findings if f.transfer_to_npu != "yes"], always_run),
        findings=tuple(findings),
        ignored=tuple(ignored),
        skipped=tuple(sorted(passed_over, key=lambda s: (s.file, s.reason))),
        files=tuple(_file_rows(scans, findings)),
        lines=sum(s.lines for s in scans),
        effort=estimate(findings),
        coverage=operator_coverage(scans, aim),
        versions={"required": required(scans, aim.wheel), "lags": [lag.to_dict() for lag in lags().values()]},
        efficiency=dict(efficiency(aim.chip) if efficiency else expected_efficiency(findings, aim.chip)),
        trace=traced,
        counts={s: sum(f.severity == s for f in findings) for s in reversed(SEVERITIES)},
    )


def judge_all(
    scans: Iterable[FileScan], book: RuleBook, dead: frozenset[str], entered: bool, target: Target
) -> tuple[list[Finding], list[Ignored]]:
    """The findings of all files, most severe first, and those that comments silence."""
    findings: list[Finding] = []
    ignored: list[Ignored] = []
    modules: list[str] = []
    for scan in scans:
        modules += [scan.file] if scan.file.endswith(".py") else []
        kept, silenced = judge(scan, book, scan.file in dead, entered, target.generation)
        findings += kept
        ignored += silenced
    findings = told_once(findings, modules)
    findings.sort(key=lambda f: (-rank(f.severity), f.file, f.line, f.rule))
    return findings, sorted(ignored, key=lambda i: (i.finding.file, i.finding.line, i.finding.rule))


def verdict(findings: Iterable[Finding], always_run: Container[str] | None = None) -> str:
    """The verdict that findings call for: the hardest effort among those of medium severity and above.

    Drop-in and configuration leave the source as it is; adapt means edits. A rewrite needs kernels only where the
    severity is high: below that the code runs without it. A missing equivalent blocks only where it is critical. Outside
    native sources and the files that always run (``always_run``; all do where it is None) either counts as an edit: the
    part that needs it can be left out.
    """
    hardest = 0
    for finding in findings:
        if rank(finding.severity) < rank("medium"):
            continue
        level = min(_VERDICT_OF[finding.effort], _MOST[finding.severity])
        avoidable = always_run is not None and finding.file not in always_run and kind_of(finding.file) != "native"
        level = min(level, _EDITS) if avoidable else level
        hardest = max(hardest, level)
    return VERDICTS[hardest]


def _rule_row(rule_id: str) -> dict[str, Any]:
    rule = load_rules().get(rule_id)
    return {
        "title": rule.title, "category": rule.category, "replacement": rule.replacement, "grade": rule.grade,
        "sources": list(rule.sources), "note": rule.note, "from_memory": rule.from_memory,
    }  # fmt: skip


def _file_rows(scans: Iterable[FileScan], findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """One row per file with findings: the worst severity, counts, lines and what the file is for."""
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.file, []).append(finding)
    rows = []
    for scan in scans:
        mine = by_file.get(scan.file)
        if not mine:
            continue
        counts = {s: sum(f.severity == s for f in mine) for s in reversed(SEVERITIES)}
        rules = sorted({f.rule for f in mine if rank(f.severity) >= rank("medium")})
        rows.append({
            "file": scan.file, "place": mine[0].place, "lines": scan.lines, "worst": worst(mine), **counts,
            "rules": rules, "verdict": verdict(mine), "knows_npu": scan.knows_npu,
        })  # fmt: skip
    return sorted(
        rows, key=lambda r: (-rank(str(r["worst"])), -int(str(r["critical"])), -int(str(r["high"])), str(r["file"]))
    )


def _trace(what: str, root: Path, target: Target, price: Callable[[Any], float] | None) -> Any:
    from wafer2token.stack.audit.trace import trace

    return trace(what, root, target, price)
