"""Seconds of communication of one rank, before any overlap: tensor, context, expert, pipeline and data parallel.

Volumes after Korthikanti et al. 2022 (arXiv 2205.05198, section 4.2.2) for tensor and sequence parallelism, Liu et al. 2023
(arXiv 2310.01889) for the ring of context parallelism, Rajbhandari et al. 2020 (arXiv 1910.02054, section 7) for ZeRO.
Ranks are placed tensor first, then context, then data, then pipeline; experts spread over the ranks of one stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wafer2token import fabric as links
from wafer2token.train.plan import CONTEXT_KINDS, Plan, PlanTable
from wafer2token.train.stage import Held
from wafer2token.workload import LayerKind, ModelShape, of_layer

Array = np.ndarray


@dataclass(frozen=True)
class LayerTraffic:
    """Seconds per layer and micro-batch, forward (f) and backward (b)."""

    tensor_f: Array
    tensor_b: Array
    context_f: Array
    context_b: Array
    expert_f: Array
    expert_b: Array


def members(domain: int, stride: Array, ranks: Array) -> Array:
    """How many of a group's ranks share one scale-up domain, when neighbours in the group are `stride` ranks apart."""
    return np.clip(np.floor(domain / np.asarray(stride, float)), 1, np.asarray(ranks, float))


def layer_traffic(
    shape: ModelShape,
    kind: LayerKind,
    fab: Any,
    domain: int,
    plan: Plan | PlanTable,
    seq_len: int,
    imbalance: float = 1.0,
) -> LayerTraffic:
    """Tensor, context and expert traffic of one layer. `domain` is the number of ranks of one scale-up domain."""
    tp, cp = np.asarray(plan.tp, float), np.asarray(plan.cp, float)
    tokens = np.asarray(plan.micro_batch, float) * seq_len / cp
    shape = of_layer(shape, kind)
    tensor_f, tensor_b = _tensor(shape, kind, fab, domain, plan, tokens)
    width = shape.num_key_value_heads * (shape.qk_head_dim + shape.value_head_dim)
    if kind.attention == "mla":
        width = shape.num_attention_heads * (shape.qk_head_dim + shape.value_head_dim)
    ring = members(domain, tp, cp)
    exchange = links.collective_time(
        fab, "all_gather", np.asarray(plan.micro_batch, float) * seq_len * width / tp * 2.0, cp, ranks_per_node=ring
    )
    swap = np.asarray(plan.context) == CONTEXT_KINDS.index("all_to_all")
    if np.any(swap):
        exchange = np.where(swap, _heads_for_tokens(shape, fab, plan, tokens, width, ring), exchange)
    exchange = np.where(cp > 1, exchange, 0.0)
    expert = _dispatch(shape, kind, fab, domain, plan, tokens) * imbalance
    return LayerTraffic(tensor_f, tensor_b, exchange, np.where(swap, 1.0, 2.0) * exchange, expert, expert)


def _heads_for_tokens(
    shape: ModelShape, fab: Any, plan: Plan | PlanTable, tokens: Array, kv_width: int, near: Array
) -> Array:
    """All-to-all of queries, keys and values before attention and of its output after it (Ulysses, arXiv 2309.14509, section 3.1)."""
    tp, cp = np.asarray(plan.tp, float), np.asarray(plan.cp, float)
    width = shape.num_attention_heads * (shape.qk_head_dim + shape.value_head_dim) + kv_width
    return np.asarray(links.collective_time(fab, "all_to_all", tokens * width / tp * 2.0, cp, ranks_per_node=near))


def _tensor(
    shape: ModelShape, kind: LayerKind, fab: Any, domain: int, plan: Plan | PlanTable, tokens: Array
) -> tuple[Array, Array]:
    """Two gathers and two scatters forward; backward the same and the gathers again for the weight gradient.

    Experts that are themselves split over ranks gather and scatter their tokens as a dense MLP does.
    """
    etp = np.asarray(plan.etp, float)
    tp = np.asarray(plan.tp, float)
    message, near = tokens * shape.hidden_size * 2.0, members(domain, np.ones_like(tp), tp)
    shared = shape.n_shared_experts or shape.shared_expert_intermediate_size
    blocks: Any = float(kind.attention != "none") + float(kind.mlp == "dense" or (kind.mlp == "sparse" and bool(shared)))
    if kind.mlp == "sparse":
        blocks = blocks + np.where(etp > 1, etp / tp, 0.0)
    gather = links.collective_time(fab, "all_gather", message, tp, ranks_per_node=near)
    scatter = links.collective_time(fab, "reduce_scatter", message, tp, ranks_per_node=near)
    reduce = links.collective_time(fab, "all_reduce", message, tp, ranks_per_node=near)
    split = np.asarray(plan.sequence_parallel)
    forward = np.where(tp > 1, blocks * np.where(split, gather + scatter, reduce), 0.0)
    backward = np.where(tp > 1, blocks * np.where(split, 2 * gather + scatter, reduce), 0.0)
    return forward, backward


def _dispatch(
    shape: ModelShape, kind: LayerKind, fab: Any, domain: int, plan: Plan | PlanTable, tokens: Array
) -> Array:
    """Dispatch and combine of one layer in bf16."""
    ep, etp = np.asarray(plan.ep, float), np.asarray(plan.etp, float)
    if kind.mlp != "sparse":
        return np.zeros_like(tokens * ep)
    sent = tokens / np.where(np.asarray(plan.sequence_parallel), np.asarray(plan.tp, float), 1.0)
    near = members(domain, etp, ep)
    one_way = links.collective_time(
        fab,
        "all_to_all",
        unique_copies(shape.num_experts_per_tok, ep, near) * sent * shape.expert_input_size * 2.0,
        ep,
        ranks_per_node=near,
    )
    return np.where(ep > 1, 2 * one_way, 0.0)


def unique_copies(top_k: int, ep: Array, near: Array) -> Array:
    """Copies of a token that leave a rank when experts on one domain share a copy: n(1 - (1 - 1/n)^k) of n domains, at least one.

    Within one domain every expert rank needs its own copy, n being the ranks.
    """
    domains = np.maximum(np.asarray(ep, float) / np.asarray(near, float), 1.0)
    groups = np.where(domains > 1, domains, np.asarray(ep, float))
    return groups * (1 - (1 - 1 / groups) ** top_k)


@dataclass(frozen=True)
class StepTraffic:
    """Seconds per step (or per micro-batch where said) outside the layers."""

    p2p: Array
    reduce: Array
    gather: Array
    layer_gather: Array
    layer_reduce: Array


def step_traffic(
    shape: ModelShape,
    fab: Any,
    domain: int,
    plan: Plan | PlanTable,
    seq_len: int,
    parts: Held,
    layers: Array,
    gradient_bytes: float = 4.0,
    weight_bytes: float = 2.0,
) -> StepTraffic:
    """Pipeline transfers per micro-batch and boundary, gradient reduction and weight gathering per step (ZeRO 0-2),
    or per layer and micro-batch (ZeRO 3)."""
    tp, cp, dp, pp = (np.asarray(getattr(plan, n), float) for n in ("tp", "cp", "dp", "pp"))
    tokens = np.asarray(plan.micro_batch, float) * seq_len / cp
    inner = tp * cp * dp
    p2p = np.where(
        pp > 1,
        links.collective_time(
            fab,
            "p2p",
            tokens * shape.hidden_size * 2.0 / tp,
            np.full_like(pp, 2.0),
            ranks_per_node=np.where(inner * 2 <= domain, 2.0, 1.0),
        ),
        0.0,
    )
    zero = np.asarray(plan.zero)
    reduce, gather = _replicas(
        fab, domain, tp, dp * cp, parts.dense + parts.embedding, zero, plan.shard, gradient_bytes, weight_bytes
    )
    spread_experts = np.asarray(plan.ep, float) * np.asarray(plan.etp, float)
    more = _replicas(
        fab,
        domain,
        spread_experts,
        np.maximum(inner / spread_experts, 1.0),
        parts.expert,
        zero,
        plan.shard,
        gradient_bytes,
        weight_bytes,
    )
    reduce, gather = reduce + more[0], gather + more[1]
    sharded = (zero >= 3) & (pp == 1)  # with a pipeline the weights stay gathered over the step, as torchtitan does
    each = np.maximum(layers, 1.0)
    nothing = np.zeros_like(reduce)
    return StepTraffic(
        p2p,
        np.where(sharded, nothing, reduce),
        np.where(sharded, nothing, gather),
        np.where(sharded, gather / each, nothing),
        np.where(sharded, reduce / each, nothing),
    )


def _replicas(
    fab: Any,
    domain: int,
    stride: Array,
    ranks: Array,
    parameters: Array,
    zero: Array,
    shard: Any,
    gradient_bytes: float,
    weight_bytes: float,
) -> tuple[Array, Array]:
    """Seconds to reduce the gradients and to gather the weights of one group of replicas."""
    near = members(domain, stride, ranks)
    group = np.where(np.asarray(shard) > 0, np.minimum(shard, ranks), ranks)
    inside = np.minimum(near, group)
    reduce_all = links.collective_time(fab, "all_reduce", gradient_bytes * parameters, ranks, ranks_per_node=near)
    scatter = links.collective_time(fab, "reduce_scatter", gradient_bytes * parameters, group, ranks_per_node=inside)
    across = links.collective_time(
        fab,
        "all_reduce",
        gradient_bytes * parameters / group,
        ranks / group,
        ranks_per_node=np.maximum(near / group, 1.0),
    )
    gather = links.collective_time(fab, "all_gather", weight_bytes * parameters, group, ranks_per_node=inside)
    many = (ranks > 1) & (np.asarray(parameters) > 0)
    scatter = scatter + np.where(ranks > group, across, 0.0)
    return np.where(many, np.where(zero >= 1, scatter, reduce_all), 0.0), np.where(many & (zero >= 1), gather, 0.0)
