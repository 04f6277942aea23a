"""What a wafer, a good die and a good 910C cost, without EUV as they are and with EUV as they might be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.evidence.sampling import draw
from wafer2token.fab import capacity
from wafer2token.fab import cost as fab
from wafer2token.package import cost as package
from wafer2token.supply.dies import core_die, node_yield
from wafer2token.supply.inputs import Inputs

Array = NDArray[np.float64]
IMMERSION, EUV = "tool.nxt1980di.throughput", "tool.nxe3600d.throughput"


@dataclass(frozen=True)
class Flow:
    """One way to print a 7 nm wafer, arrays [samples]: exposures, scanner capital per exposure (immersion without EUV, EUV
    with it) and per wafer, price, cycle time [s], yield, costs [USD]."""

    name: str
    immersion: Array
    euv: Array
    exposure_capital: Array
    scanner_capital: Array
    wafer_price: Array
    cycle_time: Array
    usable: Array
    good_die: Array
    package_910c: Array


def compare_euv(inputs: Inputs, quarter: int = -1) -> tuple[Flow, Flow]:
    """The flow without EUV, and the same node with the passes that EUV saves, in one quarter of the inputs.

    The wafer price without EUV is SMIC's; with EUV its lithography share scales with scanner capital (CATCH). Yield
    gains the defects of the passes saved. Board, host and design are not in the cost of a 910C.
    """
    n = inputs.samples

    def card(name: str) -> Array:
        return draw(catalog.number(name), name, n, inputs.seed)

    passes, saved = inputs.one("arfi_passes"), np.minimum(inputs.one("euv_passes_saved"), inputs.one("arfi_passes"))
    layers = saved / card("quantity.duv_steps_per_euv_step.value")
    efficiency, life = inputs.one("litho_efficiency"), inputs.one("scanner_life")
    per_immersion = fab.exposure_depreciation(card("quantity.scanner_prices.series.duv_immersion"), life, efficiency, card(IMMERSION) * 3600)
    per_euv = fab.exposure_depreciation(card("quantity.scanner_prices.series.euv"), life, efficiency, card(EUV) * 3600)
    price, share = card("quantity.wafer_price_smic_n2.value"), card("quantity.wafer_cost_litho_share.series.7nm")
    masks, per_layer = card("quantity.mask_layers_7nm_duv.value"), card("quantity.cycle_time_per_layer.value") / 86400.0
    density = node_yield(inputs).density[:, inputs.timeline.history :][:, quarter]
    fewer = np.maximum(density - saved * inputs.one("pass_density"), 1e-3 * density)
    capital = (passes * per_immersion, (passes - saved) * per_immersion + layers * per_euv)
    prices = (price, fab.wafer_price_scaled(price, share, capital[1], capital[0]))
    counts = ((passes, np.zeros(n), masks), (passes - saved, layers, masks - saved + layers))
    flows = []
    for index, (name, at) in enumerate((("without EUV", density), ("with EUV", fewer))):
        immersion, euv, steps = counts[index]
        usable = core_die(inputs, "910b").usable(at[:, None])[:, 0]
        die = fab.good_die_cost(prices[index], inputs.one("gross_dies_910b"), usable)
        flows.append(Flow(name, immersion, euv, (per_immersion, per_euv)[index], capital[index], prices[index], capacity.cycle_time(steps, per_layer), usable, die,
                          _package(inputs, die, card, quarter)))  # fmt: skip
    return flows[0], flows[1]


def _package(inputs: Inputs, die: Array, card: Callable[[str], Array], quarter: int) -> Array:
    stack = card("quantity.hbm2e_stack_price.value")
    return package.package_cost(die, 2, stack, inputs.one("stacks_910c"), inputs.one("substrate_cost"), inputs.now("attach_yield")[:, quarter])
