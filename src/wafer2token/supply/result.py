"""The result of a supply run: every array with its unit, what binds, and how it was made."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.evidence.errors import InputError, unknown
from wafer2token.supply.door import STAGES
from wafer2token.supply.engine import Packaging, Supplies, lag_quarters
from wafer2token.supply.fleet import BASES, MAKERS, PATHWAYS, Key, Worth, owner_shares
from wafer2token.supply.inputs import Inputs
from wafer2token.supply.timeline import QUARTER_S, Timeline
from wafer2token.supply.tools import CLASSES, ToolLimits

Array = NDArray[np.float64]
VIEWS = ("chip", "pathway", "owner", "maker")


@dataclass(frozen=True)
class SupplyResult:
    """One run: samples x quarters, deliveries and fleets by (chip, pathway), stocks, yields, the binding stage.

    ``result[name]`` is one named array [samples, quarters]; ``result.units_of`` has its unit; ``names`` lists them.
    """

    scenario: str
    title: str
    seed: int
    fingerprint: str
    inputs: Inputs = field(repr=False)
    limits: ToolLimits = field(repr=False)
    arriving: Supplies = field(repr=False)
    packaging: Packaging = field(repr=False)
    others: Mapping[str, Array] = field(repr=False)
    delivered: Mapping[Key, Array] = field(repr=False)
    fleet: Mapping[Key, Array] = field(repr=False)
    worths: Mapping[str, Worth] = field(repr=False)
    power: Array = field(repr=False)
    given: tuple[str, ...] = ()
    effective_samples: float = float("nan")

    @property
    def nature(self) -> str:
        """What the samples are: a prior predictive, or a posterior given named observations."""
        if not self.given:
            return f"prior predictive, {self.samples:,} samples"
        return f"posterior given {', '.join(self.given)}, {self.effective_samples:,.0f} effective samples"

    @property
    def timeline(self) -> Timeline:
        return self.inputs.timeline

    @property
    def quarters(self) -> tuple[str, ...]:
        return self.timeline.labels

    @property
    def samples(self) -> int:
        return self.inputs.samples

    @property
    def stages(self) -> tuple[str, ...]:
        return STAGES

    @property
    def binding(self) -> NDArray[np.int8]:
        """Index into ``stages`` of what binds Huawei's packaging, [samples, quarters]."""
        return self.packaging.binding

    @property
    def binding_share(self) -> dict[str, Array]:
        """Share of samples in which each stage binds, by quarter."""
        return {stage: np.asarray((self.binding == i).mean(axis=0)) for i, stage in enumerate(STAGES)}

    @cached_property
    def dies_held_by(self) -> dict[str, Array]:
        """Share of samples in which dies bind and the wafers behind them, a lag before, were held by a tool class, by
        quarter; what is left of the share of dies is the capacity claimed, its split and its yield."""
        lag = np.round(lag_quarters(self.inputs)).astype(int)
        columns = self.timeline.history + np.arange(len(self.quarters))[None, :] - lag[:, None]
        rows = np.arange(self.samples)[:, None]
        held = self.limits.binds[rows, columns] & (self.binding == STAGES.index("dies"))
        return {name: np.asarray((held & (self.limits.least[rows, columns] == i)).mean(axis=0)) for i, name in enumerate(CLASSES)}

    @cached_property
    def _arrays(self) -> dict[str, tuple[Array, str]]:
        return dict(_named(self))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._arrays)

    @property
    def units_of(self) -> dict[str, str]:
        return {name: unit for name, (_, unit) in self._arrays.items()}

    def __getitem__(self, name: str) -> Array:
        if name not in self._arrays:
            raise InputError(unknown("result of the supply model", name, list(self._arrays)))
        return self._arrays[name][0]

    def by(self, view: str = "chip", what: str = "units", basis: str = "bf16") -> dict[str, Array]:
        """Deliveries ("units"), chips in service ("fleet") or their worth ("h100e") by chip, pathway, owner or maker.

        What is rented abroad has no chips here; it shows in the worth by pathway only.
        """
        if view not in VIEWS:
            raise InputError(unknown("view", view, VIEWS))
        source = self.delivered if what == "units" else self.fleet
        out: dict[str, Array] = {}
        for (chip, pathway), units in source.items():
            value = units * self.worths[chip].on(basis)[:, None] if what == "h100e" else units
            if view == "owner":
                for owner, share in owner_shares(self.inputs, pathway).items():
                    out[owner] = out.get(owner, 0.0) + value * share
                continue
            group = {"chip": chip, "pathway": pathway, "maker": MAKERS[chip]}[view]
            out[group] = out.get(group, 0.0) + value
        if view == "pathway" and what == "h100e":
            out["rented"] = self.inputs.now("rented_h100e")
        return out

    def yearly(self, name: str) -> dict[int, Array]:
        """A flow summed over each whole calendar year of the run, [samples]."""
        array = self[name]
        return {y: array[:, self.timeline.year(y)].sum(axis=1) for y in self.timeline.years
                if self.timeline.year(y).stop <= array.shape[1]}  # fmt: skip

    def quantiles(self, name: str, levels: tuple[float, ...] = (0.05, 0.5, 0.95)) -> Array:
        """Quantiles by quarter, [levels, quarters]."""
        return np.asarray(np.quantile(self[name], levels, axis=0))

    def rows(self, view: str = "chip", what: str = "units") -> list[dict[str, Any]]:
        """One row per quarter: p5, p50, p95 by view (see `by`), the stage that binds most often, and the assumed inputs that move
        the Ascend chips of the quarter."""
        from wafer2token.supply.drivers import rests_on

        shares, assumed = self.binding_share, rests_on(self)
        groups = self.by(view, what)
        rows = []
        for q, label in enumerate(self.quarters):
            stage = max(shares, key=lambda s: float(shares[s][q]))
            row: dict[str, Any] = {"quarter": label}
            for group, units in groups.items():
                p5, p50, p95 = np.quantile(units[:, q], (0.05, 0.5, 0.95))
                row |= {f"{group}.p5": float(p5), f"{group}.p50": float(p50), f"{group}.p95": float(p95)}
            rows.append(row | {"binds": stage, "binds_share": float(shares[stage][q]), "assumed": " ".join(assumed[q])})
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain data: quantiles by quarter of every named array, binding shares, how it was made."""
        series = {
            name: {"unit": unit, **{f"p{round(level * 100)}": values for level, values in
                   zip((0.05, 0.5, 0.95), self.quantiles(name).tolist(), strict=True)}}
            for name, (_, unit) in self._arrays.items()
        }  # fmt: skip
        return {
            "kind": "supply",
            "likelihood": ", ".join(self.given) or "none: a prior predictive",
            "nature": self.nature,
            "scenario": self.scenario,
            "title": self.title,
            "seed": self.seed,
            "samples": self.samples,
            "quarters": list(self.quarters),
            "stages": list(STAGES),
            "binding_share": {stage: share.tolist() for stage, share in self.binding_share.items()},
            "dies_held_by": {name: share.tolist() for name, share in self.dies_held_by.items()},
            "series": series,
            "set": dict(self.inputs.changed),
            "assumed_inputs": [name for name, card in self.inputs.cards.items() if card.value.grade == "assumed"],
            "data_fingerprint": self.fingerprint,
        }

    def to_csv(self, view: str = "chip", what: str = "units") -> str:
        """`rows` as text, one line per quarter."""
        rows = self.rows(view, what)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=1)


def _named(result: SupplyResult) -> Iterator[tuple[str, tuple[Array, str]]]:
    """Every named array of a result with its unit."""
    huawei = [chip for chip, maker in MAKERS.items() if maker == "Huawei"]
    per = "chip/quarter"
    for chip, units in result.by("chip").items():
        yield f"units.{chip}", (units, per)
    for pathway, units in result.by("pathway").items():
        yield f"units.pathway.{pathway}", (units, per)
    ascend = np.asarray(sum(result.by("chip")[chip] for chip in huawei))
    yield "units.ascend", (ascend, per)
    yield "units.domestic", (np.asarray(sum(u for (_, p), u in result.delivered.items() if p in PATHWAYS[:2])), per)
    for chip, units in result.by("chip", "fleet").items():
        yield f"fleet.{chip}", (units, "chip")
    for basis in BASES:
        total = np.asarray(sum(result.by("chip", "h100e", basis).values()))
        yield f"h100e.{basis}", (total, "h100e")
        yield f"h100e.usable.{basis}", (total + result.inputs.now("rented_h100e"), "h100e")
    yield "power", (result.power, "W")
    yield "energy", (result.power * QUARTER_S, "J/quarter")
    history = result.timeline.history
    for use, wafers in result.arriving.wafers.items():
        yield f"wafers.{use}", (wafers[:, history:], "wafer/quarter")
    for name, carried in result.limits.carried.items():
        yield f"tools.carry.{name}", (carried[:, history:], "wafer/month")
        yield f"tools.{name}", (result.limits.tools[name][:, history:], "tool")
    for kind, dies in result.arriving.dies.items():
        yield f"dies.arriving.{kind}", (dies, "die/quarter")
    for source, stacks in result.arriving.stacks.items():
        yield f"stacks.arriving.{source}", (stacks, "stack/quarter")
    node, packed = result.arriving.yields, result.packaging
    for name in ("full_910b", "prime_910b", "usable_910b", "usable_950", "kirin"):
        yield f"yield.{name}", (getattr(node, name)[:, history:], "1")
    yield "density", (node.density[:, history:], "1/m^2")
    yield "dies.stock.bank", (packed.stock_bank, "die")
    yield "dies.stock.ascend_910", (packed.stock_910, "die")
    yield "dies.stock.ascend_950", (packed.stock_950, "die")
    yield "stacks.stock", (packed.stock_stacks, "stack")
    for pool, stacks in packed.stacks_by_generation.items():
        yield f"stacks.stock.{pool}", (stacks, "stack")
    yield "dies.used", (np.asarray(sum(packed.dies_used.values())), "die/quarter")
    yield "starts.950", (packed.starts_950, "package/quarter")
    yield "starts.910", (packed.starts_pairs, "package/quarter")
