"""An audit as SARIF 2.1.0, for code-scanning services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wafer2token import __version__

if TYPE_CHECKING:
    from wafer2token.stack.audit import Audit, Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "none"}
_SECURITY_LIKE = {"critical": 95, "high": 80, "medium": 50, "low": 20, "info": 5}


def sarif(report: Audit) -> dict[str, Any]:
    """The report as a SARIF log with one run; silenced findings carry a suppression with its reason."""
    rules = report.to_dict()["rules"]
    for ignored in report.ignored:
        rules.setdefault(ignored.finding.rule, _of(ignored.finding))
    order = sorted(rules)
    results = [_result(f, order) for f in report.findings]
    for ignored in report.ignored:
        suppression = {"kind": "inSource", "justification": ignored.reason}
        results.append({**_result(ignored.finding, order), "suppressions": [suppression]})
    notifications = [
        {"level": "warning", "message": {"text": s.reason}, "locations": [_location(s.file, 1, 1)]}
        for s in report.skipped
    ]
    driver = {
        "name": "wafer2token audit", "version": __version__, "semanticVersion": __version__,
        "rules": [_rule(i, rules[i]) for i in order],
    }  # fmt: skip
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notifications}],
        "properties": {"verdict": report.verdict, "target": report.target.to_dict()},
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _of(finding: Finding) -> dict[str, Any]:
    return {"title": finding.title, "category": "", "replacement": finding.replacement, "grade": finding.grade,
            "sources": list(finding.sources), "note": ""}  # fmt: skip


def _rule(rule_id: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": rule_id,
        "name": "".join(word.capitalize() for word in str(row["title"]).replace("/", " ").split() if word.isalnum())
        or rule_id,
        "shortDescription": {"text": row["title"]},
        "fullDescription": {"text": row["note"] or row["title"]},
        "help": {"text": f"On Ascend: {row['replacement']}\nSources: {', '.join(row['sources'])}"},
        "helpUri": row["sources"][0],
        "properties": {"tags": [row["category"]] if row["category"] else [], "grade": row["grade"]},
    }


def _result(finding: Finding, order: list[str]) -> dict[str, Any]:
    return {
        "ruleId": finding.rule,
        "ruleIndex": order.index(finding.rule),
        "kind": "informational" if finding.severity == "info" else "fail",
        "level": _LEVELS[finding.severity],
        "rank": float(_SECURITY_LIKE[finding.severity]),
        "message": {"text": f"{finding.title}: {finding.message}. On Ascend: {finding.replacement}"},
        "locations": [_location(finding.file, finding.line, finding.column)],
        "partialFingerprints": {"w2t/v1": finding.digest},
        "properties": {
            "severity": finding.severity, "effort": finding.effort, "risk": finding.risk, "place": finding.place,
            "transfer_to_npu": finding.transfer_to_npu, "guards": list(finding.guards),
        },
    }  # fmt: skip


def _location(file: str, line: int, column: int) -> dict[str, Any]:
    from urllib.parse import quote

    region = {"startLine": max(line, 1), "startColumn": max(column, 1)}
    return {"physicalLocation": {"artifactLocation": {"uri": quote(file)}, "region": region}}
