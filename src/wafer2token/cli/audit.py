"""``w2t audit``: what keeps code on CUDA, and what the move to Ascend takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wafer2token.cli.output import emit, emit_json, formats

if TYPE_CHECKING:
    from wafer2token.stack.audit import Audit, AuditDiff

_SEVERITIES = ["critical", "high", "medium", "low", "info"]
_TO_STDOUT = "-"
FOUND_NEW = 3


@click.command(name="audit")
@click.argument("path", type=click.Path())
@click.option("--for", "target", default="ascend_910c", show_default=True, help="The Ascend chip to move to.")
@click.option("--torch-npu", help="Version of torch_npu, such as 2.13; the newest that was read by default.")
@click.option(
    "--severity", type=click.Choice(_SEVERITIES), default="medium", show_default=True, help="Least severity listed."
)
@click.option("--entry", help="The one file that is run; code that it does not reach is marked.")
@click.option("--trace", help="Trace a config.json or module:factory on fake tensors (executes it; needs torch).")
@click.option("--graph-sizes", type=click.IntRange(min=1), help="How many batch sizes are captured as graphs.")
@click.option("--diff", "versions", nargs=2, metavar="OLD NEW", help="What a newer torch_npu buys this code.")
@click.option("--baseline", type=click.Path(), help="An earlier --json report; only what it lacks is new.")
@click.option(
    "--fail-on-new", type=click.Choice(_SEVERITIES), help=f"Exit {FOUND_NEW} on new findings of this severity."
)
@click.option(
    "--sarif", is_flag=False, flag_value=_TO_STDOUT, metavar="[FILE]", help="SARIF 2.1.0, on stdout or to a file."
)
@click.option(
    "--html", is_flag=False, flag_value=_TO_STDOUT, metavar="[FILE]", help="One HTML page, on stdout or to a file."
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=2_000_000,
    show_default=True,
    help="Larger files are passed over.",
)
@formats
def command(
    path: str, target: str, torch_npu: str | None, severity: str, entry: str | None, trace: str | None,
    graph_sizes: int | None, versions: tuple[str, str] | None, baseline: str | None, fail_on_new: str | None,
    sarif: str | None, html: str | None, max_bytes: int, fmt: str | None,
) -> int:  # fmt: skip
    """Say what keeps code and models on CUDA, and what the move to Ascend takes. Nothing in PATH is executed.

    \b
      w2t audit . --for ascend_910c --torch-npu 2.13
      w2t audit . --json > audit.json
      w2t audit . --baseline audit.json --fail-on-new critical
      w2t audit . --diff 2.7.1 2.14
    """
    options: dict[str, Any] = {"entry": entry, "max_bytes": max_bytes, "graph_sizes": graph_sizes}
    if versions:
        from wafer2token.stack.audit import diff

        _show_diff(diff(path, *versions, target=target, **options), fmt)
        return 0
    from wafer2token.stack.audit import audit

    price = _chip_price(target) if trace else None
    report = audit(path, target, torch_npu, trace=trace, price=price, **options)
    written = _write_files(report, sarif, html)
    if fmt == "json":
        emit_json(report.to_dict())
    elif fmt == "csv":
        emit([f.to_dict() for f in report.at_least(severity)], _CSV, fmt="csv")
    elif not written:
        _show(report, severity)
    return _gate(report, fail_on_new, baseline)


_CSV = [
    "rule",
    "file",
    "line",
    "column",
    "severity",
    "effort",
    "risk",
    "place",
    "transfer_to_npu",
    "message",
    "snippet",
]


def _chip_price(chip: str) -> Any:
    """The price of a traced call by the kernel model of the room ``chip``; None where the chip lacks a calibration."""
    from wafer2token.chip import accelerator, matmul_time, memory_time, roofline_time
    from wafer2token.evidence.errors import EvidenceError
    from wafer2token.stack.audit.target import target as find_target
    from wafer2token.stack.audit.trace import Call, card_id

    machine = accelerator(card_id(find_target(chip)))
    try:
        memory_time(machine, 1.0)
        roofline_time(machine, 1.0, 1.0)
    except EvidenceError as error:
        click.echo(f"priced by the roofline of the chip's card: {error}", err=True)
        return None
    short = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}

    def price(call: Call) -> float:
        if not call.bytes:
            return 0.0
        dtype = next((short[d] for d in call.dtypes if d in short), "bf16")
        if call.product and call.product[0] == 1:
            return float(matmul_time(machine, *call.product[1:], dtype=dtype))
        if call.flops:
            return float(roofline_time(machine, call.flops, call.bytes, dtype=dtype))
        return float(memory_time(machine, call.bytes))

    return price


def _gate(report: Audit, severity: str | None, baseline: str | None) -> int:
    """The exit code of CI mode: 0, or FOUND_NEW where findings of the severity are not in the baseline."""
    if severity is None and baseline is None:
        return 0
    from wafer2token.stack.audit.diff import new_since

    least = severity or "critical"
    new = new_since(report, baseline, least) if baseline else report.at_least(least)
    for finding in new:
        click.echo(f"new: {finding.severity} {finding.rule} {finding.file}:{finding.line} {finding.title}", err=True)
    if new and severity:
        click.echo(f"{len(new)} new findings of severity {least} and above", err=True)
        return FOUND_NEW
    return 0


def _write_files(report: Audit, sarif: str | None, html: str | None) -> bool:
    """Writes SARIF and HTML where asked; whether either went to stdout."""
    if sarif:
        import json

        from wafer2token.cli.audit_sarif import sarif as log

        _put(sarif, json.dumps(log(report), indent=2, ensure_ascii=False) + "\n")
    if html:
        from wafer2token.cli.audit_html import page

        _put(html, page(report))
    return _TO_STDOUT in {sarif, html}


def _put(where: str, text: str) -> None:
    if where == _TO_STDOUT:
        click.echo(text, nl=False)
        return
    Path(where).write_text(text, encoding="utf-8")
    click.echo(f"wrote {where}", err=True)


def _show(report: Audit, severity: str) -> None:
    """The report on a terminal: verdict, files, operators, versions, effort, findings."""
    click.echo(
        f"{report.path} on {report.target.chip} (generation {report.target.generation}), torch_npu {report.target.wheel.version}"
    )
    click.echo(f"verdict: {report.verdict}; with transfer_to_npu: {report.verdict_with_transfer_to_npu}")
    click.echo(
        "findings: " + ", ".join(f"{n} {name}" for name, n in report.counts.items()) + f"; {report.lines:,} lines read"
    )
    click.echo(_effort_line(report))
    click.echo(_efficiency_line(report))
    rows = [{**f, "rules": " ".join(f["rules"])} for f in report.files if f["worst"] not in {"low", "info"}]
    if rows:
        columns = {"file": "file", "place": "for", "verdict": "verdict", "critical": "crit", "high": "high",
                   "medium": "med", "low": "low", "rules": "rules"}  # fmt: skip
        emit(
            rows[:30],
            columns,
            "files that must change" + (f" (30 of {len(rows)}; all with --json)" if len(rows) > 30 else ""),
        )
    _show_findings(report, severity)
    _show_versions(report)
    classes = ", ".join(f"{n} {name}" for name, n in report.coverage["by_class"].items())
    click.echo(f"torch interfaces called: {report.coverage['interfaces']} ({classes or 'none'})")
    if report.trace is not None:
        _show_trace(report)
    for passed in report.skipped[:10]:
        click.echo(f"passed over: {passed.file}: {passed.reason}", err=True)
    if len(report.skipped) > 10:
        click.echo(f"passed over: {len(report.skipped) - 10} more (all with --json)", err=True)


def _effort_line(report: Audit) -> str:
    effort = report.effort
    if effort.lines is None:
        return "effort: no place of medium severity or above"
    low, mid, high = effort.lines
    fitted = sum(p.sites is not None for p in effort.calibration)
    return (f"effort: {effort.sites} places in {effort.files} files; a first port may add {low:,.0f} - {mid:,.0f} - {high:,.0f} "
            f"source lines (P10 - P50 - P90 from {fitted} real ports)")  # fmt: skip


def _efficiency_line(report: Audit) -> str:
    efficiency = report.efficiency
    if "now" not in efficiency:
        return f"efficiency: {efficiency}"
    now, later = efficiency["now"], efficiency["in_six_months"]
    return (f"efficiency: starts like {efficiency['starts_like']}: {now['low']:.2f} to {now['high']:.2f} of mature software now, "
            f"{later['low']:.2f} to {later['high']:.2f} in six months (grade {efficiency['grade']})")  # fmt: skip


def _show_findings(report: Audit, severity: str) -> None:
    found = report.at_least(severity)
    rows = [{"severity": f.severity, "rule": f.rule, "where": f"{f.file}:{f.line}", "what": f.title, "effort": f.effort,
             "risk": f.risk, "shim": f.transfer_to_npu} for f in found[:60]]  # fmt: skip
    if rows:
        columns = {"severity": "severity", "rule": "rule", "where": "where", "what": "what", "effort": "effort",
                   "risk": "risk", "shim": "transfer_to_npu"}  # fmt: skip
        emit(
            rows,
            columns,
            f"findings of severity {severity} and above" + (f" (60 of {len(found)})" if len(found) > 60 else ""),
        )


def _show_versions(report: Audit) -> None:
    for row in report.versions["required"]:
        state = "met" if row["met"] else row["reason"]
        click.echo(f"version: {row['package']}{row['pins']} ({row['file']}:{row['line']}): {state}")
    for lag in report.versions["lags"]:
        days = lag["final_days"]
        if "p25" in days:
            click.echo(f"lag: {lag['counterpart']} final {days['min']}-{days['max']} days after {lag['project']}, "
                       f"median {days['median']:.0f} (n={days['n']})")  # fmt: skip


def _show_trace(report: Audit) -> None:
    document = report.trace.to_dict()
    emit(document["operators"][:40], {"operator": "operator", "calls": "calls", "class": "class", "dtypes": "dtypes",
                                      "gap": "dtype gap", "share": "share of step"}, "traced operators")  # fmt: skip
    click.echo(document["summary"])


def _show_diff(result: AuditDiff, fmt: str | None) -> None:
    if fmt == "json":
        emit_json(result.to_dict())
        return
    old, new = result.old, result.new
    click.echo(f"torch_npu {old.target.wheel.version} -> {new.target.wheel.version}: {old.verdict} -> {new.verdict}")
    for title, found in (("no longer found", result.fixed), ("new", result.added)):
        rows = [{"rule": f.rule, "where": f"{f.file}:{f.line}", "what": f.message} for f in found]
        if rows:
            emit(rows[:60], ["rule", "where", "what"], f"{title}: {len(rows)}", fmt)
    click.echo(f"operators that no longer fall back to the CPU: {len(result.gained_operators)}; that now do: {len(result.lost_operators)}; "
               f"new NPU operators: {len(result.gained_fused)}")  # fmt: skip
    before, after = (r.coverage["by_class"].get("CPU fallback", 0) for r in (old, new))
    click.echo(f"interfaces of this code that fall back: {before} -> {after}")
