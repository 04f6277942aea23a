"""Where the silicon and the stacks of a year went: links of a Sankey diagram, conserved at every node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wafer2token.supply.engine import delayed, lag_quarters
from wafer2token.supply.result import SupplyResult


@dataclass(frozen=True)
class Link:
    """A flow from one node to another over a year, mean over samples (means add up, medians do not)."""

    source: str
    target: str
    value: float
    unit: str


def silicon(result: SupplyResult, year: int) -> list[Link]:
    """Huawei's dies from wafers and bank to chips, scrap and stock, in dies of a calendar year.

    Dies of SMIC wafers count gross when they leave the fab line and arrive after the lag, so wafers of the year before.
    """
    columns = result.timeline.year(year)
    arriving, packed, node = result.arriving, result.packaging, result.arriving.yields

    def total(array: object) -> float:
        return float(np.asarray(array)[:, columns].sum(axis=1).mean())

    lag, history = lag_quarters(result.inputs), result.timeline.history
    gross = total(delayed(arriving.wafers["ascend_910"] * node.gross_910b[:, None], lag, history)) + total(
        delayed(arriving.wafers["ascend_950"] * node.gross_950[:, None], lag, history)
    )
    good = total(arriving.dies["ascend_910"]) + total(arriving.dies["ascend_950"])
    bank, used = total(arriving.dies["bank"]), total(sum(packed.dies_used.values()))
    won = total(sum(packed.dies_won.values()))
    per_chip = {"ascend_910b1": 1.0, "ascend_910c": 2.0, "ascend_950pr": 2.0, "ascend_950dt": 2.0}
    chips = {chip: per_chip[chip] * total(units) for chip, units in result.by("chip").items() if chip in per_chip}
    change = good + bank + won - used
    links = [
        Link("gross dies of Chinese wafers", "scrapped dies", gross - good, "die"),
        Link("gross dies of Chinese wafers", "good dies", good, "die"),
        Link("die bank", "good dies", bank, "die"),
        Link("good dies", "packaging", used, "die"),
        *(Link("packaging", chip, dies, "die") for chip, dies in chips.items()),
        Link("packaging", "scrapped packages", used - sum(chips.values()) - won, "die"),
        Link("packaging", "won back", won, "die"),
        Link("won back", "good dies", won, "die"),
    ]
    stock = Link("good dies", "into stock", change, "die") if change >= 0 else Link("out of stock", "good dies", -change, "die")
    return [link for link in [*links, stock] if link.value > 0.5]


def stacks(result: SupplyResult, year: int) -> list[Link]:
    """Huawei's HBM stacks by source into packages and stock, in stacks of a calendar year."""
    columns = result.timeline.year(year)
    packed = result.packaging

    def total(array: object) -> float:
        return float(np.asarray(array)[:, columns].sum(axis=1).mean())

    sources = {name: total(flow) for name, flow in result.arriving.stacks.items()}
    used, won = total(packed.stacks_used), total(packed.stacks_won)
    change = sum(sources.values()) + won - used
    links = [Link(f"{name} stacks", "stacks", value, "stack") for name, value in sources.items()]
    links += [Link("won back", "stacks", won, "stack"), Link("stacks", "packaging", used, "stack")]
    links.append(Link("stacks", "into stock", change, "stack") if change >= 0 else Link("out of stock", "stacks", -change, "stack"))
    return [link for link in links if link.value > 0.5]
