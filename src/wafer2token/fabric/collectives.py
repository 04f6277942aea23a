"""How long a collective takes: latency and bandwidth regimes on one tier, hierarchical over two.

Sizes follow nccl-tests: ``bytes`` is the whole message of a rank - the buffer that is reduced, the gathered output,
the scattered input, the buffer that is exchanged, or what is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_AT_RANKS = 8.0
"""Ranks at which the shares of a tier are stated."""


@dataclass(frozen=True)
class TierFit:
    """Parameters of one tier of a fabric; bandwidths as shares of the link rate per rank and direction.

    Attributes:
        launch: seconds of any collective call.
        hop: seconds per further rank of a ring.
        low_share: bandwidth of the low-latency protocol.
        knee: seconds that the bandwidth protocol costs once.
        share: bandwidth of the bandwidth protocol, gather and scatter, at 8 ranks.
        rank_power: shares go as (ranks / 8)^rank_power; a gain stops at 8 ranks, a loss (shared buses) goes on.
        fused: time of a ring all-reduce over that of its reduce-scatter and all-gather.
        exchange_launch, exchange_hop: seconds of an all-to-all, and per further rank.
        exchange_low_share, exchange_knee, exchange_share: of an all-to-all, as above.
        switch_latency: seconds of an in-switch reduction (infinite where the switch cannot reduce).
        switch_share: bytes reduced per second over the link rate.
        switch_ranks: ranks from which the switch is used.
    """

    launch: float
    hop: float
    low_share: float
    knee: float
    share: float
    rank_power: float
    fused: float
    exchange_launch: float
    exchange_hop: float
    exchange_low_share: float
    exchange_knee: float
    exchange_share: float
    switch_latency: float
    switch_share: float
    switch_ranks: float


def two_regimes(moved: Array, link: Array, low_share: float, knee: float, share: float) -> Array:
    """min(x / (low_share link), knee + x / (share link)) [s]: the faster protocol for x bytes."""
    return np.minimum(moved / (low_share * link), knee + moved / (share * link))


def crowding(fit: TierFit, ranks: Array) -> Array:
    """By what the shares of a tier change with the number of ranks, 1 at 8."""
    counted = np.minimum(ranks, _AT_RANKS) if fit.rank_power > 0 else ranks
    return np.asarray((counted / _AT_RANKS) ** fit.rank_power)


def ring_body(fit: TierFit, message: Array, ranks: Array, link: Array) -> Array:
    """Reduce-scatter or all-gather over a ring, without the launch [s]: (n-1)/n of the message per rank.

    Args:
        fit: the tier.
        message: bytes per rank.
        ranks: in the ring, at least 1.
        link: bandwidth per rank and direction [B/s].
    """
    moved = message * (ranks - 1.0) / ranks
    shared = np.minimum(link * crowding(fit, ranks), link / fit.share)
    return np.asarray(fit.hop * (ranks - 1.0) + two_regimes(moved, shared, fit.low_share, fit.knee, fit.share))


def all_reduce_body(fit: TierFit, message: Array, ranks: Array, link: Array) -> Array:
    """All-reduce without the launch [s]: reduce-scatter and all-gather in one, or the switch where it is faster."""
    ring = 2.0 * fit.fused * ring_body(fit, message, ranks, link)
    switch = fit.switch_latency + message / (fit.switch_share * link)
    return np.where((ranks >= fit.switch_ranks) & (ranks > 1), np.minimum(ring, switch), ring)


def exchange_body(fit: TierFit, message: Array, ranks: Array, link: Array) -> Array:
    """All-to-all without the launch [s]: (n-1)/n of the message leaves each rank."""
    moved = message * (ranks - 1.0) / ranks
    shared = np.minimum(link * crowding(fit, ranks), link / fit.exchange_share)
    body = two_regimes(moved, shared, fit.exchange_low_share, fit.exchange_knee, fit.exchange_share)
    return np.asarray(fit.exchange_hop * (ranks - 1.0) + body)
