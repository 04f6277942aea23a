"""The supply engine as a job: units and fleets by quarter, what binds, the flows of a year, what is kept without an input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wafer2token import catalog
from wafer2token.evidence.sampling import summary, unrecorded
from wafer2token.evidence.units import unit_scale
from wafer2token.supply import SupplyResult, supply

_SERIES = {
    "units.ascend": "Ascend chips made",
    "units.domestic": "domestic chips made",
    "h100e.bf16": "fleet in China, H100-equivalents",
    "h100e.usable.bf16": "usable compute with what is rented, H100-equivalents",
    "power": "power of the fleet",
    "dies.stock.bank": "foreign dies left",
    "stacks.stock": "HBM stacks left",
    "yield.full_910b": "fully good 910B-class dies",
    "yield.usable_910b": "usable 910B-class dies",
}
_KNOCK_OUTS = {
    "no_foreign_hbm": {"hbm_foreign": "0 stack", "hbm_rush": "0 stack", "hbm_smuggled": "0 stack/year"},
    "no_die_bank": {"die_bank": "0 die"},
}
_DEMAND = "quantity.china_ai_chip_forecast.figures.demand_{year}"
_CLAIMANTS = ("quantity", "ascend_units_2025")


def supply_job(name: str, until: str, settings: Mapping[str, Any], samples: int, seed: int) -> Mapping[str, Any]:
    """Runs the stock-and-flow and gathers what the chain needs of it."""
    made = supply(name, overrides=settings, samples=samples, seed=seed, until=until)
    yearly = made.yearly("units.ascend")
    results: dict[str, tuple[Any, str]] = {f"units_{year}": (units, "chip") for year, units in yearly.items()}
    results |= {
        f"{key}.share_kept_2026": (share, "1")
        for key, share in kept(yearly, name, until, settings, samples, seed).items()
    }
    results["stages_binding"] = (stages_binding(made), "1")
    labels = {f"units_{year}": f"Ascend chips made in {year}" for year in yearly}
    for key, label in _SERIES.items():
        if key in made.names:
            results[key] = (made[key] * unit_scale(made.units_of[key])[0], made.units_of[key])
            labels[key] = f"{label}, {made.quarters[-1]}"
    return {"results": results, "details": {"labels": labels, **describe(made)}}


def stages_binding(made: SupplyResult) -> Any:
    """How many different stages of the chain bind in some quarter, sample by sample; demand is no stage."""
    stages = (i for i, stage in enumerate(made.stages) if stage != "demand")
    return np.sum([(made.binding == i).any(axis=1) for i in stages], axis=0).astype(float)


def kept(
    yearly: Mapping[int, Any], name: str, until: str, settings: Mapping[str, Any], samples: int, seed: int
) -> dict[str, Any]:
    """Share of the Ascend chips of 2026 still made without an input, sample by sample; empty when the run stops before."""
    if 2026 not in yearly:
        return {}
    out = {}
    for key, missing in _KNOCK_OUTS.items():
        with unrecorded():
            without = supply(name, overrides={**settings, **missing}, samples=samples, seed=seed, until=until)
        out[key] = without.yearly("units.ascend")[2026] / np.maximum(yearly[2026], 1.0)
    return out


def describe(made: SupplyResult) -> dict[str, Any]:
    """Plain facts of a supply run: quarters, binding shares, the table by quarter, flows by year, claimants, demand."""
    shares = made.binding_share
    return {
        "quarters": list(made.quarters),
        "stages": list(made.stages),
        "binding_share": {stage: share.tolist() for stage, share in shares.items()},
        "quarters_table": [quarter_row(made, q) for q in range(len(made.quarters))],
        "flows": {str(year): flows(made, year) for year in made.timeline.years},
        "claimants_2025": claimants(),
        "demand": {str(y): {"number": n} for y in made.timeline.years if known(n := _DEMAND.format(year=y))},
    }


def quarter_row(made: SupplyResult, q: int) -> dict[str, str]:
    """One quarter as text: chips, fleet, stocks at their median, and what binds how often."""
    p5, p50, p95 = summary(made["units.ascend"][:, q])
    shares = sorted(((float(s[q]), stage) for stage, s in made.binding_share.items()), reverse=True)
    return {
        "quarter": made.quarters[q],
        "p5": f"{p5:,.0f}",
        "chips p50": f"{p50:,.0f}",
        "p95": f"{p95:,.0f}",
        "dies banked": f"{np.median(made['dies.stock.bank'][:, q]) / 1e6:.2f} M",
        "HBM stacks": f"{np.median(made['stacks.stock'][:, q]) / 1e6:.2f} M",
        "fleet H100e": f"{np.median(made['h100e.bf16'][:, q]) / 1e6:.2f} M",
        "binds": ", ".join(f"{stage} {share:.0%}" for share, stage in shares[:2] if share >= 0.05),
    }


def flows(made: SupplyResult, year: int) -> dict[str, float]:
    """The mean flows of a calendar year, for the Sankey: wafers by use, dies, stacks, packages, chips; and the mean yields."""
    span = made.timeline.year(year)
    keys = [
        k for k in made.names if k.startswith(("wafers.", "dies.arriving.", "stacks.arriving.", "starts.", "units."))
    ]
    yields = {k: float(made[k][:, span].mean()) for k in ("yield.usable_910b", "yield.usable_950")}
    return {k: float(made[k][:, span].sum(axis=1).mean()) for k in keys} | yields


def claimants() -> dict[str, float]:
    """What each claimant says of the units of 2025."""
    number = catalog.get(*_CLAIMANTS).value
    return {c.by: c.mid for c in number.claims}


def known(name: str) -> bool:
    """Whether the catalogue has a number of this name."""
    kind, card, *rest = name.split(".")
    return card in catalog.all_cards(kind) and ".".join(rest) in dict(catalog.get(kind, card).numbers())
