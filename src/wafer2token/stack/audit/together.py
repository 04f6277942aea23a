"""Kernels that a port writes anew beside the old ones are told once per extension, not once per source file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os.path import dirname

from wafer2token.stack.audit.files import kind_of
from wafer2token.stack.audit.model import Finding, capped, rank

_PLAIN_KERNEL = {"E06"}


def told_once(findings: Iterable[Finding], modules: Iterable[str]) -> list[Finding]:
    """The findings with the sources of an extension told once.

    A port leaves CUDA sources and Triton kernels as they are and adds kernels beside them. So one file of each extension
    keeps its severities and stands for it; in the others they fall to "low". Native sources form one extension under the
    outermost folder that holds no Python modules of its own; Triton files form one per folder, as far as nothing but
    "a Triton kernel" is known of them: a kernel that a check finds to break keeps its severity.

    Args:
        findings: of the whole project.
        modules: paths of its Python files.
    """
    every = list(findings)
    by_file: dict[str, list[Finding]] = {}
    for finding in every:
        if rank(finding.severity) >= rank("medium"):
            by_file.setdefault(finding.file, []).append(finding)
    with_modules = {dirname(m) for m in modules}
    extensions: dict[tuple[str, str], list[str]] = {}
    for file, mine in by_file.items():
        if kind_of(file) == "native":
            extensions.setdefault(("native", _native_home(file, with_modules)), []).append(file)
        elif {f.rule for f in mine} <= _PLAIN_KERNEL:
            extensions.setdefault(("triton", dirname(file)), []).append(file)
    standing = {key: min(files, key=lambda f: _place(f, by_file[f])) for key, files in extensions.items()}
    stands_in = {f: standing[key] for key, files in extensions.items() for f in files if f != standing[key]}
    return [_lowered(f, stands_in[f.file]) if f.file in stands_in else f for f in every]


def _native_home(file: str, with_modules: set[str]) -> str:
    folder = dirname(file)
    while folder and folder not in with_modules and dirname(folder) not in with_modules and dirname(folder):
        folder = dirname(folder)
    return folder


def _place(file: str, findings: list[Finding]) -> tuple[int, int, str]:
    """Order among the files of an extension: the most severe first, then the most findings, then the path."""
    return -max(rank(f.severity) for f in findings), -len(findings), file


def _lowered(finding: Finding, standing: str) -> Finding:
    severity = capped(finding.severity, "low")
    guards = (*finding.guards, f"told once, at {standing}")
    return replace(finding, severity=severity, severity_alone=finding.severity, guards=guards)
