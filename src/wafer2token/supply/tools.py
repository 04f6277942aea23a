"""Tools of the 7 nm lines by class: fleets under imports, home production and service; the wafers a month they carry.

Only immersion scanners have a public count. Companion tools are inferred: as many as the claimed wafers of the day need,
times an assumed headroom, so they bind only once a maker stops shipping and serving.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.evidence.sampling import draw
from wafer2token.fab.capacity import ToolClass, fleet, tool_limit, tools_needed, wafers_per_month
from wafer2token.supply.inputs import Inputs
from wafer2token.supply.timeline import QUARTER_S

Array = NDArray[np.float64]
SCANNER = "tool.nxt1980di.throughput"
MONTHS_PER_QUARTER = 3.0
LINES = ("smic_wafers", "huahong_wafers", "huawei_fab_wafers")
COMPANIONS = {"track": "resist_track", "etch": "dry_etch", "deposition": "ald", "cmp": "cmp", "metrology": "overlay_metrology"}
"""Class of companion tools -> the step of the dependency graph whose suppliers make them."""
CLASSES = ("lithography", *COMPANIONS)
SERVICE = {"NL": "dutch_service", "US": "american_service", "JP": "japanese_service"}
REST = "rest"


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


@dataclass(frozen=True)
class ToolLimits:
    """Wafers a month claimed and carried by each tool class, and which class is the least; [samples, history + quarters].

    ``tools`` counts the tools of each class on the lines; ``least`` is an index into CLASSES.
    """

    claimed: Array
    carried: Mapping[str, Array]
    tools: Mapping[str, Array]
    limit: Array
    least: NDArray[np.int64]

    @property
    def made(self) -> Array:
        """Share of the claimed wafers that the tools carry, 0 to 1."""
        return np.asarray(np.minimum(self.limit / np.maximum(self.claimed, 1e-9), 1.0))

    @property
    def binds(self) -> NDArray[np.bool_]:
        """Where the tools, and not the claimed capacity, set the wafers."""
        return np.asarray(self.limit < self.claimed * (1 - 1e-9))

    def share(self, name: str) -> Array:
        """Share of samples in which a class sets the wafers, [history + quarters]."""
        return np.asarray((self.binds & (self.least == CLASSES.index(name))).mean(axis=0))


def claimed_wafers(inputs: Inputs) -> Array:
    """7 nm wafers a month that the claimants say are made, [samples, history + quarters]."""
    return np.asarray(sum(inputs.all(name) for name in LINES)) * QUARTER_S / MONTHS_PER_QUARTER


def served(inputs: Inputs, country: str) -> Array:
    """How far makers of a country ship and serve, 0 to 1, [samples, history + quarters]; China's own always do."""
    if country == "CN":
        return np.ones((inputs.samples, inputs.timeline.history + inputs.timeline.count))
    own = inputs.all(SERVICE[country]) if country in SERVICE else 1.0
    return np.asarray(np.clip(inputs.all("tool_service") * own, 0.0, 1.0))


def aged(inputs: Inputs, service: Array) -> Array:
    """Share of tools lost in a quarter at a level of service [samples, history + quarters]."""
    return np.asarray((1.0 - np.exp(-inputs.all("tool_ageing") * QUARTER_S)) * (1.0 - service))


def makers(step: str) -> dict[str, float]:
    """Shares of a step's tools by country of the maker, from its suppliers; they sum to 1.

    A supplier in use without a published share gets an equal part of what the others leave; what nobody is named for is
    REST, foreign makers of no country that a knock-out names. World shares of revenue stand for the tools installed.
    """
    suppliers = [s for s in catalog.get("step", step).suppliers if s.status != "blocked"]
    known = {s.name: catalog.number(s.share).mid for s in suppliers if s.share}
    unknown = [s for s in suppliers if not s.share and s.status == "in use"]
    left = max(1.0 - sum(known.values()), 0.0)
    out: dict[str, float] = {}
    for supplier in suppliers:
        part = known.get(supplier.name, left / len(unknown) if supplier in unknown else 0.0)
        out[supplier.country] = out.get(supplier.country, 0.0) + part
    if not unknown and left > 0:
        out[REST] = left
    return out


def lithography_ceiling(inputs: Inputs) -> Ceiling:
    """What the scanners on 7 nm layers carry beside what is claimed, over the quarters of the run."""
    history = inputs.timeline.history
    scanners, carried = scanner_fleet(inputs)
    share = np.clip(inputs.now("immersion_share"), 0.0, 1.0)
    return Ceiling(scanners[:, history:], share, carried[:, history:], claimed_wafers(inputs)[:, history:])


def scanner_fleet(inputs: Inputs) -> tuple[Array, Array]:
    """Immersion scanners in China and the 7 nm wafers a month that those on such layers carry.

    Fleet dynamics with imports as far as the rules and licences let them in and their maker serves, domestic ones, and ageing where not served; the fleet of the end of 2023
    stands for the years before. Passes per wafer fall where EUV flows replace them. [samples, history + quarters]
    """
    history, service = inputs.timeline.history, served(inputs, "NL")
    arrivals = (inputs.all("immersion_imports") * inputs.all("scanner_licence") * service + inputs.all("domestic_immersion")) * QUARTER_S
    start = inputs.one("immersion_fleet")
    later = fleet(start, arrivals[:, history:], aged(inputs, service)[:, history:])
    scanners = np.concatenate([np.broadcast_to(start[:, None], (inputs.samples, history)), later], axis=1)
    rate = draw(catalog.number(SCANNER), SCANNER, inputs.samples, inputs.seed)[:, None] * 3600.0
    saved = inputs.all("euv_share") * inputs.one("euv_passes_saved")[:, None]
    passes = np.maximum(inputs.one("arfi_passes")[:, None] - saved, 1.0)
    working = scanners * np.clip(inputs.all("immersion_share"), 0.0, 1.0)
    return scanners, wafers_per_month(working, rate, inputs.one("litho_efficiency")[:, None], passes)


def companions(inputs: Inputs, name: str, claimed: Array) -> ToolClass:
    """Tools of a companion class over time: those that the claimed wafers need, times headroom, less what is lost.

    Each maker's part of the growth ships as far as the maker is served, and its installed tools age as far as it is not.
    Of the tools that do not come, home makers supply `domestic_tool_share`, and foreign makers still served
    `tool_resourcing` of the rest.
    """
    rate = inputs.one(f"rate_{name}")[:, None] * 3600.0
    efficiency = inputs.one("tool_efficiency")[:, None]
    steps = inputs.one("arfi_passes")[:, None] * inputs.one(f"steps_{name}")[:, None]
    growth = np.maximum(np.diff(claimed, axis=1, prepend=0.0), 0.0)
    service = {country: served(inputs, country) for country in makers(COMPANIONS[name])}
    have = _fleet_in_wafers(inputs, makers(COMPANIONS[name]), service, growth) * inputs.one(f"headroom_{name}")[:, None]
    return ToolClass(name, tools_needed(have, rate, efficiency, steps), rate, efficiency, steps)


def _fleet_in_wafers(inputs: Inputs, parts: Mapping[str, float], service: Mapping[str, Array], growth: Array) -> Array:
    """Wafers a month that a class carries, before headroom; growth [samples, history + quarters] begins with what stands."""
    if all(np.all(level == 1.0) for level in service.values()):
        return np.asarray(growth.cumsum(axis=1))
    have, missing, willing = np.zeros_like(growth), np.zeros_like(growth), np.zeros_like(growth)
    none, later = np.zeros(inputs.samples), np.arange(growth.shape[1]) > 0
    for country, part in parts.items():
        level = service[country]
        cut = part * growth * (1.0 - level) * later
        have += fleet(none, part * growth - cut, aged(inputs, level))
        missing += cut
        willing += part * level if country != "CN" else 0.0
    home = np.clip(inputs.all("domestic_tool_share"), 0.0, 1.0)
    others = np.clip(inputs.all("tool_resourcing"), 0.0, 1.0) * (willing > 0)
    return np.asarray(have + (missing * (home + (1.0 - home) * others)).cumsum(axis=1))


def tool_limits(inputs: Inputs) -> ToolLimits:
    """The least of the tool classes beside the wafers claimed: `wafers = min(claimed, min over classes)`."""
    claimed = claimed_wafers(inputs)
    scanners, carried = scanner_fleet(inputs)
    classes = [companions(inputs, name, claimed) for name in COMPANIONS]
    working = scanners * np.clip(inputs.all("immersion_share"), 0.0, 1.0)
    capacity = {"lithography": carried} | {c.name: c.wafers_per_month() for c in classes}
    limit, least, _ = tool_limit(capacity)
    tools = {"lithography": working} | {c.name: np.asarray(c.tools, float) for c in classes}
    return ToolLimits(claimed, capacity, tools, limit, least)
