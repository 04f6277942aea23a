"""Routing of tokens to experts: how far the busiest expert rank lies above the mean, drawn layer by layer and step by step.

An expert's share of the tokens of a layer is lognormal over the experts with standard deviation ``skew`` (of its
logarithm). Without balancing, experts sit on the ranks in order. A balancer (EPLB) copies the busiest experts into
``redundant`` further slots and packs all copies onto the ranks by the shares it saw; since then the shares have moved by
a lognormal factor of standard deviation ``drift``. The tokens of a step are a multinomial draw from the shares, so that
small steps are less even than large ones.

Shape of the method: DeepSeek's expert parallelism load balancer (github.com/deepseek-ai/EPLB), greedy replication and packing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wafer2token.catalog import get

F = NDArray[np.float64]
I8 = NDArray[np.int64]
KNOTS = np.array([1.0, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576])
LAYERS, STEPS = 24, 4


@dataclass(frozen=True)
class Routing:
    """How tokens meet experts: skew and drift of the shares, whether a balancer places the experts, and its spare slots."""

    skew: float
    drift: float = 0.0
    balanced: bool = False
    redundant: int = 0


@dataclass(frozen=True)
class Imbalance:
    """Load of the busiest rank over the mean by tokens of a step [tokens]: mean over layers and steps, p10 and p90."""

    tokens: F
    mean: F
    p10: F
    p90: F
    hottest_expert: float

    def at(self, tokens: Any) -> F:
        """The mean at any number of tokens per layer and step, by interpolation in their logarithm."""
        x = np.log(np.maximum(np.asarray(tokens, float), 1.0))
        return np.asarray(np.interp(x, np.log(self.tokens), self.mean))


def usual_routing(balanced: bool, redundant: int = 0, prompts: bool = True) -> Routing:
    """Skew and drift as published deployments show them; a step of prompts holds fewer sequences and drifts further."""
    ratios: Any = get("calibration", "expert_routing").ratios
    return Routing(float(ratios["skew"]), float(ratios["drift_prompts" if prompts else "drift_decoding"]), balanced, redundant)


@lru_cache(maxsize=256)
def imbalance(routing: Routing, experts: int, top_k: int, ep: int, seed: int = 0) -> Imbalance:
    """The busiest rank of ``ep`` over the mean, for steps of KNOTS tokens through a layer of ``experts`` with ``top_k``."""
    rng = np.random.default_rng([seed, experts, ep, routing.redundant])
    rows = [_layer(routing, experts, top_k, ep, rng) for _ in range(LAYERS)]
    ratios = np.array([r for r, _ in rows])  # [layer, knot, step]
    flat = ratios.transpose(1, 0, 2).reshape(len(KNOTS), -1)
    low, high = np.percentile(flat, [10, 90], axis=1)
    return Imbalance(KNOTS, flat.mean(axis=1), low, high, float(max(h for _, h in rows)))


def _layer(routing: Routing, experts: int, top_k: int, ep: int, rng: np.random.Generator) -> tuple[F, float]:
    seen = np.exp(rng.normal(0.0, routing.skew, experts))
    copies = replicas(seen, routing.redundant) if routing.balanced else np.ones(experts, np.int64)
    owner = np.repeat(np.arange(experts), copies)
    rank = packed(seen[owner] / copies[owner], ep) if routing.balanced else np.arange(experts) * ep // experts
    now = seen * np.exp(rng.normal(0.0, routing.drift, experts)) if routing.balanced else seen
    share = now / now.sum()
    out = np.empty((len(KNOTS), STEPS))
    for k, tokens in enumerate(KNOTS):
        drawn = rng.multinomial(int(tokens * top_k), share, STEPS)
        each = drawn[:, owner] / copies[owner]
        loads = np.array([np.bincount(rank, row, ep) for row in each])
        out[k] = loads.max(axis=1) / (tokens * top_k / ep)
    return out, float(share.max() * experts)


def replicas(load: F, spare: int) -> I8:
    """Copies of each expert when ``spare`` slots go, one by one, to the expert with the most load per copy; [experts]."""
    copies = np.ones(len(load), np.int64)
    for _ in range(spare):
        copies[int(np.argmax(load / copies))] += 1
    return copies


def packed(load: F, ranks: int) -> I8:
    """Rank of every copy: the heaviest first, each onto the lightest rank with a free slot; [copies]."""
    slots = -(-len(load) // ranks)
    total, used, rank = np.zeros(ranks), np.zeros(ranks, np.int64), np.zeros(len(load), np.int64)
    for i in np.argsort(-load, kind="stable"):
        best = int(np.argmin(np.where(used < slots, total, np.inf)))
        rank[i] = best
        total[best] += load[i]
        used[best] += 1
    return rank
