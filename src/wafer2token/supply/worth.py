"""What a stage is worth: chips gained by one more scanner, stack, point of yield, package start or bank die."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.evidence.sampling import draw
from wafer2token.fab.capacity import wafers_per_month
from wafer2token.supply.drivers import assumed_behind
from wafer2token.supply.inputs import Inputs
from wafer2token.supply.result import SupplyResult
from wafer2token.supply.run import evaluate, supply
from wafer2token.supply.timeline import QUARTER_S

Array = NDArray[np.float64]
MONTHS_PER_QUARTER = 3.0


@dataclass(frozen=True)
class Lever:
    """Something that can be loosened: what one unit of it is, how much is tried, and the inputs that change."""

    name: str
    unit: str
    amount: Array
    change: Callable[[Inputs], Mapping[str, Array]]


@dataclass(frozen=True)
class Worth:
    """Ascend chips that one unit of a lever adds over the run, p5, p50, p95 and mean over samples; share of samples in
    which it adds any; the assumed inputs that move the gain."""

    lever: str
    unit: str
    p5: float
    p50: float
    p95: float
    mean: float
    helps: float
    assumed: tuple[str, ...]


def scanner_wafers(inputs: Inputs) -> Array:
    """7 nm wafers a month that one immersion scanner carries, [samples], from its throughput, efficiency and passes."""
    rate = draw(catalog.number("tool.nxt1980di.throughput"), "tool.nxt1980di.throughput", inputs.samples, inputs.seed)
    return wafers_per_month(1.0, rate * 3600.0, inputs.one("litho_efficiency"), inputs.one("arfi_passes"))


def levers(inputs: Inputs) -> list[Lever]:
    """The levers that `worth` tries, each small against the flows of the run."""
    ones, quarters = np.ones(inputs.samples), inputs.timeline.count
    wafers = scanner_wafers(inputs) * MONTHS_PER_QUARTER / QUARTER_S

    def scanners(now: Inputs) -> Mapping[str, Array]:
        share = np.maximum(now.all("ascend_share"), 1e-9)
        working = np.maximum(now.all("immersion_share")[:, :1], 1e-9)
        return {"smic_wafers": now.all("smic_wafers") + wafers[:, None], "ascend_share": _diluted(now, share, wafers),
                "immersion_fleet": now.values["immersion_fleet"] + 1.0 / working}  # fmt: skip

    return [
        Lever("scanner", "immersion scanner working for Ascend", ones, scanners),
        Lever("wafers", "1,000 wafers a month for Ascend", ones, lambda now: {
            "huawei_fab_wafers": now.all("huawei_fab_wafers") + 1000 * MONTHS_PER_QUARTER / QUARTER_S / np.maximum(
                now.all("huawei_fab_ascend_share"), 1e-9)}),
        Lever("yield", "point of yield of Ascend dies", ones, lambda now: {
            "yield_factor": now.all("yield_factor") * (1 + 0.01 / np.clip(now.all("reported_yield"), 0.05, 1))}),
        Lever("stacks", "million domestic HBM stacks over the run", ones, lambda now: {
            "hbm_cxmt": now.all("hbm_cxmt") + 1e6 / quarters / QUARTER_S / np.maximum(now.all("cxmt_huawei_share"), 1e-9)}),
        Lever("assembly", "10,000 package starts a quarter", ones, lambda now: {
            "assembly_starts": now.all("assembly_starts") + 1e4 / QUARTER_S}),
        Lever("attach", "point of attach yield", ones, lambda now: {
            "attach_yield": np.minimum(now.all("attach_yield") + 0.01, 1.0)}),
        Lever("bank", "100,000 bank dies", ones, lambda now: {"die_bank": now.values["die_bank"] + 1e5}),
        Lever("orders", "bn USD a year of demand", ones, lambda now: {
            "demand": now.all("demand") + 1e9 / QUARTER_S / 4}),
    ]  # fmt: skip


def _diluted(now: Inputs, share: Array, wafers: Array) -> Array:
    """Ascend's share of the shared wafers when one scanner's worth is added for Ascend alone."""
    shared = now.all("smic_wafers") + now.all("huahong_wafers")
    return np.asarray((shared * share + wafers[:, None]) / (shared + wafers[:, None]))


def worth(result: SupplyResult, since: str | None = None, only: Sequence[str] = ()) -> list[Worth]:
    """Runs the model again with one unit more of each lever and the same samples; chips gained over the whole run.

    Levers act in every quarter. `only` names some of them.
    """
    base = result["units.ascend"].sum(axis=1)
    out = []
    for lever in levers(result.inputs):
        if only and lever.name not in only:
            continue
        changed = evaluate(result.inputs.with_values(lever.change(result.inputs)))
        gain = (changed["units.ascend"].sum(axis=1) - base) / lever.amount
        p5, p50, p95 = (float(x) for x in np.quantile(gain, (0.05, 0.5, 0.95)))
        out.append(Worth(lever.name, lever.unit, p5, p50, p95, float(gain.mean()), float((gain > 0.5).mean()),
                         assumed_behind(result, gain)))  # fmt: skip
    return sorted(out, key=lambda w: -w.mean)


@dataclass(frozen=True)
class Knock:
    """What is left of a year's Ascend chips when something is taken away: p5, p50, p95 of the share over samples; the
    quarters of the whole run in which the median is below half of the run's own, and the first of them; the assumed inputs that move the share."""

    scenario: str
    title: str
    year: int
    left: tuple[float, float, float]
    quarters_below_half: int
    first_below_half: str
    assumed: tuple[str, ...]


KNOCK_OUTS = ("no_die_bank", "no_foreign_hbm", "hbm_gone", "no_dutch_service", "no_us_service", "no_foreign_service", "tighter_2026")


def knock_outs(result: SupplyResult, scenarios: Sequence[str] = KNOCK_OUTS) -> list[Knock]:
    """Runs each scenario on the same samples and compares it year by year with the given run."""
    out = []
    base = result.yearly("units.ascend")
    middle = np.median(result["units.ascend"], axis=0)
    for name in scenarios:
        other = supply(name, samples=result.samples, seed=result.seed, until=result.quarters[-1])
        below = np.flatnonzero(np.median(other["units.ascend"], axis=0) < 0.5 * middle)
        first = result.quarters[below[0]] if len(below) else "-"
        for year, units in other.yearly("units.ascend").items():
            left = units / np.maximum(base[year], 1.0)
            p5, p50, p95 = (float(x) for x in np.quantile(left, (0.05, 0.5, 0.95)))
            assumed = assumed_behind(result, left, result.timeline.year(year).stop - 1)
            out.append(Knock(name, other.title, year, (p5, p50, p95), len(below), first, assumed))
    return out
