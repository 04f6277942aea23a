"""One file read and turned into sites; whatever goes wrong in it is reported and passed over."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from wafer2token.stack.audit import guards
from wafer2token.stack.audit.files import SourceFile, for_npu, read_text
from wafer2token.stack.audit.model import FileScan, Site
from wafer2token.stack.audit.native_scan import scan_native
from wafer2token.stack.audit.python_scan import PythonScan, parse
from wafer2token.stack.audit.rules import load_rules
from wafer2token.stack.audit.setup_scan import setup_requirements
from wafer2token.stack.audit.text_scan import (
    notebook_source,
    scan_config,
    scan_docs,
    scan_manifest,
    scan_requirements,
    scan_script,
)
from wafer2token.stack.audit.triton_checks import kernel_sites

_KNOWS_NPU = re.compile(r"(?<![A-Za-z])(torch_npu|is_(torch_)?npu_available|hccl|HCCL|torch\.npu)\b|[\"']npu[\"':]")


_TRIVIAL = 200  # characters; shorter files (package marks, licences) may well be alike
_MAIN = re.compile(r"__name__\s*==\s*[\"']__main__[\"']|^#!", re.MULTILINE)


def module_name(path: str) -> tuple[str, bool]:
    """The dotted module name of a Python file and whether it is a package; a ``src`` folder is left out."""
    parts = path.rsplit(".", 1)[0].split("/")
    for root in ("src", "python", "lib"):
        if parts[0] == root and len(parts) > 1:
            parts = parts[1:]
    is_package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if is_package else parts), is_package


def scan_files(found: Sequence[SourceFile]) -> list[FileScan]:
    """The sites of all files. A file with the very text of an earlier one (in path order) is a vendored copy of it."""
    seen: set[bytes] = set()
    scans: list[FileScan] = []
    for file in found:
        text, reason = read_text(file)
        if len(text) > _TRIVIAL:
            mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
            if mark in seen and file.place == "product":
                file = replace(file, place="vendored")
            seen.add(mark)
        scans.append(scan_text(file, text, reason))
    return scans


def scan_text(file: SourceFile, text: str, reason: str = "") -> FileScan:
    """The sites of one file. Never raises for what the file holds: problems are listed in the result."""
    if reason:
        return FileScan(file.path, file.place, 0, (), problems=(reason,))
    lines = tuple(text.split("\n"))
    problems: list[str] = []
    imports: tuple[str, ...] = ()
    try:
        if file.kind in {"python", "notebook"}:
            sites, imports, lines = _python(file, text, lines)
        else:
            sites = _other(file, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        problems.append(f"does not parse: {type(error).__name__} {_first_line(error)}")
        sites = _lines_only(text) if file.kind == "python" else []
    knows = for_npu(file.path) or bool(_KNOWS_NPU.search(text))
    return FileScan(
        file.path,
        file.place,
        len(lines),
        tuple(sites),
        imports,
        tuple(problems),
        lines,
        knows,
        bool(_MAIN.search(text)),
    )


def _python(file: SourceFile, text: str, lines: tuple[str, ...]) -> tuple[list[Site], tuple[str, ...], tuple[str, ...]]:
    if file.kind == "notebook":
        text = notebook_source(text)
        lines = tuple(text.split("\n"))
    tree = parse(text)
    walked = PythonScan(*module_name(file.path), load_rules().harmless).walk(tree)
    sites = walked.sites
    if "triton" in text:
        sites = [*sites, *kernel_sites(tree)]
    if file.path.rsplit("/", 1)[-1] == "setup.py":
        sites = [*sites, *setup_requirements(tree, sites)]
    return sites, tuple(dict.fromkeys(walked.imports)), lines


def _other(file: SourceFile, text: str) -> list[Site]:
    if file.kind == "native":
        return scan_native(file.path, text, load_rules().pattern("native"))
    if file.kind == "requirements":
        return scan_requirements(text)
    if file.kind == "manifest":
        return scan_manifest(text)
    if file.kind == "json":
        return scan_config(text)
    if file.kind == "docs":
        return scan_docs(text, _docs_trigger())
    return scan_script(text)


@cache
def _docs_trigger() -> re.Pattern[str]:
    likes = [m.like for rule in load_rules().rules.values() for m in rule.detect if m.on == "docs"]
    return re.compile(likes[0])


_CUDA_WORD = re.compile(r"torch\.cuda|\.cuda\(|[\"']cuda(:\d+)?[\"']|[\"']nccl[\"']")


def _lines_only(text: str) -> list[Site]:
    """What can still be said of a Python file that does not parse (Python 2, a merge conflict): its CUDA lines."""
    sites: list[Site] = []
    for number, line in enumerate(text.split("\n"), 1):
        code = line.split("#", 1)[0]
        for word in _CUDA_WORD.findall(code) and _CUDA_WORD.finditer(code):
            found = word.group()
            kind, what = ("method", "cuda") if found == ".cuda(" else ("name", found.strip("\"'"))
            if found[0] in "\"'":
                kind = "string"
            sites.append(Site(kind, what, number, word.start(), "plain", frozenset({guards.OPTIONAL})))
    return sites


def _first_line(error: BaseException) -> str:
    text = str(error).splitlines()
    return text[0][:160] if text else ""
