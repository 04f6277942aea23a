"""``run``: the whole chain on one scenario."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from wafer2token import __version__, catalog
from wafer2token.catalog import overlay
from wafer2token.study import chain
from wafer2token.study.claims import judge_claims
from wafer2token.study.comparison import MEASURES, add_entity
from wafer2token.study.graph import Graph
from wafer2token.study.jobs import Outcome, perform_all
from wafer2token.study.result import Row, RunResult, row
from wafer2token.study.scenario import Scenario, overrides, read
from wafer2token.study.sensitivity import Driver, tornado


def run(
    scenario: str | Path | Scenario | None = None,
    *,
    settings: tuple[str, ...] = (),
    samples: int | None = None,
    seed: int | None = None,
    workers: int = 1,
    done: Callable[[str], None] | None = None,
) -> RunResult:
    """The whole chain on a scenario: supply, comparison, training, serving, claims.

    Args:
        scenario: a TOML, YAML or JSON file, a Scenario, or None for the bundled default.
        settings: overrides ``dotted.name=value`` or ``dotted.name=value@2026-07``.
        samples: Monte Carlo samples; the scenario's own when None.
        seed: the scenario's own when None.
        workers: processes for the engines; any number gives the same result.
        done: called with the name of each finished step.

    Raises:
        InputError: the scenario is wrong; every problem at once.
    """
    asked = scenario if isinstance(scenario, Scenario) else read(scenario, settings, samples=samples, seed=seed)
    tell = done or (lambda step: None)
    always = overrides(asked)
    outcomes = perform_all(chain.jobs(asked), always, workers, tell)
    with overlay(always):
        return assemble(asked, outcomes, tell)


def steps(scenario: Scenario) -> int:
    """How many steps ``run`` tells of."""
    return len(chain.jobs(scenario)) + len({n for pair in scenario.compare for n in pair}) + 1


def assemble(scenario: Scenario, outcomes: list[Outcome], tell: Callable[[str], None]) -> RunResult:
    """The graph, rows, verdicts and drivers of a run from the outcomes of its engines."""
    graph = Graph(scenario.samples, scenario.seed)
    rows: list[Row] = []
    problems = {o.prefix: o.problem for o in outcomes if o.problem}
    details: dict[str, Any] = {}
    for outcome in outcomes:
        graph.adopt(outcome.prefix, outcome.title, outcome.results, outcome.drawn)
        details[outcome.prefix] = dict(outcome.details)
        rows += [row(graph, *r) for r in chain.rows(outcome)]
    for name in dict.fromkeys(n for pair in scenario.compare for n in pair):
        rows += compare_rows(graph, name)
        tell(f"compare {name}")
    verdicts = judge_claims(graph, scenario, details, problems)
    tell("claims")
    drivers: list[Driver] = [d for name in chain.headline(graph) for d in tornado(graph, name)]
    return RunResult(scenario, __version__, catalog.fingerprint(), tuple(rows), tuple(verdicts), tuple(drivers), problems,
                     chain.series(graph, details), details, graph)  # fmt: skip


def compare_rows(graph: Graph, name: str) -> list[Row]:
    """The measures of one chip or system as rows."""
    found = add_entity(graph, name)
    return [
        row(graph, "compare", found, m.label, f"compare.{found}.{m.key}")
        for m in MEASURES
        if f"compare.{found}.{m.key}" in graph.quantities
    ]
