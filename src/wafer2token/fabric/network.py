"""The fabric of a system: tiers of links, what they reach, and how many ranks they join."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wafer2token.catalog import all_cards, get
from wafer2token.evidence.errors import EvidenceError, InputError, Problem
from wafer2token.evidence.number import Number
from wafer2token.fabric.collectives import TierFit
from wafer2token.fabric.experts import ExpertFit

Array = npt.NDArray[np.float64]
Value = float | Array


@dataclass(frozen=True)
class Tier:
    """One level of links.

    Attributes:
        name: "scale_up" or "scale_out".
        size: ranks that it joins (infinite for a routed network).
        bandwidth: per rank and direction [B/s].
        latency: of one message [s].
        oversubscription: factor by which the uplinks are thinner than the sum of the links.
        mesh: whether ranks are joined pair by pair (full mesh): a group then uses only the links inside it.
        fit: fitted parameters of collectives.
        experts: fitted parameters of expert exchange.
        card: id of the calibration card.
        basis: "calibrated" on this fabric, or "inherited" from a class.
        low, high: 10th and 90th percentile of ln(measured / predicted).
        bias: standard deviation of the systematic error, as a logarithm.
    """

    name: str
    size: float
    bandwidth: Value
    latency: float
    oversubscription: float
    mesh: bool
    fit: TierFit
    experts: ExpertFit
    card: str
    basis: str
    low: float
    high: float
    bias: float


@dataclass(frozen=True)
class Fabric:
    """The links of a system, seen from one rank (a chip, or a die of it).

    Attributes:
        id, name: of the system card (or of the chip's card).
        chip: chip id.
        per: what a rank is, "chip" or "die".
        ranks: in the whole system (infinite for a chip without a system).
        node: ranks that share a host.
        scale_up, scale_out: the tiers.
        eager: seconds that a collective takes longer when the host launches it instead of a captured graph.
        samples: number of samples, None for the central case.
        scale: factor on all times: the draw of the systematic error.
    """

    id: str
    name: str
    chip: str
    per: Literal["chip", "die"]
    ranks: float
    node: int
    scale_up: Tier
    scale_out: Tier
    eager: float
    samples: int | None = None
    scale: Value = 1.0

    @property
    def pair_bandwidth(self) -> Value:
        """Bandwidth from one rank to one other inside the scale-up domain [B/s]."""
        return self.scale_up.bandwidth / (self.scale_up.size - 1.0) if self.scale_up.mesh else self.scale_up.bandwidth

    @property
    def tiers(self) -> tuple[Tier, Tier]:
        """Both tiers, the inner first."""
        return self.scale_up, self.scale_out

    def shared(self, flows: float) -> Fabric:
        """The same fabric when ``flows`` equal collectives use every link at the same time."""
        if not flows >= 1:
            raise InputError(Problem("fewer than one flow", "flows", flows, "1 or more"))
        thinner = [replace(t, bandwidth=t.bandwidth / flows) for t in self.tiers]
        return replace(self, scale_up=thinner[0], scale_out=thinner[1])


def fabric(
    system_or_chip_id: str, samples: int | None = None, seed: int = 0, per: Literal["chip", "die"] = "chip",
    oversubscription: float = 1.0,
) -> Fabric:  # fmt: skip
    """The fabric of a system card, or of the smallest system that carries a chip.

    Args:
        system_or_chip_id: id or alias of a system, else of a chip.
        samples: draw this many samples of bandwidths and systematic errors; None for the central case.
        seed: of the samples.
        per: what a rank is: a chip, or one die of it.
        oversubscription: of the scale-out network (1: full bisection).

    Raises:
        InputError: unknown id.
        EvidenceError: no scale-up bandwidth is known.
    """
    system, chip = _cards(system_or_chip_id)
    return from_cards(system, chip, samples, seed, per, oversubscription)


def _cards(name: str) -> tuple[Any, Any]:
    try:
        system = get("system", name)
    except InputError as unknown_system:
        try:
            chip = get("chip", name)
        except InputError:
            raise unknown_system from None
        carrying = [s for s in all_cards("system").values() if chip.id in (s.chip, *s.chip_alternatives) and s.count]
        return min(carrying, key=lambda s: (s.status != "shipped", float(s.count)), default=None), chip
    if not system.chip:
        raise EvidenceError(f"{system.name} ({system.id}) mixes chips: name one of its parts") from None
    return system, get("chip", system.chip)


def from_cards(
    system: Any, chip: Any, samples: int | None = None, seed: int = 0, per: Literal["chip", "die"] = "chip",
    oversubscription: float = 1.0,
) -> Fabric:  # fmt: skip
    """`fabric` for cards in hand; ``system`` may be None."""
    dies = round(float(chip.compute_dies)) if chip.compute_dies else 1
    share = 1.0 / dies if per == "die" else 1.0
    owner = system or chip

    def value(number: Number, path: str) -> Value:
        if samples is None:
            return float(number) * share
        from wafer2token.evidence.sampling import draw

        return draw(number, f"fabric.{owner.id}.{path}", samples, seed) * share

    up = getattr(system, "scale_up_bandwidth", None) or chip.scale_up_bandwidth
    if up is None:
        raise EvidenceError(f"no scale-up bandwidth is known of {owner.name} ({owner.id})")
    node = float(system.chips_per_node) if system is not None and system.chips_per_node else 8.0
    domain = float(system.scale_up_domain) if system is not None and system.scale_up_domain else node
    out = _scale_out(system, chip, node)
    tiers = [
        _tier("scale_up", chip, domain / share, value(up, "scale_up_bandwidth"), 1.0, _is_mesh(system)),
        _tier("scale_out", chip, math.inf, value(out, "scale_out_bandwidth") if out else 0.0, oversubscription, False),
    ]
    return Fabric(
        owner.id, owner.name, chip.id, per,
        ranks=float(system.count) / share if system is not None and system.count else math.inf,
        node=round(node / share), scale_up=tiers[0], scale_out=tiers[1],
        eager=float(get("calibration", "class_any_collective_eager").times["eager"]), samples=samples,
        scale=1.0 if samples is None else _lognormal(tiers[0].bias, owner.id, samples, seed),
    )  # fmt: skip


def _scale_out(system: Any, chip: Any, node: float) -> Number | None:
    """Scale-out bandwidth per chip: of the system, its share of the node's, or the chip card's."""
    own = getattr(system, "scale_out_bandwidth", None)
    if own is not None:
        return own  # type: ignore[no-any-return]
    per_node: Number | None = getattr(system, "scale_out_per_node", None)
    if per_node is not None:
        return replace(per_node, low=per_node.low / node, mid=per_node.mid / node, high=per_node.high / node)
    return chip.scale_out_bandwidth  # type: ignore[no-any-return]


def _is_mesh(system: Any) -> bool:
    topology = getattr(system, "topology", None)
    return topology is not None and str(topology.value).startswith("full mesh")


def _tier(name: str, chip: Any, size: float, bandwidth: Value, oversubscription: float, mesh: bool) -> Tier:
    card, basis = _fit_card(name, chip.id, chip.vendor)
    given = {k: float(v) for group in (card.times, card.ratios) for k, v in group.items()}
    given.setdefault("switch_latency", math.inf)
    fit = TierFit(**{f.name: given[f.name] for f in fields(TierFit)})
    experts, _ = _fit_card(f"experts_{name}", chip.id, chip.vendor)
    exchange = {k: float(v) for group in (experts.times, experts.ratios) for k, v in group.items()}
    residual = card.fit
    low, high, bias = (
        (float(residual.low), float(residual.high), float(residual.bias)) if residual else (-0.4, 0.4, 0.4)
    )
    return Tier(
        name,
        size,
        bandwidth,
        given.get("latency", fit.launch),
        oversubscription,
        mesh,
        fit,
        ExpertFit(**exchange),
        card.id,
        basis,
        low,
        high,
        bias,
    )


@cache
def _fit_card(tier: str, chip: str, vendor: str) -> tuple[Any, str]:
    """The calibration card of a tier: of the chip's fabric, else of its vendor's class, else of any."""
    cards = [c for c in all_cards("calibration").values() if c.family == tier]
    for target, basis in ((chip, "calibrated"), (_CLASS.get(vendor, "any"), "inherited"), ("any", "inherited")):
        for card in cards:
            if card.target == target:
                return card, basis
    raise EvidenceError(f"no calibration of {tier} links for {chip}, nor for its class")


_CLASS = {"NVIDIA": "cuda", "Huawei HiSilicon": "cann", "AMD": "rocm"}


def _lognormal(sd: float, name: str, n: int, seed: int) -> Array:
    from scipy.special import ndtri

    from wafer2token.evidence.sampling import quantiles

    return np.asarray(np.exp(sd * ndtri(quantiles(f"fabric.{name}.bias", n, seed))))
