"""What the code asks of its dependencies against what exists for Ascend, and how long releases take to arrive."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from wafer2token.stack.audit import support
from wafer2token.stack.audit.model import FileScan, Site

SOURCE = "https://pypi.org/project/torch-npu/#history"
_PORTED = {"torch": "torch_npu", "vllm": "vllm-ascend"}


@dataclass(frozen=True)
class Lag:
    """Days from an upstream release to its Ascend counterpart: pre-release and final, over all releases on record."""

    project: str
    counterpart: str
    releases: int
    final: tuple[int, ...]
    pre_release: tuple[int, ...]
    newest_final: str
    newest_any: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "project": self.project, "counterpart": self.counterpart, "releases": self.releases,
            "newest_final": self.newest_final, "newest_any": self.newest_any,
            "final_days": spread(self.final), "pre_release_days": spread(self.pre_release), "source": SOURCE,
        }  # fmt: skip


def spread(days: Sequence[int]) -> dict[str, float | int]:
    """Count, extremes, quartiles and median of lags in days; only the count where there are none."""
    if len(days) < 2:
        return {"n": len(days), **({"median": days[0]} if days else {})}
    low, median, high = statistics.quantiles(days, n=4, method="inclusive")
    return {"n": len(days), "min": min(days), "p25": low, "median": median, "p75": high, "max": max(days)}


@cache
def lags() -> dict[str, Lag]:
    """The release lags by upstream project ("torch", "vllm")."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in support.table("lags.csv.gz"):
        found.setdefault(row["project"], []).append(row)
    return {project: _lag(project, rows) for project, rows in found.items()}


def _lag(project: str, rows: list[dict[str, str]]) -> Lag:
    rows = sorted(rows, key=lambda r: support.version_key(r["version"]))
    final = tuple(int(r["lag_final_days"]) for r in rows if r["lag_final_days"])
    pre = tuple(int(r["lag_rc_days"]) for r in rows if r["lag_rc_days"])
    with_final = [r["version"] for r in rows if r["ascend_final_date"]]
    return Lag(project, _PORTED.get(project, project), len(rows), final, pre, with_final[-1] if with_final else "",
               rows[-1]["version"])  # fmt: skip


def satisfies(version: str, pins: Sequence[tuple[str, str]]) -> bool:
    """Whether a version meets pins such as (("==", "2.4.*"), ("<", "3")). Suffixes after the numbers do not count."""
    have = support.version_key(version)[:3]
    for operator, text in pins:
        star = text.endswith(".*")
        want = support.version_key(text.split("+")[0])[:3]
        padded_have, padded_want = _padded(have), _padded(want)
        same = have[: len(want)] == want if star or len(want) < 3 else padded_have == padded_want
        checks = {
            "==": same, "!=": not same, ">=": padded_have >= padded_want, "<=": padded_have <= padded_want or same,
            ">": padded_have > padded_want, "<": padded_have < padded_want,
            "~=": padded_have >= padded_want and have[: len(want) - 1] == want[:-1],
        }  # fmt: skip
        if not checks[operator]:
            return False
    return True


def _padded(version: tuple[int, ...]) -> tuple[int, ...]:
    return (*version, 0, 0, 0)[:3]


def unmet(name: str, pins: Sequence[tuple[str, str]], wheel: support.Wheel) -> str:
    """Why a requirement cannot be met on Ascend today, "" where it can.

    ``torch`` is held against the target wheel and then all wheels; ``vllm`` against the vllm-ascend releases.
    """
    shown = ",".join(operator + version for operator, version in pins)
    if name == "torch":
        if satisfies(wheel.version, pins):
            return ""
        others = [w.version for w in support.wheels() if satisfies(w.version, pins)]
        if others:
            return f"torch{shown} does not admit torch_npu {wheel.version}; torch_npu {others[-1]} would serve"
        days = spread(lags()["torch"].final)
        return f"no torch_npu for torch{shown}; final wheels come {days['min']}-{days['max']} days after upstream (median {days['median']:.0f})"
    if name == "vllm":
        released = [r["version"] for r in support.table("lags.csv.gz") if r["project"] == "vllm"]
        if any(satisfies(v, pins) for v in released):
            return ""
        days = spread(lags()["vllm"].pre_release)
        return f"no vllm-ascend for vllm{shown}; pre-releases come {days['min']}-{days['max']} days after upstream (median {days['median']:.0f})"
    return ""


def pin_sites(scan: FileScan, wheel: support.Wheel) -> list[Site]:
    """A ``version`` site for every requirement of a file that cannot be met, its reason in ``detail``."""
    found: list[Site] = []
    for site in scan.sites:
        if site.kind == "pin" and site.text in _PORTED:
            reason = unmet(site.text, site.arguments, wheel)
            if reason:
                found.append(Site("version", "torch", site.line, 0, site.context, site.guards, detail=reason))
    return found


def required(scans: Sequence[FileScan], wheel: support.Wheel) -> list[dict[str, Any]]:
    """The versions that a project pins, of packages that have an Ascend counterpart, each with its verdict."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for scan in scans:
        for site in scan.sites:
            if site.kind == "pin" and site.text in _PORTED:
                pins = ",".join(operator + version for operator, version in site.arguments)
                reason = unmet(site.text, site.arguments, wheel)
                row = {"package": site.text, "pins": pins, "file": scan.file, "line": site.line,
                       "counterpart": _PORTED[site.text], "met": not reason, "reason": reason}  # fmt: skip
                rows.setdefault((site.text, pins), row)
    return list(rows.values())
