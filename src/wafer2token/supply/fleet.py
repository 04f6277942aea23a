"""Chips delivered by pathway, chips in service, what they amount to in H100s, and the power they draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wafer2token import catalog
from wafer2token.evidence.number import Number
from wafer2token.evidence.sampling import draw
from wafer2token.supply.dies import NodeYield
from wafer2token.supply.engine import Packaging, Survival, imported
from wafer2token.supply.inputs import Inputs
from wafer2token.supply.timeline import QUARTER_S

Array = NDArray[np.float64]
PATHWAYS = ("domestic", "proxy_fab", "licensed", "smuggled", "rented")
BASES = ("bf16", "8bit", "bandwidth")
REFERENCE = "h100_sxm"
MAKERS = {
    "ascend_910": "Huawei",
    "ascend_910b1": "Huawei",
    "ascend_910c": "Huawei",
    "ascend_950pr": "Huawei",
    "ascend_950dt": "Huawei",
    "mlu590": "Cambricon",
    "hygon_k100_ai": "Hygon",
    "h20": "NVIDIA",
    "h200_sxm": "NVIDIA",
    "h100_sxm": "NVIDIA",
    "a800_sxm": "NVIDIA",
    "h800_sxm": "NVIDIA",
}
Key = tuple[str, str]
EARLIER = {
    ("a800_sxm", "licensed"): ("a800_stock", -3),
    ("h800_sxm", "licensed"): ("h800_stock", -3),
    ("ascend_910", "domestic"): ("ascend_910_stock", -8),
    ("ascend_910b1", "domestic"): ("ascend_910b_stock", -2),
}
"""(chip, pathway) -> the input that counts it before 2024, and the quarter of the history in which it stands as delivered."""


def deliveries(inputs: Inputs, packaged: Packaging, others: Mapping[str, Array]) -> dict[Key, Array]:
    """Chips delivered per quarter by (chip, pathway), [samples, quarters].

    A 950 on HiZQ stacks is a 950DT, else a 950PR. A package of bank dies counts as proxy_fab, in the proportion in which bank dies were used that quarter.
    """
    attach, singles = inputs.now("attach_yield"), np.clip(inputs.now("share_910b"), 0.0, 1.0)
    single_units = packaged.starts_pairs * singles * 2.0 * np.sqrt(attach)
    dual_units = packaged.starts_pairs * (1.0 - singles) * attach
    arriving = imported(inputs)
    out: dict[Key, Array] = {}
    for chip, units in (("ascend_910b1", single_units), ("ascend_910c", dual_units)):
        out[chip, "domestic"] = units * (1.0 - packaged.from_bank)
        out[chip, "proxy_fab"] = units * packaged.from_bank
    newer = packaged.starts_950 * attach
    out["ascend_950pr", "domestic"] = newer * (1.0 - packaged.hizq_share)
    out["ascend_950dt", "domestic"] = newer * packaged.hizq_share
    out["mlu590", "domestic"] = others["cambricon.units"]
    out["hygon_k100_ai", "domestic"] = others["hygon.units"]
    out["h20", "licensed"] = arriving["h20"]
    out["h200_sxm", "licensed"] = arriving["h200_sxm"]
    out[REFERENCE, "licensed"] = arriving["frontier"]
    out[REFERENCE, "smuggled"] = arriving["smuggled"]
    zero = np.zeros_like(single_units)
    return out | dict.fromkeys((key for key in EARLIER if key not in out), zero)


def in_service(inputs: Inputs, delivered: Mapping[Key, Array]) -> dict[Key, Array]:
    """Chips in service at the end of each quarter by (chip, pathway): less failures and retirements.

    What came before the first quarter counts as delivered at once in the quarter that EARLIER names for it.
    """
    loss = 1.0 - np.exp(-inputs.now("attrition") * QUARTER_S)
    life = inputs.one("service_life") / QUARTER_S
    survival = Survival(loss, life, inputs.timeline.history)
    out = {}
    for key, units in delivered.items():
        earlier = np.zeros((inputs.samples, inputs.timeline.history))
        if key in EARLIER:
            stock, quarter = EARLIER[key]
            earlier[:, quarter] = inputs.one(stock)
        out[key] = survival.of(np.concatenate([earlier, units], axis=1))
    return out


def owner_shares(inputs: Inputs, pathway: str) -> dict[str, Array]:
    """Shares of a pathway's chips by owner, [samples, quarters]; they sum to 1, and what nobody counts is "others"."""
    named = {
        "licensed": {"bytedance": "bytedance_licensed", "tencent": "tencent_licensed"},
        "domestic": {"bytedance": "bytedance_domestic", "state and telecom": "state_domestic"},
        "proxy_fab": {"bytedance": "bytedance_domestic", "state and telecom": "state_domestic"},
    }.get(pathway, {})
    known = {owner: np.clip(inputs.now(name), 0.0, 1.0) for owner, name in named.items()}
    total = np.maximum(np.asarray(sum(known.values(), np.zeros((inputs.samples, inputs.timeline.count)))), 1.0)
    known = {owner: share / total for owner, share in known.items()}
    return known | {"others": 1.0 - np.asarray(sum(known.values(), np.zeros_like(total)))}


@dataclass(frozen=True)
class Worth:
    """What one chip is worth in H100s on three bases, and its rated power [W]; arrays [samples]."""

    bf16: Array
    eight_bit: Array
    bandwidth: Array
    power: Array

    def on(self, basis: str) -> Array:
        return {"bf16": self.bf16, "8bit": self.eight_bit, "bandwidth": self.bandwidth}[basis]


def worth(chip: str, samples: int, seed: int) -> Worth:
    """One chip against the H100 SXM: dense bf16 (fp16 where bf16 is not stated), best dense 8-bit (fp8 or int8, else
    its 16-bit rate), memory bandwidth; 0 where the card has no figure."""
    sixteen, eight, bandwidth, power = _rates(chip, samples, seed)
    per_sixteen, per_eight, per_bandwidth, _ = _rates(REFERENCE, samples, seed)
    return Worth(sixteen / per_sixteen, eight / per_eight, bandwidth / per_bandwidth, power)


BINS = {"ascend_910b1": "ascend_910b3", "ascend_910c": "ascend_910c_560t"}
"""The weaker bin of a chip, sold from dies with fewer good cores."""


def better_bin(packaged: Packaging, node: NodeYield, history: int) -> Array:
    """Share of the 910 dies packaged over the run that reach the better bin, [samples]: Chinese dies at their density,
    bank dies at a mature line's. Dual-die packages pair like with like."""
    now = slice(history, None)
    chinese = node.prime_910b[:, now] / np.maximum(node.usable_910b[:, now], 1e-12)
    mixed = packaged.from_bank * node.prime_bank[:, None] + (1.0 - packaged.from_bank) * chinese
    starts = packaged.starts_pairs
    total = starts.sum(axis=1)
    return np.asarray(np.where(total > 0, (mixed * starts).sum(axis=1) / np.where(total > 0, total, 1.0), 1.0))


def worths(inputs: Inputs, prime: Array) -> dict[str, Worth]:
    """Every chip against the H100; a chip with a weaker bin is the mean of both, by the share `prime` [samples]."""
    out = {chip: worth(chip, inputs.samples, inputs.seed) for chip in MAKERS}
    for chip, weaker in BINS.items():
        better, other = out[chip], worth(weaker, inputs.samples, inputs.seed)
        mixed = (prime * better.on(basis) + (1.0 - prime) * other.on(basis) for basis in BASES)
        out[chip] = Worth(next(mixed), next(mixed), next(mixed), better.power)
    return out


def _rates(chip: str, samples: int, seed: int) -> tuple[Array, Array, Array, Array]:
    card = catalog.get("chip", chip)

    def drawn(number: Number | None, path: str) -> Array:
        return np.zeros(samples) if number is None else draw(number, f"chip.{chip}.{path}", samples, seed)

    sixteen_name = "bf16" if "bf16" in card.peak else "fp16"
    sixteen = drawn(card.peak.get(sixteen_name), f"peak.{sixteen_name}")
    eight = [drawn(card.peak[name], f"peak.{name}") for name in ("fp8", "int8") if name in card.peak]
    bandwidth = drawn(card.memory.bandwidth, "memory.bandwidth")
    return sixteen, np.maximum.reduce([sixteen, *eight]), bandwidth, drawn(card.tdp, "tdp")


def electric_power(inputs: Inputs, fleet: Mapping[Key, Array], worths: Mapping[str, Worth]) -> Array:
    """Facility power of the fleet in China [W], [samples, quarters]: rated power x load x PUE."""
    rated = sum(units * worths[chip].power[:, None] for (chip, _), units in fleet.items())
    return np.asarray(rated * inputs.now("load") * inputs.now("pue"))
