"""The supply run: inputs to arrays, arrays to chips by quarter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wafer2token import catalog
from wafer2token.evidence.errors import InputError, Problem
from wafer2token.evidence.number import Number
from wafer2token.supply import condition, engine, fleet
from wafer2token.supply.inputs import Inputs, read_inputs
from wafer2token.supply.result import SupplyResult
from wafer2token.supply.scenario import ACTUAL, Scenario, check, check_expected, read_scenario
from wafer2token.supply.timeline import Timeline
from wafer2token.supply.tools import tool_limits

Progress = Callable[[str], None]


def supply(
    scenario: str | Path | Scenario | None = None,
    overrides: Mapping[str, Any] | None = None,
    samples: int = 10_000,
    seed: int = 0,
    until: str = "2028Q4",
    progress: Progress | None = None,
    given: Sequence[str] | None = (),
) -> SupplyResult:
    """Chips by quarter from wafers, dies, HBM and packaging, and what binds: a prior predictive of the inputs, or a
    posterior given observations.

    Args:
        scenario: id of a bundled scenario, path of a TOML file, a Scenario, or None for history as it went.
        overrides: `name` or `name@date` -> value, on top of the scenario (see `inputs.read_changes`); names of chip
            cards (`chip.ascend_910c.tdp`) hold for the whole run.
        samples: number of samples; the same seed draws the same quantile for every name, whatever else changes.
        until: last quarter, as 2028Q4, 2028-12 or 2028.
        progress: called with the name of each step as it begins.
        given: ids of observations to condition on, None for all that have a likelihood; none of them by default.

    Raises:
        InputError: unknown names, wrong units, contradictions; all of an input at once.
        EvidenceError: an observation without a likelihood, or too few samples left to say anything.
    """
    if samples < 1:
        raise InputError(Problem("too few samples", "samples", samples, "1 or more"))
    step = progress or (lambda name: None)
    plan = read_scenario(scenario if scenario is not None else ACTUAL)
    merged = {**plan.settings, **(overrides or {})}
    chips = {key: value for key, value in merged.items() if key.startswith("chip.")}
    own = {key: value for key, value in merged.items() if key not in chips}
    with catalog.overlay(_chip_numbers(chips)):
        step("inputs")
        inputs = read_inputs(Timeline.until(until), samples, seed, own)
        check(inputs, plan)
        result = evaluate(inputs, plan, step)
        check_expected(result, plan)
        return result if given == () else condition.given(result, given)


def evaluate(inputs: Inputs, plan: Scenario | None = None, progress: Progress | None = None) -> SupplyResult:
    """Runs the model on given inputs: the same arrays in, the same result out."""
    step = progress or (lambda name: None)
    step("wafers and dies")
    limits = tool_limits(inputs)
    planned = engine.supplies(inputs, limits)
    step("packages")
    packaging = engine.package(inputs, planned)
    arriving = engine.settle(inputs, planned, packaging.taken)
    others = engine.others(inputs, arriving)
    step("fleets")
    delivered = fleet.deliveries(inputs, packaging, others)
    service = fleet.in_service(inputs, delivered)
    worths = fleet.worths(inputs, fleet.better_bin(packaging, arriving.yields, inputs.timeline.history))
    return SupplyResult(
        scenario=plan.name if plan else "given inputs",
        title=plan.title if plan else "",
        seed=inputs.seed,
        fingerprint=catalog.fingerprint(),
        inputs=inputs,
        limits=limits,
        arriving=arriving,
        packaging=packaging,
        others=others,
        delivered=delivered,
        fleet=service,
        worths=worths,
        power=fleet.electric_power(inputs, service, worths),
    )


def _chip_numbers(changes: Mapping[str, Any]) -> dict[str, Number]:
    from wafer2token.evidence.units import parse_quantity

    dated = [Problem("a chip's number holds for the whole run", name, value, remedy=f"write {name.partition('@')[0]}={value}")
             for name, value in changes.items() if "@" in name]  # fmt: skip
    if dated:
        raise InputError(dated)
    out = {}
    for name, value in changes.items():
        known = catalog.number(name)
        out[name] = value if isinstance(value, Number) else known.replaced(parse_quantity(value, known.unit), "scenario")
    return out
