"""Expert exchange: tokens to the ranks that hold their experts (dispatch), and results back (combine).

Two kinds of kernel exist. The *direct* one sends each token once per expert straight to its rank (low latency). The
*forwarding* one sends it once to every scale-up domain that it needs and spreads it there (high throughput between
domains). The faster one is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ExpertFit:
    """Parameters of the exchange on one tier; bandwidths as shares of the link rate per rank and direction.

    Attributes:
        dispatch_launch, combine_launch: seconds of a call over 8 ranks.
        doubling: seconds per doubling of the ranks beyond 8.
        dispatch_share, combine_share: bandwidth reached.
    """

    dispatch_launch: float
    combine_launch: float
    doubling: float
    dispatch_share: float
    combine_share: float


_AT_RANKS = 8.0


def direct_seconds(launch: float, doubling: float, share: float, sent: Array, ranks: Array, link: Array) -> Array:
    """Launch, plus ranks beyond 8 by doublings, plus the bytes over the reached link [s].

    Args:
        launch, doubling: seconds.
        share: of the link rate.
        sent: bytes that leave the busiest rank [B].
        ranks: that share the experts.
        link: bandwidth per rank and direction [B/s].
    """
    return np.asarray(launch + doubling * np.log2(np.maximum(ranks / _AT_RANKS, 1.0)) + sent / (share * link))


def distinct(groups: Array, top_k: Array) -> Array:
    """Expected number of distinct groups, of ``groups`` equal ones, that hold the ``top_k`` experts of a token."""
    n = np.maximum(groups, 1.0)
    return np.asarray(n * (1.0 - (1.0 - 1.0 / n) ** top_k))
