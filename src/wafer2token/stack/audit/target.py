"""The chip and the software that code is to be moved to, and their limits."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from wafer2token.evidence.errors import EvidenceError, InputError, unknown
from wafer2token.evidence.units import parse_quantity
from wafer2token.stack.audit import support


@dataclass(frozen=True)
class Limit:
    """A figure of a chip generation, with where it comes from."""

    name: str
    value: float
    generation: str
    grade: str
    sources: tuple[str, ...]
    note: str = ""
    from_memory: bool = False


@dataclass(frozen=True)
class Target:
    """A chip, its generation (A2, A3 or 950) and the torch_npu wheel."""

    chip: str
    generation: str
    wheel: support.Wheel
    limits: dict[str, Limit]

    def to_dict(self) -> dict[str, Any]:
        limits = {k: {**vars(v), "sources": list(v.sources)} for k, v in self.limits.items()}
        return {"chip": self.chip, "generation": self.generation, "torch_npu": self.wheel.version,
                "torch_npu_date": self.wheel.date, "limits": limits}  # fmt: skip


@cache
def _document() -> dict[str, Any]:
    text = (files("wafer2token.stack.audit") / "data" / "targets.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def target(chip: str = "ascend_910c", torch_npu: str | None = None) -> Target:
    """The target of an audit.

    Args:
        chip: id or alias of an Ascend chip or system.
        torch_npu: a version or its beginning ("2.13"); None takes the newest wheel that was read.

    Raises InputError for a chip or a version that is not known.
    """
    document = _document()
    names = {name: entry["generation"] for entry in document["target"] for name in entry["ids"]}
    wanted = chip.lower().replace("-", "_").replace(" ", "_")
    if wanted not in names:
        raise InputError(unknown("Ascend chip", chip, sorted(names), "--for"))
    canonical = next(e["ids"][0] for e in document["target"] if wanted in e["ids"])
    shown = wanted if wanted.startswith(("ascend", "cloudmatrix", "atlas")) else canonical
    return Target(shown, names[wanted], support.wheel(torch_npu), _limits(document, names[wanted]))


def _limits(document: dict[str, Any], generation: str) -> dict[str, Limit]:
    found: dict[str, Limit] = {}
    for entry in document["limit"]:
        sources = tuple(document["sources"][s] for s in entry["sources"])
        if not sources or not entry.get("grade"):
            raise EvidenceError(f"limit {entry['name']}: no source or no grade")
        unit = str(entry["value"]).partition(" ")[2] or "1"
        value = parse_quantity(entry["value"], unit)
        limit = Limit(
            entry["name"], value, entry["generation"], entry["grade"], sources,
            entry.get("note", ""), entry.get("from_memory", False),
        )  # fmt: skip
        if entry["generation"] == generation or limit.name not in found:
            found[limit.name] = limit
    return found
