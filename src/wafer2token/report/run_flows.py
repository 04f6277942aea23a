"""The Sankey of a run: dies through the chain, as nodes and links that balance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wafer2token import catalog
from wafer2token.report.names import name_of
from wafer2token.report.words import plain

Node = dict[str, Any]


def chain_flow(flows: Mapping[str, float], tokens_per_chip: float | None) -> tuple[list[Node], list[Node]]:
    """Nodes and links of one year's mean flows, in compute dies.

    ``flows`` holds a year's sums of the supply run's named arrays and the mean yields; stocks balance what the year
    adds and what it uses.
    """
    new = {kind: flows.get(f"dies.arriving.{kind}", 0.0) for kind in ("ascend_910", "ascend_950")}
    scrap = sum(
        new[k] * (1 / max(flows.get(f"yield.{y}", 1.0), 1e-9) - 1)
        for k, y in (("ascend_910", "usable_910b"), ("ascend_950", "usable_950"))
    )
    chips = {k.removeprefix("units."): v for k, v in flows.items() if k.startswith("units.ascend_") and v > 0}
    in_chips = {chip: n * dies_of(chip) for chip, n in chips.items()}
    started = 2 * flows.get("starts.910", 0.0) + flows.get("starts.950", 0.0) * dies_of("ascend_950pr")
    lost = max(started - sum(in_chips.values()), 0.0)
    used = sum(in_chips.values()) + lost
    usable = sum(new.values())
    bank = flows.get("dies.arriving.bank", 0.0)
    from_stock = max(used - usable - bank, 0.0)
    kept = max(usable + bank - used, 0.0)
    wafers = sum(flows.get(f"wafers.{kind}", 0.0) for kind in new)
    nodes: list[Node] = [
        {"name": "wafers for Ascend", "kind": "flow", "text": f"{plain(wafers)} wafers started"},
        {"name": "dies leaving the fab", "kind": "flow", "text": f"{plain(usable + scrap)} dies"},
        {"name": "scrapped dies", "kind": "loss", "text": plain(scrap)},
        {"name": "usable dies", "kind": "flow", "text": plain(usable + bank + from_stock)},
        {"name": "lost in packaging", "kind": "loss", "text": plain(lost)},
        {"name": "chips", "kind": "flow", "text": f"{plain(sum(chips.values()))} chips"},
    ]
    links = [("wafers for Ascend", "dies leaving the fab", usable + scrap if wafers else 0.0),
             ("dies leaving the fab", "usable dies", usable), ("dies leaving the fab", "scrapped dies", scrap),
             ("usable dies", "lost in packaging", lost), ("usable dies", "chips", sum(in_chips.values()))]  # fmt: skip
    for name, kind, value, inward in (("foreign dies arriving", "outside", bank, True), ("dies from stock", "stock", from_stock, True),
                                      ("kept for later", "stock", kept, False)):  # fmt: skip
        if value > 0:
            nodes.append({"name": name, "kind": kind, "text": plain(value)})
            links.append((name, "usable dies", value) if inward else ("usable dies", name, value))
    if not wafers:
        nodes = nodes[1:]
    for chip, dies in in_chips.items():
        nodes.append({"name": name_of(chip), "kind": "use", "text": f"{plain(chips[chip])} chips"})
        links.append(("chips", name_of(chip), dies))
    if tokens_per_chip and "ascend_910c" in chips:
        tokens = chips["ascend_910c"] * tokens_per_chip
        nodes.append({"name": "tokens", "kind": "use", "text": f"{plain(tokens)} tokens/s"})
        links.append((name_of("ascend_910c"), "tokens", in_chips["ascend_910c"]))
    return nodes, [{"source": a, "target": b, "value": v} for a, b, v in links if v > 0]


def dies_of(chip: str) -> float:
    """Compute dies per chip as the card says."""
    number = catalog.get("chip", chip).compute_dies
    return float(number) if number is not None else 1.0
