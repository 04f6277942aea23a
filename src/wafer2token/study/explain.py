"""``explain``: the tree under a result of a run, read from its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wafer2token.evidence.errors import InputError, Problem, unknown
from wafer2token.evidence.units import format_range
from wafer2token.study.folder import MANIFEST, latest, read_json


@dataclass(frozen=True)
class Line:
    """One quantity in the tree."""

    depth: int
    name: str
    unit: str
    p5: float
    p50: float
    p95: float
    grade: str
    title: str
    sources: tuple[str, ...] = ()

    def text(self) -> str:
        """Name, value with range, grade, and the equation or the sources."""
        value = format_range(self.p5, self.p50, self.p95, self.unit)
        why = f"source {', '.join(self.sources)}" if self.sources else self.title
        return f"{self.name} = {value}  ({self.grade}) {why}".rstrip()


@dataclass(frozen=True)
class Explanation:
    """The tree under one result, depth first, or only the names of the results of a run."""

    run: str
    results: tuple[str, ...]
    lines: tuple[Line, ...]
    sources: tuple[str, ...]
    version: str
    fingerprint: str
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "version": self.version,
            "data_fingerprint": self.fingerprint,
            "seed": self.seed,
            "run": self.run,
            "results": list(self.results),
            "lines": [asdict(line) for line in self.lines],
            "sources": list(self.sources),
        }


def explain(result: str | None = None, run: str | None = None) -> Explanation:
    """What stands under a result of a run: equations, values, units, grades and sources.

    Args:
        result: dotted name of a quantity; None lists the results.
        run: run folder; the latest under runs/ when None.

    Raises:
        InputError: no such folder or result.
    """
    folder = run or str(latest())
    nodes: dict[str, dict[str, Any]] = read_json(folder, "graph.json")
    made = read_json(folder, MANIFEST)
    missing = [key for key in ("version", "data_fingerprint", "seed") if key not in made]
    if missing:
        raise InputError(Problem(f"no {', '.join(missing)} in the manifest of the run", f"{folder}/{MANIFEST}", remedy="w2t run writes a sound one"))
    stamp = (made["version"], made["data_fingerprint"], made["seed"])
    results = tuple(sorted(name for name, node in nodes.items() if "number" not in node))
    if result is None:
        return Explanation(folder, results, (), (), *stamp)
    if result not in nodes:
        raise InputError(unknown("result", result, sorted(nodes)))
    lines = tuple(_walk(nodes, result))
    return Explanation(folder, results, lines, tuple(dict.fromkeys(s for line in lines for s in line.sources)), *stamp)


def _walk(nodes: Mapping[str, dict[str, Any]], result: str) -> Iterator[Line]:
    opened: set[str] = set()
    stack = [(result, 0)]
    while stack:
        name, depth = stack.pop()
        node = nodes[name]
        sources = tuple(node.get("number", {}).get("sources", ()))
        again = name in opened and node["inputs"]
        yield Line(
            depth,
            name,
            node["unit"],
            node["p5"],
            node["p50"],
            node["p95"],
            node["grade"],
            "see above" if again else node["title"],
            sources,
        )
        if name not in opened:
            opened.add(name)
            stack += [(below, depth + 1) for below in reversed(node["inputs"])]
