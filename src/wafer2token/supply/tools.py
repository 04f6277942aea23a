"""The lithography ceiling: what China's immersion scanners could carry at 7 nm, beside what claimants say is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.evidence.sampling import draw
from wafer2token.fab.capacity import fleet, wafers_per_month
from wafer2token.supply.inputs import Inputs
from wafer2token.supply.timeline import QUARTER_S

Array = NDArray[np.float64]
SCANNER = "tool.nxt1980di.throughput"
MONTHS_PER_QUARTER = 3.0


@dataclass(frozen=True)
class Ceiling:
    """Scanners in China and their share on 7 nm, wafers a month those carry, and claimed ones, [samples, quarters]."""

    scanners: Array
    share: Array
    carried: Array
    claimed: Array

    @property
    def over(self) -> Array:
        """Share of samples, by quarter, in which the claimed wafers exceed what the scanners carry."""
        return np.asarray((self.claimed > self.carried).mean(axis=0))

    @property
    def share_needed(self) -> Array:
        """Share of China's scanners that the claimed wafers need, [samples, quarters]."""
        return np.asarray(self.claimed / np.maximum(self.carried_by_all, 1e-9))

    @property
    def carried_by_all(self) -> Array:
        """7 nm wafers a month if every scanner printed them."""
        return self.carried / np.maximum(self.share, 1e-9)


def lithography_ceiling(inputs: Inputs) -> Ceiling:
    """Fleet dynamics of immersion scanners with imports as far as served, domestic ones, and ageing where not served.

    Passes per wafer fall where EUV flows replace them. Companion tools (track, etch, deposition, CMP, metrology) have no
    public count: the ceiling is an upper bound of the minimum over classes.
    """
    served = np.clip(inputs.now("tool_service"), 0.0, 1.0)
    loss = (1.0 - np.exp(-inputs.now("tool_ageing") * QUARTER_S)) * (1.0 - served)
    arrivals = (inputs.now("immersion_imports") * served + inputs.now("domestic_immersion")) * QUARTER_S
    scanners = fleet(inputs.one("immersion_fleet"), arrivals, loss)
    rate = draw(catalog.number(SCANNER), SCANNER, inputs.samples, inputs.seed)[:, None] * 3600.0
    saved = inputs.now("euv_share") * inputs.one("euv_passes_saved")[:, None]
    passes = np.maximum(inputs.one("arfi_passes")[:, None] - saved, 1.0)
    share = np.clip(inputs.now("immersion_share"), 0.0, 1.0)
    carried = wafers_per_month(scanners * share, rate, inputs.one("litho_efficiency")[:, None], passes)
    claimed = sum(inputs.now(name) for name in ("smic_wafers", "huahong_wafers", "huawei_fab_wafers"))
    return Ceiling(scanners, share, carried, np.asarray(claimed) * QUARTER_S / MONTHS_PER_QUARTER)
