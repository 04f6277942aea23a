"""From a site to a finding: which rule it meets and how much it matters where it stands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from wafer2token.stack.audit import guards
from wafer2token.stack.audit.files import for_npu, for_other_device
from wafer2token.stack.audit.model import FileScan, Finding, Ignored, Matcher, Rule, Site, capped, lowered, rank
from wafer2token.stack.audit.rules import RuleBook

_IGNORE = re.compile(
    r"#\s*w2t:\s*ignore\[([A-Za-z0-9,\s*]+)\]\s*(.*)$|//\s*w2t:\s*ignore\[([A-Za-z0-9,\s*]+)\]\s*(.*)$"
)
_EXPLAINED = {"kernel", "operator", "interface", "patched", "version"}
# what a place takes off a severity: nothing in product code; at most "low" where no user's run passes
_CAPS = {"test": "low", "docs": "info", "example": "low", "vendored": "low", "build": "low"}


def severity_of(
    rule: Rule, matcher: Matcher, site: Site, scan: FileScan, unreachable: bool, generation: str = "A3"
) -> str:
    """How much a finding matters: the rule's severity, taken down by what stands around the site.

    Code beside an NPU branch is already served (info). Tests, examples, documentation and vendored copies are capped.
    A dependency of an optional extra is at most low: nobody has to install it. An optional import, a branch for another accelerator and unreachable code count one or two steps less.
    """
    base = matcher.severity or rule.severity
    if site.kind == "requirement" and rule.requirement:
        base = rule.requirement
    if rule.otherwise and generation not in rule.generations:
        base = capped(base, rule.otherwise)
    if guards.EXTRA in site.guards:
        base = capped(base, "low")
    if guards.NPU_BRANCH in site.guards or for_npu(scan.file):
        return "info"
    if guards.TYPING in site.guards:
        base = capped(base, "info")
    if guards.OTHER_ACCELERATOR in site.guards or for_other_device(scan.file):
        base = capped(base, "low") if rule.id != "A18" else base
    if site.context == "annotation":
        base = capped(base, "info")
    if site.kind == "import" and site.guards & {guards.OPTIONAL, guards.CUDA_ONLY}:
        base = capped(lowered(base), "low")
    elif site.kind == "import" and guards.LAZY in site.guards:
        base = lowered(base)
    if guards.NOT_CUDA in site.guards or (guards.CUDA_ONLY in site.guards and rule.transfer_to_npu != "no"):
        base = capped(base, "low")
    if scan.place in _CAPS:
        base = capped(base, _CAPS[scan.place])
    elif unreachable:
        base = capped(base, "low")
    return base


def judge(
    scan: FileScan, book: RuleBook, unreachable: bool = False, entered: bool = False, generation: str = "A3"
) -> tuple[list[Finding], list[Ignored]]:
    """The findings of one file, one per rule and line (the most severe), and those that a comment silences.

    ``unreachable`` marks the findings; with ``entered`` (the user named the entry point) it also takes them down.
    """
    best: dict[tuple[str, int], Finding] = {}
    for site in scan.sites:
        for rule, matcher in book.matching(site):
            severity = severity_of(rule, matcher, site, scan, unreachable and entered, generation)
            key = (rule.id, site.line)
            if key in best and rank(best[key].severity) >= rank(severity):
                continue
            best[key] = _finding(rule, site, scan, severity, unreachable)
    kept: list[Finding] = []
    silenced: list[Ignored] = []
    for finding in sorted(best.values(), key=lambda f: (f.line, f.rule)):
        reason = _ignored(scan, finding)
        if reason is None:
            kept.append(finding)
        else:
            silenced.append(Ignored(finding, reason))
    return kept, silenced


def _finding(rule: Rule, site: Site, scan: FileScan, severity: str, unreachable: bool) -> Finding:
    line = scan.source[site.line - 1].strip()[:200] if 0 < site.line <= len(scan.source) else ""
    place = "unreachable" if unreachable and scan.place == "product" else scan.place
    return Finding(
        rule=rule.id,
        file=scan.file,
        line=site.line,
        column=site.column + 1,
        severity=severity,
        effort=rule.effort,
        risk=rule.risk,
        title=rule.title,
        message=(site.detail if site.kind in _EXPLAINED else site.text)[:240],
        place=place,
        guards=tuple(sorted(site.guards)),
        transfer_to_npu=rule.transfer_to_npu,
        replacement=rule.replacement,
        grade=rule.grade,
        sources=rule.sources,
        snippet=line,
        digest=hashlib.sha256(f"{rule.id}\0{scan.file}\0{line}".encode()).hexdigest()[:16],
    )


def _ignored(scan: FileScan, finding: Finding) -> str | None:
    """The reason of a ``w2t: ignore`` comment on the line or the line above; None where there is none or no reason."""
    for number in (finding.line, finding.line - 1):
        if not 0 < number <= len(scan.source):
            continue
        line = scan.source[number - 1]
        match = _IGNORE.search(line)
        if not match or (number < finding.line and line.split("#")[0].split("//")[0].strip()):
            continue
        rules = {r.strip() for r in (match.group(1) or match.group(3)).split(",")}
        reason = (match.group(2) or match.group(4) or "").strip(" :-*/")
        if finding.rule in rules or "*" in rules:
            return reason if reason else None
    return None


def worst(findings: Iterable[Finding]) -> str:
    """The highest severity among findings, "info" where there is none."""
    return max((f.severity for f in findings), key=rank, default="info")
