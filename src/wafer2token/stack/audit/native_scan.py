"""The sites of C, C++ and CUDA sources, line by line, comments taken out."""

from __future__ import annotations

import re

from wafer2token.stack.audit import guards
from wafer2token.stack.audit.model import Site

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
_NPU_CONDITION = re.compile(r"#\s*(if|ifdef|elif)\b.*(NPU|ASCEND|CANN)")
_OTHER_CONDITION = re.compile(
    r"#\s*(if|ifdef)\b.*(USE_ROCM|__HIP|HIP_PLATFORM|MUSA|XPU|USE_MPS|__AVX|__SSE|__x86_64|__amd64|_M_X64|AVX2|AVX512|SSE2)"
)


def without_comments(source: str) -> str:
    """The source with comments blanked and line numbers kept; quotes inside comments do no harm."""

    def blank(match: re.Match[str]) -> str:
        text = match.group()
        return text if text.startswith('"') else "\n" * text.count("\n")

    return re.sub(f"{_STRING.pattern}|{_COMMENT.pattern}", blank, source, flags=re.DOTALL)


def scan_native(path: str, source: str, trigger: re.Pattern[str] | None) -> list[Site]:
    """The sites of a native source: one for the file itself, one per line that a rule may match.

    Args:
        path: relative path; CUDA sources make a ``file`` site by their suffix.
        source: the text.
        trigger: an expression that finds every line worth a rule's look (``RuleBook.pattern("native")``).
    """
    sites = [Site("file", path, 1)]
    if trigger is None:
        return sites
    stack: list[frozenset[str]] = []
    current: frozenset[str] = frozenset()
    for number, line in enumerate(without_comments(source).split("\n"), 1):
        text = line.strip()
        if text.startswith("#"):
            current = _conditions(text, stack, current)
        if text and trigger.search(text):
            sites.append(Site("native", text, number, len(line) - len(line.lstrip()), "native", current))
    return sites


def _conditions(text: str, stack: list[frozenset[str]], current: frozenset[str]) -> frozenset[str]:
    """The guards after a preprocessor line; ``stack`` holds those around it."""
    directive = text.lstrip("# \t")
    if directive.startswith("if"):
        stack.append(current)
        if _NPU_CONDITION.match(text):
            return current | {guards.NPU_BRANCH}
        if _OTHER_CONDITION.match(text):
            return current | {guards.OTHER_ACCELERATOR}
        return current
    if directive.startswith(("else", "elif")) and stack:
        return stack[-1] | (frozenset({guards.NPU_BRANCH}) if guards.NPU_BRANCH in current else frozenset())
    if directive.startswith("endif") and stack:
        return stack.pop()
    return current
