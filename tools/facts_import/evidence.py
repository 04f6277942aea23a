"""Grades, units and wording: how a fact's evidence becomes a card's evidence."""

from __future__ import annotations

import re
from typing import Any

GRADES = ("measured", "teardown", "vendor", "analyst", "press", "assumed")

# What kind of witness each hardware source is, used where a fact says only "estimate" or "contested".
_WITNESS = {
    "measured": {"flagperf", "mag", "aibench", "hixl", "coreweave", "flexnpu"},
    "teardown": {"techins", "dieshot"},
    "vendor": {
        "hc31", "cann", "msm", "roadmap", "cm384", "hiasc", "biren", "camb", "s4000", "s5000", "rubin", "shmem", "deepep",
        "nvgtc", "ubmesh", "a950", "ctyun", "tpubook", "aicy", "amdpress",
    },
    "analyst": {"epoch", "epochp", "cset", "semi", "heim", "tpu", "infersim", "stas", "stasnet", "hygon", "reuther"},
    "press": {
        "atlas350", "capmedia", "trend910b", "wsj910c", "kocka", "meemx", "duo", "920", "wsj910d", "cctv", "camb590", "b40", "b30a",
        "h20price",
    },
    "assumed": {"mem", "dossier"},
}  # fmt: skip
WITNESS = {source: grade for grade, sources in _WITNESS.items() for source in sources}

_WORDING = (
    (re.compile(r"\b(is|are) from_memory"), r"\1 from memory"),
    (re.compile(r"with from_memory totals"), "with totals from memory"),
    (re.compile(r"\(from_memory\)"), "(from memory)"),
    (re.compile(r"(; max \d+) from_memory"), r"\1 from memory"),
    (re.compile(r";?\s*\(?from_memory(: true)?\)?"), ""),
    (re.compile(r"^FLAGSHIP backtest: "), "Backtest: "),
    (re.compile(r"The model MUST carry a harvesting switch"), "Harvesting has to be a choice of the model"),
    (re.compile(r"in the seeds"), "in the documents"),
    (re.compile(r"\s*\(\S+ id \d+\)"), ""),
    (re.compile(r" found by \S+ \(id \d+, (\d{4}-\d{2})\)"), r" (\1)"),
    (re.compile(r"from memory of the author of this file, NOT verified"), "From memory, not verified"),
    (re.compile(r" ?was not found in this session"), " was not found"),
    (re.compile(r"this helper's spread"), "the catalogue's spread"),
    (re.compile(r"\(see chip helper\)"), "(see the chip card)"),
    (re.compile(r"; see supply folder|see supply folder"), "see the yield cards"),
    (re.compile(r"an unverified GitHub note"), "an unverified repository note"),
    (re.compile(r"\b(low|high|low/high|low/mid) (is|are|spread|end is)? ?ours\b"), r"\1: the catalogue's own spread"),
    (re.compile(r"\bseed \d{3} line (\d+)"), r"a document of the claims, line \1"),
    (re.compile(r"check_models\.py"), "from the stated values"),
)  # fmt: skip


def reword(text: object) -> str:
    """A note without references to the collector's own tools."""
    out = str(text)
    for pattern, replacement in _WORDING:
        out = pattern.sub(replacement, out)
    return out.strip().strip(";").strip()


def from_memory(fact: dict[str, Any]) -> bool:
    """Whether a hardware fact is an unverified recollection."""
    return fact.get("src") == ["mem"] or "from_memory" in f"{fact.get('note', '')}{fact.get('v', '')}"


def grade_of(fact: dict[str, Any]) -> str:
    """The house grade of a hardware fact."""
    grade, sources = fact["grade"], [str(s) for s in fact["src"]]
    if sources == ["mem"] or (from_memory(fact) and "mem" in sources):
        return "assumed"
    if grade in ("measured", "teardown", "vendor"):
        return str(grade)
    weakest = max((WITNESS[s] for s in sources if s != "mem"), key=GRADES.index)
    return max(weakest, "analyst", key=GRADES.index) if grade == "estimate" else weakest


def proof(fact: dict[str, Any], note: str = "") -> dict[str, Any]:
    """``grade``, ``source`` and ``note`` of a hardware fact."""
    out: dict[str, Any] = {"grade": grade_of(fact), "source": [str(s) for s in fact["src"]]}
    notes = [note, reword(fact.get("note", "")), "contested" if fact["grade"] == "contested" else ""]
    if any(notes):
        out["note"] = "; ".join(n for n in notes if n)
    if from_memory(fact):
        out["from_memory"] = True
    return out


def figure(value: float, unit: str) -> Any:
    """A quantity as a card writes it: text with its unit, or a bare number without one."""
    if abs(value) >= 1e9:
        return f"{value / 1e9:.10g}e9 {unit}".strip()
    clean: float | int = int(value) if float(value).is_integer() else float(f"{value:.10g}")
    return f"{clean} {unit}" if unit else clean


def quantity(value: Any, unit: str, scale: float = 1.0) -> dict[str, Any]:
    """``value`` or ``low/mid/high`` of a fact's value (number, range table or two-element list)."""
    if isinstance(value, dict):
        return {k: figure(value[k] * scale, unit) for k in ("low", "mid", "high") if k in value}
    if isinstance(value, list):
        return {"low": figure(min(value) * scale, unit), "high": figure(max(value) * scale, unit)}
    return {"value": figure(value * scale, unit)}


def number(fact: dict[str, Any], unit: str, scale: float = 1.0, note: str = "") -> dict[str, Any]:
    """A hardware fact as a number of a card."""
    return quantity(fact["v"], unit, scale) | proof(fact, note)


def statement(fact: dict[str, Any], value: str = "", note: str = "") -> dict[str, Any]:
    """A hardware fact as a statement of a card."""
    return {"value": value or reword(fact["v"])} | proof(fact, note)


def claim(
    by: str, value: Any, unit: str, weight: float, grade: str, source: list[str], note: str = ""
) -> dict[str, Any]:
    """One claimant of a contested number (``unit`` given) or statement (``unit`` empty and text given)."""
    said = {"value": value} if isinstance(value, str) else quantity(value, unit)
    extra: dict[str, Any] = ({"note": note} if note else {}) | ({"from_memory": True} if source == ["mem"] else {})
    return {"by": by, **said, "weight": weight, "grade": grade, "source": source} | extra
