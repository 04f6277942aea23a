"""``w2t collective``: one collective on one system, beside another system."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from wafer2token.evidence.errors import InfeasibleError, InputError, Problem
from wafer2token.fabric.network import Fabric, fabric
from wafer2token.fabric.timing import Span, collective_time


@dataclass(frozen=True)
class CollectiveOnSystem:
    """One collective on one system.

    Attributes:
        system, name: of the system (or chip) card.
        seconds, p10, p90: the prediction and its 80% interval [s].
        algorithm_bytes_per_s: message over time [B/s].
        bus_bytes_per_s: what each link carries, by the conventions of nccl-tests [B/s].
        link_bytes_per_s: rate of one rank's links in one direction [B/s].
        span: tiers used: "scale_up", "scale_out" or both.
        basis: "calibrated" on this fabric or "inherited".
        card: calibration card.
    """

    system: str
    name: str
    seconds: float
    p10: float
    p90: float
    algorithm_bytes_per_s: float
    bus_bytes_per_s: float
    link_bytes_per_s: float
    span: str
    basis: str
    card: str


@dataclass(frozen=True)
class CollectiveResult:
    """The result of ``collective``: one row per system, and the ratio of their times."""

    op: str
    bytes: float
    ranks: float
    systems: tuple[CollectiveOnSystem, ...]

    @property
    def ratio(self) -> float | None:
        """Time on the second system over time on the first."""
        return self.systems[1].seconds / self.systems[0].seconds if len(self.systems) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "ratio": self.ratio}


def collective(
    op: str, on: str, bytes: float, ranks: float, against: str | None = None, span: Span | None = None, flows: float = 1.0,
    per: str = "chip", oversubscription: float = 1.0, systems: float = 1.0,
) -> CollectiveResult:  # fmt: skip
    """How long one collective takes on a system.

    Args:
        op: all_reduce, all_gather, reduce_scatter, all_to_all, p2p or broadcast.
        on: id or alias of a system, or of a chip (then the smallest system that carries it).
        bytes: the whole message of a rank (nccl-tests convention) [B].
        ranks: that take part.
        against: a second system.
        span: force "scale_up" or "scale_out".
        flows: equal collectives that share the links at the same time.
        per: what a rank is, "chip" or "die".
        oversubscription: of the scale-out network.
        systems: how many such systems the scale-out network joins.

    Raises:
        InputError: unknown collective or system, sizes out of range.
        InfeasibleError: more ranks than the systems hold.
    """
    problems = [Problem("a size of zero or less", "bytes", bytes, "above zero")] if not bytes > 0 else []
    problems += [Problem("too few ranks", "ranks", ranks, "2 or more")] if not ranks >= 2 else []
    problems += (
        [Problem("a network is at least 1 time subscribed", "oversubscription", oversubscription, "1 or more")]
        if not oversubscription >= 1
        else []
    )
    if problems:
        raise InputError(problems)
    names = [name for name in (on, against) if name]
    rows = tuple(_on(name, op, bytes, ranks, span, flows, per, oversubscription, systems) for name in names)
    return CollectiveResult(op, bytes, ranks, rows)


def _on(
    name: str, op: str, size: float, ranks: float, span: Span | None, flows: float, per: str, oversubscription: float, systems: float
) -> CollectiveOnSystem:  # fmt: skip
    fab = fabric(name, per="die" if per == "die" else "chip", oversubscription=oversubscription)
    held = fab.ranks * systems
    if ranks > held:
        raise InfeasibleError(
            f"{fab.name} holds {held:g} ranks, not {ranks:g}",
            f"--ranks {held:g}, or --systems {math.ceil(ranks / fab.ranks)}",
        )
    fab = fab.shared(flows) if flows != 1 else fab
    seconds = float(collective_time(fab, op, size, ranks, span=span))
    crossing = span == "scale_out" or ranks > fab.scale_up.size
    tier = fab.scale_out if crossing else fab.scale_up
    return CollectiveOnSystem(
        fab.id, fab.name, seconds, seconds * math.exp(min(tier.low, 0.0)), seconds * math.exp(max(tier.high, 0.0)),
        size / seconds, _bus(op, size, ranks) / seconds, float(tier.bandwidth), _span(fab, crossing, ranks, span), tier.basis, tier.card,
    )  # fmt: skip


def _span(fab: Fabric, crossing: bool, ranks: float, span: Span | None) -> str:
    if not crossing:
        return "scale_up"
    return "scale_out" if span == "scale_out" else "scale_up + scale_out"


def _bus(op: str, size: float, ranks: float) -> float:
    factor = {"all_reduce": 2.0 * (ranks - 1.0) / ranks, "p2p": 1.0, "broadcast": 1.0}.get(op, (ranks - 1.0) / ranks)
    return size * factor
