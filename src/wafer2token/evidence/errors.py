"""Everything that wafer2token raises on purpose.

W2TError                 exit 1
 +-- InputError          exit 2   what the user wrote is wrong: every problem of the input at once
 +-- InfeasibleError     exit 3   the question is sound, no plan or configuration meets it
 +-- EvidenceError       exit 4   the evidence is too weak for the question asked
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input: what, where, what was given, what is allowed, the remedy."""

    what: str
    where: str = ""
    got: object = None
    allowed: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.got is not None:
            parts.append(f"got {self.got!r}")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.remedy:
            parts.append(self.remedy)
        return "; ".join(parts)


class W2TError(Exception):
    """Base class of all errors that wafer2token raises on purpose."""

    exit_code = 1


class InputError(W2TError):
    """What the user gave is wrong; carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Problem | str | Iterable[Problem]):
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class InfeasibleError(W2TError):
    """Nothing meets the target; ``nearest`` says what would."""

    exit_code = 3

    def __init__(self, message: str, nearest: str = ""):
        self.nearest = nearest
        super().__init__(f"{message}\nnearest: {nearest}" if nearest else message)


class EvidenceError(W2TError):
    """The evidence is weaker than the question allows."""

    exit_code = 4


def nearest(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """The names most like ``name``, best first."""
    lowered = {candidate.lower(): candidate for candidate in names}
    return [lowered[hit] for hit in difflib.get_close_matches(name.lower(), lowered, n=n, cutoff=0.5)]


def unknown(what: str, name: str, names: Sequence[str], where: str = "") -> Problem:
    """The problem "unknown <what>", with the nearest names as remedy."""
    close = nearest(name, names)
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return Problem(
        f"unknown {what}",
        where,
        got=name,
        allowed=shown if not close else "",
        remedy=f"did you mean {', '.join(repr(c) for c in close)}?" if close else "",
    )
