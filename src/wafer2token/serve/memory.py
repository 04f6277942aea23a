"""What fits: weights, working memory and KV cache of a plan in the memory of its ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wafer2token.catalog import get
from wafer2token.workload import LayerKind, ModelShape, dtype_bytes, kv_bytes, layer_parameters, layers, parameters

from .plan import Plan

GIB_PER_GB = 2**30 / 1e9
"""Memory vendors count in powers of two: a chip sold with 80 GB has 80 GiB."""


@dataclass(frozen=True)
class Memory:
    """Bytes per rank; ``kv_tokens`` is what the whole instance can hold (floats, or arrays [samples])."""

    capacity: Any
    weights: float
    working: float
    free: Any
    kv_per_token: float
    kv_tokens: Any

    @property
    def fits(self) -> bool:
        """Whether weights and working memory leave room for a cache, in the central case."""
        return bool(np.mean(self.free) > 0)


def weight_bytes(shape: ModelShape, plan: Plan) -> float:
    """Weights on the fullest rank [B]: attention and dense parts split ``tp`` ways, experts over ep x expert_tp."""
    size, expert_size = dtype_bytes(plan.weights), dtype_bytes(plan.experts)
    copies = 1.0 + plan.redundant_experts / max(shape.n_routed_experts, 1)
    wide = 2.0  # embeddings, heads, norms and routers stay in 16 bits
    total = 0.0
    for kind, count in layers(shape):
        p = layer_parameters(shape, kind)
        split = p.attention - p.attention_whole + p.mlp_dense + p.shared_expert
        layer = size * (p.attention_whole + split / plan.tp) + expert_size * copies * p.experts / (plan.ep * plan.expert_tp)
        total += count * (layer + wide * (p.router + p.norm + p.bias))
    whole = parameters(shape)
    drafts = _draft_bytes(shape, plan, whole.mtp, size)
    return total / plan.pp + wide * (whole.embedding + whole.head) / plan.tp + drafts


def _draft_bytes(shape: ModelShape, plan: Plan, mtp: int, size: float) -> float:
    """Weights of the drafting layers on one rank."""
    if not plan.drafts:
        return 0.0
    return mtp * size / (plan.ep * plan.expert_tp if shape.is_moe else plan.tp)


def working_bytes(shape: ModelShape, plan: Plan) -> float:
    """Activations of the largest step, logits, communication buffers and the runtime itself on one rank [B].

    A step keeps, at its widest, the residual stream, one layer's projections, and the logits of its sequences.
    """
    card = get("calibration", "engine_memory")
    tokens = plan.max_num_batched_tokens / (plan.dp if plan.dp > 1 else 1)
    width = 2 * shape.hidden_size + _widest(shape) / plan.tp
    logits = plan.max_num_seqs / plan.dp * shape.vocab_size / plan.tp * 4
    return float(card.sizes["runtime"]) + tokens * width * 2 + logits


def _widest(shape: ModelShape) -> float:
    def width(kind: LayerKind) -> float:
        experts = max(shape.num_experts_per_tok, 1) if kind.mlp == "sparse" else 1
        return 3.0 * kind.intermediate_size * experts

    return max(width(kind) for kind, _ in layers(shape))


def memory(shape: ModelShape, plan: Plan, hbm_bytes: Any, length: float = 4096.0) -> Memory:
    """Memory of one rank with ``hbm_bytes`` for sequences of ``length`` tokens (windows and states depend on it)."""
    length = max(length, 1.0)
    weights, working = weight_bytes(shape, plan), working_bytes(shape, plan)
    usable = np.asarray(hbm_bytes) * GIB_PER_GB * plan.memory_utilisation
    free = usable - weights - working
    per_token = float(kv_bytes(shape, length, dtype_bytes(plan.kv), plan.tp)) / length / plan.pp
    tokens = np.maximum(free, 0.0) / per_token * plan.dp
    return Memory(usable, weights, working, free, per_token, tokens if np.ndim(tokens) else float(tokens))
