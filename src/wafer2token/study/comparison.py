"""Two chips or systems side by side: what each has, what it costs, what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wafer2token import catalog
from wafer2token.evidence.errors import EvidenceError
from wafer2token.study import economics
from wafer2token.study.graph import Array, Graph
from wafer2token.study.scenario import entity

LIFE, PUE, ENERGY = "study.economics.life", "study.economics.pue", "study.economics.energy_price"


@dataclass(frozen=True)
class Measure:
    """One row of a comparison; ``more_is_better`` None where neither side wins by it."""

    key: str
    label: str
    unit: str
    more_is_better: bool | None


MEASURES = (
    Measure("chips", "chips", "chip", None),
    Measure("peak_bf16", "peak dense bf16", "FLOP/s", True),
    Measure("peak_fp8", "peak dense fp8", "FLOP/s", True),
    Measure("peak_int8", "peak dense int8", "OP/s", True),
    Measure("achieved_bf16", "large bf16 matrix product", "FLOP/s", True),
    Measure("memory", "memory", "B", True),
    Measure("bandwidth", "memory bandwidth", "B/s", True),
    Measure("balance", "peak bf16 per byte", "FLOP/B", None),
    Measure("scale_up", "scale-up link per chip", "B/s", True),
    Measure("power", "power", "W", False),
    Measure("price", "price", "USD", False),
    Measure("flops_per_watt", "peak bf16 per watt", "FLOP/s/W", True),
    Measure("usd_per_peak", "price per peak PFLOP/s", "USD", False),
    Measure("usd_per_exaflop_h", "cost per peak EFLOP-h", "USD", False),
    Measure("usd_per_effective", "cost per effective EFLOP-h", "USD", False),
)


def multiply(count: Array, each: Array) -> Array:
    """Count times the value of each."""
    return count * each


def divide(amount: Array, per: Array) -> Array:
    """One over the other."""
    return amount / per


def per_petaflop(price: Array, peak: Array) -> Array:
    """Price per PFLOP/s of peak [USD]."""
    return price / peak * 1e15


def eflop_hour(cost: Array, rate: Array) -> Array:
    """Cost of 1 EFLOP/s for one hour (3.6e21 operations) on hardware that costs ``cost`` USD/s and does ``rate`` FLOP/s."""
    return np.asarray(economics.cost_per_flop(cost, rate) * 3.6e21)


def add_entity(graph: Graph, name: str) -> str:
    """Adds all that is known of a chip or system under ``compare.<id>.``; returns the id.

    A system's compute and memory are its chips' (one draw for both, so that a contested peak stays one peak);
    its power and price are its own where a source gives them.
    """
    kind, card = entity(name)
    prefix = f"compare.{card.id}"
    if f"{prefix}.chips" in graph.quantities:
        return str(card.id)
    chip = catalog.get("chip", card.chip) if kind == "system" and card.chip else card if kind == "chip" else None
    if chip is None:
        raise EvidenceError(f"{card.id}: a mixed system has no single chip to compare by; compare its chips")
    _add_counts(graph, prefix, kind, card)
    for key, path in _paths(chip):
        leaf = graph.leaf(f"chip.{chip.id}.{path}")
        unit = graph.quantities[leaf].unit
        if key == "scale_up":
            graph.add(f"{prefix}.{key}", unit, np.copy, "as the card says", a=leaf)
        else:
            graph.add(f"{prefix}.{key}", unit, multiply, "chips times each", count=f"{prefix}.chips", each=leaf)
    if kind == "system":
        for key in ("power", "price"):
            if getattr(card, key) is not None:
                graph.quantities.pop(f"{prefix}.{key}", None)
                leaf = graph.leaf(f"system.{card.id}.{key}")
                graph.add(f"{prefix}.{key}", graph.quantities[leaf].unit, np.copy, "of the whole system", a=leaf)
    _add_achieved(graph, prefix, chip.id)
    _add_ratios(graph, prefix)
    return str(card.id)


def _add_counts(graph: Graph, prefix: str, kind: str, card: Any) -> None:
    if kind == "system" and card.count is not None:
        graph.add(f"{prefix}.chips", "chip", np.copy, "chips in the system", a=graph.leaf(f"system.{card.id}.count"))
    else:
        graph.add(f"{prefix}.chips", "chip", lambda: np.ones(graph.samples), "one chip")


def _paths(chip: Any) -> list[tuple[str, str]]:
    """(measure, path on the chip card) of every figure that the card has."""
    known = {path for path, _ in chip.numbers()}
    wanted = [
        ("peak_bf16", ("peak.bf16", "peak.fp16")),
        ("peak_fp8", ("peak.fp8",)),
        ("peak_int8", ("peak.int8",)),
        ("memory", ("memory.capacity",)),
        ("bandwidth", ("memory.bandwidth",)),
        ("scale_up", ("scale_up_bandwidth",)),
        ("power", ("tdp",)),
        ("price", ("price",)),
    ]
    return [(key, hit) for key, paths in wanted if (hit := next((p for p in paths if p in known), None))]


def _add_achieved(graph: Graph, prefix: str, chip_id: str) -> None:
    """What a large bf16 matrix product (8192 x 8192 x 8192) reaches, from the kernel model."""
    from wafer2token.chip import accelerator, matmul_time

    if f"{prefix}.peak_bf16" not in graph.quantities:
        return
    edge = 8192

    def run() -> dict[str, tuple[Any, str]]:
        unit = accelerator(chip_id, samples=graph.samples, seed=graph.seed)
        return {"achieved_bf16": (2.0 * edge**3 / matmul_time(unit, edge, edge, edge, dtype="bf16"), "FLOP/s")}

    each = f"chip_model.{chip_id}"
    if f"{each}.achieved_bf16" not in graph.quantities:
        graph.engine(each, run, "an 8192 x 8192 x 8192 matrix product in bf16 by the kernel model")
    graph.add(
        f"{prefix}.achieved_bf16",
        "FLOP/s",
        multiply,
        "chips times each",
        count=f"{prefix}.chips",
        each=f"{each}.achieved_bf16",
    )


def _add_ratios(graph: Graph, prefix: str) -> None:
    def both(*keys: str) -> bool:
        return all(f"{prefix}.{k}" in graph.quantities for k in keys)

    def name(key: str) -> str:
        return f"{prefix}.{key}"

    if both("peak_bf16", "bandwidth"):
        graph.add(name("balance"), "FLOP/B", divide, amount=name("peak_bf16"), per=name("bandwidth"))
    if both("peak_bf16", "power"):
        graph.add(name("flops_per_watt"), "FLOP/s/W", divide, amount=name("peak_bf16"), per=name("power"))
    if both("peak_bf16", "price"):
        graph.add(name("usd_per_peak"), "USD", per_petaflop, price=name("price"), peak=name("peak_bf16"))
    if both("price", "power"):
        life, pue, energy = (graph.leaf(n) for n in (LIFE, PUE, ENERGY))
        graph.add(
            name("cost_rate"),
            "USD/s",
            economics.cost_rate,
            price=name("price"),
            power=name("power"),
            life=life,
            pue=pue,
            energy_price=energy,
        )
        if both("peak_bf16"):
            graph.add(name("usd_per_exaflop_h"), "USD", eflop_hour, cost=name("cost_rate"), rate=name("peak_bf16"))
        if both("achieved_bf16"):
            graph.add(name("usd_per_effective"), "USD", eflop_hour, cost=name("cost_rate"), rate=name("achieved_bf16"))


def ratio(graph: Graph, key: str, a: str, b: str) -> str | None:
    """Adds a's value over b's for one measure; None where one of the two is not known."""
    left, right = f"compare.{a}.{key}", f"compare.{b}.{key}"
    if left not in graph.quantities or right not in graph.quantities:
        return None
    name = f"compare.{a}_over_{b}.{key}"
    if name in graph.quantities:
        return name
    return graph.add(name, "1", divide, f"{a} over {b}", amount=left, per=right)
