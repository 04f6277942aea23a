"""What an audit speaks of: rules, sites in the code, findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SEVERITIES = ("info", "low", "medium", "high", "critical")
EFFORTS = ("drop_in", "config", "adapt", "rewrite", "none")
RISKS = ("none", "build", "crash", "silent_cpu_fallback", "accuracy", "perf", "hang")
PLACES = ("product", "unreachable", "build", "example", "docs", "test", "vendored")


def rank(severity: str) -> int:
    """Position of a severity on the scale, "info" = 0."""
    return SEVERITIES.index(severity)


def lowered(severity: str, steps: int = 1, floor: str = "info") -> str:
    """A severity taken down by some steps, not below ``floor``."""
    return SEVERITIES[max(rank(severity) - steps, min(rank(floor), rank(severity)))]


def capped(severity: str, cap: str) -> str:
    """A severity that is at most ``cap``."""
    return SEVERITIES[min(rank(severity), rank(cap))]


@dataclass(frozen=True)
class Matcher:
    """One way to recognise a rule: the kind of site and a regular expression on its text.

    ``on`` is the kind of site (see ``python_scan``, ``native_scan`` and ``text_scan``); ``context`` limits where in an
    expression the site stands; ``keyword``/``value`` ask for an argument of a call; ``severity`` replaces the rule's.
    """

    on: str
    like: str
    context: tuple[str, ...] = ()
    keyword: str = ""
    value: str = ""
    severity: str = ""


@dataclass(frozen=True)
class Rule:
    """One thing that may have to change, with what replaces it on Ascend and who says so."""

    id: str
    title: str
    category: str
    effort: str
    risk: str
    severity: str
    transfer_to_npu: str
    replacement: str
    grade: str
    sources: tuple[str, ...]
    detect: tuple[Matcher, ...] = ()
    note: str = ""
    from_memory: bool = False
    requirement: str = ""  # severity of the same rule on a line of a requirements file
    generations: tuple[str, ...] = ()  # chip generations to which the rule applies in full; empty: all
    otherwise: str = ""  # severity on the other generations


@dataclass(frozen=True)
class Site:
    """A place in a file that a rule may match, before any judgement.

    ``kind`` is one of: name, call, method, attribute, string, import, define, decorator, env, text, requirement, file,
    json, kernel. ``guards`` are the conditions that stand around it (see ``guards``).
    """

    kind: str
    text: str
    line: int
    column: int = 0
    context: str = ""
    guards: frozenset[str] = frozenset()
    arguments: tuple[tuple[str, str], ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """A rule met at a line of a file, judged in its place.

    ``severity_alone`` is set where the severity fell because the file's extension is told once (see ``together``).
    """

    rule: str
    file: str
    line: int
    column: int
    severity: str
    effort: str
    risk: str
    title: str
    message: str
    place: str
    guards: tuple[str, ...]
    transfer_to_npu: str
    replacement: str
    grade: str
    sources: tuple[str, ...]
    snippet: str = ""
    digest: str = ""
    severity_alone: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The finding without what its rule says (title, replacement, sources); a report lists the rules once."""
        shown = {k: v for k, v in vars(self).items() if k not in {"title", "replacement", "grade", "sources"}}
        return {**shown, "guards": list(self.guards)}


@dataclass(frozen=True)
class Ignored:
    """A finding that a ``# w2t: ignore[rule] reason`` comment silences."""

    finding: Finding
    reason: str


@dataclass(frozen=True)
class Skipped:
    """A file that was passed over, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class FileScan:
    """What one file yields: sites, imports of modules, and whether it already knows the NPU."""

    file: str
    place: str
    lines: int
    sites: tuple[Site, ...]
    imports: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    source: tuple[str, ...] = field(default=(), repr=False)
    knows_npu: bool = False
    is_script: bool = False
