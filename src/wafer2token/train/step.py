"""One optimizer step: kernels, exposed communication, pipeline, gradient exchange, optimizer.

`parts_of_step` prices the pieces on a machine (no tuned value in it); `step_time` puts them together under a
`Software`, which says how much of the communication a stack hides and how far it falls short of its kernels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from wafer2token import chip as kernels
from wafer2token.catalog import get
from wafer2token.train.communication import layer_traffic, step_traffic
from wafer2token.train.layer import Work, expansion_seconds, head_work, layer_work, nothing
from wafer2token.train.memory import MIXED, StateBytes, kept_layer_bytes
from wafer2token.train.plan import CONTEXT_KINDS, RECOMPUTE, SCHEDULES, Plan, PlanTable, offloaded
from wafer2token.train.schedules import bubble_seconds
from wafer2token.train.stage import Held, held, mix, split
from wafer2token.workload import ModelShape

Array = np.ndarray


@dataclass(frozen=True)
class Inside:
    """What happens inside layers, in seconds per micro-batch before any overlap; arrays over plans.

    It depends on `INSIDE` alone, so that many plans share one price.
    """

    layer: Work
    head: Work
    tensor_f: Array
    tensor_b: Array
    context_f: Array
    context_b: Array
    dispatch_f: Array
    dispatch_b: Array
    expand: Array

    def take(self, rows: Array) -> Inside:
        """The pieces at the given rows."""
        return Inside(**_rows_of(self, rows))


INSIDE = ("tp", "cp", "ep", "etp", "micro_batch", "sequence_parallel", "context")
"""Fields of a plan that the price of a layer depends on, besides whether there is a pipeline."""


@dataclass(frozen=True)
class Parts(Inside):
    """The pieces of a step in seconds; arrays over plans, except where noted. Layer pieces are per micro-batch."""

    gather_layer: Array
    reduce_layer: Array
    host_f: Array
    host_b: Array
    p2p: Array
    reduce: Array
    gather: Array
    optimizer: Array
    body: Array
    last: Array
    mean: Array
    heads: Array
    fused: Array

    def take(self, rows: Array) -> Parts:
        """The pieces at the given rows."""
        return Parts(**_rows_of(self, rows))


def _rows_of(parts: Inside, rows: Array) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for f in fields(parts):
        value = getattr(parts, f.name)
        values[f.name] = value.take(rows) if isinstance(value, Work) else np.asarray(value)[rows]
    return values


@dataclass(frozen=True)
class Software:
    """How a stack runs a step; floats or arrays that broadcast with the plans. Multipliers are on kernel times."""

    compute: Any = 1.0
    expert: Any = 1.0
    attention: Any = 1.0
    vector: Any = 1.0
    scan: Any = 1.0
    launch_s: Any = 0.0
    tensor_hidden: Any = 0.0
    context_hidden: Any = 0.0
    expert_hidden: Any = 0.0
    data_hidden: Any = 1.0
    data_slowdown: Any = 1.0
    pipeline_hidden: Any = 0.0
    micro_batch_s: Any = 0.0
    step_s: Any = 0.0
    straggling: Any = 0.0
    fused_attention: bool = True


def parts_of_step(
    shape: ModelShape,
    acc: Any,
    fab: Any,
    plan: PlanTable | Plan,
    seq_len: int,
    domain: int,
    fused_attention: bool = True,
    imbalance: float = 1.0,
    gradient_bytes: float = 4.0,
    host_link: float | None = None,
    frozen: bool = False,
    document: float = 0.0,
) -> Parts:
    """The pieces of a step on a machine.

    Args:
        acc: accelerator of `chip`; fab: links of `fabric`; domain: ranks of one scale-up domain.
        imbalance: load of the busiest expert rank over the mean, >= 1.
        host_link: bytes/s between chip and host, one direction; None for that of the planner's card.
        frozen, document: as in `layer_work`; frozen weights have no gradients to reduce and nothing to update.
    """
    inside = inside_layers(shape, acc, fab, plan, seq_len, domain, fused_attention, imbalance, frozen, document)
    parts = around_layers(inside, shape, acc, fab, plan, seq_len, domain, fused_attention, gradient_bytes, host_link)
    if not frozen:
        return parts
    names = ("reduce_layer", "reduce", "gather", "optimizer")
    return replace(parts, **{name: np.zeros_like(getattr(parts, name)) for name in names})


def inside_layers(
    shape: ModelShape,
    acc: Any,
    fab: Any,
    plan: PlanTable | Plan,
    seq_len: int,
    domain: int,
    fused_attention: bool = True,
    imbalance: float = 1.0,
    frozen: bool = False,
    document: float = 0.0,
) -> Inside:
    """Kernels and traffic of an average layer of a stage and of the head, averaged over the kinds of layer."""
    pp, tp = (np.asarray(getattr(plan, n), float) for n in ("pp", "tp"))
    expand = np.zeros_like(pp * tp)
    layer, traffic = nothing(pp * tp), [np.zeros_like(pp * tp) for _ in range(6)]
    for kind, everywhere, middle in mix(shape):
        share = np.where(pp > 1, middle, everywhere)
        work = layer_work(shape, kind, acc, plan, seq_len, fused_attention, frozen, document)
        if kind.mlp == "sparse" and imbalance != 1.0:
            work = replace(work, expert_f=work.expert_f * imbalance, expert_b=work.expert_b * imbalance)
        layer = layer + work.scaled(share)
        expand = expand + share * expansion_seconds(shape, kind, acc, plan, seq_len)
        links = layer_traffic(shape, kind, fab, domain, plan, seq_len, imbalance)
        traffic = [a + share * getattr(links, f.name) for a, f in zip(traffic, fields(links), strict=True)]
    tensor_f, tensor_b, context_f, context_b, dispatch_f, dispatch_b = traffic
    head = head_work(shape, acc, plan, seq_len, frozen)
    return Inside(layer, head, tensor_f, tensor_b, context_f, context_b, dispatch_f, dispatch_b, expand)


def around_layers(
    inside: Inside,
    shape: ModelShape,
    acc: Any,
    fab: Any,
    plan: PlanTable | Plan,
    seq_len: int,
    domain: int,
    fused_attention: bool = True,
    gradient_bytes: float = 4.0,
    host_link: float | None = None,
    state: StateBytes = MIXED,
) -> Parts:
    """Layers already priced, with what goes on around them: stages, gradient exchange, optimizer, host link."""
    pp, tp = (np.asarray(getattr(plan, n), float) for n in ("pp", "tp"))
    link = float(get("training", "planner").host_link) if host_link is None else host_link
    layers = split(shape, pp, np.asarray(plan.vpp))
    mine = held(shape, plan, "body")
    twice = np.where(np.asarray(plan.schedule) == SCHEDULES.index("dualpipe"), 2.0, 1.0)
    shared = Held(mine.dense * twice, mine.expert * twice, mine.embedding * twice)
    outer = step_traffic(shape, fab, domain, plan, seq_len, shared, layers.body, gradient_bytes)
    host_f, host_b = _host_seconds(shape, plan, seq_len, mine, layers.body, not fused_attention, link)
    return Parts(
        **{f.name: getattr(inside, f.name) for f in fields(Inside)},
        gather_layer=outer.layer_gather,
        reduce_layer=outer.layer_reduce,
        host_f=host_f,
        host_b=host_b,
        p2p=outer.p2p,
        reduce=outer.reduce,
        gather=outer.gather,
        optimizer=_optimizer_seconds(acc, plan, mine, link, state),
        body=layers.body,
        last=layers.last,
        mean=layers.mean,
        heads=np.full_like(pp * tp, 1.0 + shape.num_nextn_predict_layers),
        fused=np.full_like(pp * tp, float(fused_attention)),
    )


def _host_seconds(
    shape: ModelShape,
    plan: PlanTable | Plan,
    seq_len: int,
    mine: Held,
    layers: Array,
    scores: bool,
    link: float,
) -> tuple[Array, Array]:
    """Seconds per layer and micro-batch on the link to the host: weights come in for both passes, activations leave and return.

    Forward, the two run in opposite directions at once; backward both come in.
    """
    away = np.asarray(plan.offload)
    nothing_moves = np.zeros_like(np.asarray(plan.pp, float) * np.asarray(plan.tp, float))
    weights = activations = nothing_moves
    if np.any(moved := offloaded(away, "weights")):
        each = MIXED.weight * (mine.dense + mine.expert) / np.maximum(layers, 1.0)
        weights = moved * each / np.where(np.asarray(plan.zero) >= 3, _shard_ranks(plan), 1.0) / link
    if np.any(moved := offloaded(away, "activations")):
        activations = moved * kept_layer_bytes(shape, plan, seq_len, scores)[0] / link
    return np.asarray(np.maximum(weights, activations)), np.asarray(weights + activations)


def _shard_ranks(plan: PlanTable | Plan) -> Array:
    """Ranks over which ZeRO shards what is not routed experts."""
    every = np.asarray(plan.dp, float) * np.asarray(plan.cp, float)
    return np.asarray(np.where(np.asarray(plan.shard) > 0, np.minimum(plan.shard, every), every))


def _optimizer_seconds(acc: Any, plan: PlanTable | Plan, mine: Held, link: float, state: StateBytes) -> Array:
    """The optimizer's pass over the parameters that one rank updates; an offloaded state comes and goes over the host link.

    The link carries the state once in each direction at the same time, beside the pass over device memory.
    """
    traffic = float(get("training", "planner").optimizer_traffic) * _touched(state) / _touched(MIXED)
    tp, cp, dp, ep, etp = (np.asarray(getattr(plan, n), float) for n in ("tp", "cp", "dp", "ep", "etp"))
    shard = _shard_ranks(plan)
    copies = np.maximum(dp * cp * tp / (ep * etp), 1.0)
    shared = (mine.dense + mine.embedding) / shard + mine.expert / np.minimum(copies, shard)
    updated = np.where(np.asarray(plan.zero) >= 1, shared, mine.total)
    seconds = np.asarray(kernels.memory_time(acc, traffic * updated))
    away = offloaded(plan.offload, "optimizer")
    if not np.any(away):
        return seconds
    return np.asarray(np.where(away, np.maximum(seconds, state.optimizer * updated / link), seconds))


def _touched(state: StateBytes) -> float:
    """Bytes per parameter that an update reads and writes: the state twice, the gradient and the weight once."""
    return 2 * state.optimizer + state.gradient + state.weight


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step and of what it is made of; the parts add up to `total`."""

    total: Array
    compute: Array
    recompute: Array
    tensor: Array
    context: Array
    expert: Array
    data: Array
    pipeline: Array
    bubble: Array
    offload: Array
    optimizer: Array
    other: Array
    forward: Array
    backward: Array


def step_time(parts: Parts, plan: PlanTable | Plan, how: Software, chips: Any = None) -> StepTime:
    """Seconds of one optimizer step.

    The slowest stage paces the pipeline: micro_batches * slowest + bubble(schedule) + what of the gradient exchange the
    last backward pass does not hide + optimizer + fixed costs; all times (1 + straggling * log2(ranks / 8)).
    """
    m, pp, vpp = (np.asarray(getattr(plan, n), float) for n in ("micro_batches", "pp", "vpp"))
    f, b, again = _layer_seconds(parts, plan, how)
    head_f, head_b = _seconds(parts.head, how, parts.heads)
    exposed_f, exposed_b = _exposed(parts, plan, how)
    slow = how.data_slowdown
    sharded_f = _unhidden(slow * parts.gather_layer, f, how.data_hidden)
    sharded_b = _unhidden(slow * (parts.gather_layer + parts.reduce_layer), b, how.data_hidden)
    host_f, host_b = np.maximum(parts.host_f - f, 0.0), np.maximum(parts.host_b - b - again, 0.0)
    comm_f, comm_b = sum(exposed_f) + sharded_f + host_f, sum(exposed_b) + sharded_b + host_b
    busy_f, busy_b = f + comm_f, b + again + comm_b + _recomputed_traffic(parts, plan, exposed_f)
    middle_f, middle_b = parts.body * busy_f, parts.body * busy_b
    end_f, end_b = parts.last * busy_f + head_f, parts.last * busy_b + head_b
    late = end_f + end_b > middle_f + middle_b
    slow_f, slow_b = np.where(late, end_f, middle_f), np.where(late, end_b, middle_b)
    hops = np.where(pp > 1, 2 * vpp * parts.p2p * (1 - how.pipeline_hidden), 0.0)
    mean_f, mean_b = parts.mean * busy_f + head_f / pp, parts.mean * busy_b + head_b / pp
    weight_half = (mean_b - parts.mean * again) / 2
    idle = bubble_seconds(plan.schedule, pp, vpp, mean_f + hops / 2, mean_b - weight_half + hops / 2, weight_half)
    reduce = _unhidden(parts.reduce, slow_b, how.data_hidden) + _unhidden(parts.gather, slow_f, how.data_hidden)
    fixed = m * how.micro_batch_s + how.step_s
    ranks = np.asarray(chips if chips is not None else plan.tp * plan.pp * plan.dp * plan.cp, float)
    drag = 1 + how.straggling * np.log2(np.maximum(ranks / 8.0, 1.0))
    layers = np.where(late, parts.last, parts.body)
    heads_f, heads_b = np.where(late, head_f, 0.0), np.where(late, head_b, 0.0)
    compute = m * (layers * (f + b) + heads_f + heads_b)
    recompute = m * layers * (busy_b - b - comm_b)
    tensor, context, expert = (m * layers * (exposed_f[i] + exposed_b[i]) for i in range(3))
    data = reduce + m * layers * (sharded_f + sharded_b)
    total = drag * (m * (slow_f + slow_b + hops) + idle + reduce + parts.optimizer * how.vector + fixed)
    return StepTime(
        total,
        compute,
        recompute,
        tensor,
        context,
        expert,
        data,
        m * hops,
        idle,
        m * layers * (host_f + host_b),
        parts.optimizer * how.vector,
        fixed + total * (1 - 1 / drag),
        slow_f,
        slow_b,
    )


def _seconds(work: Work, how: Software, times: Any = 1.0) -> tuple[Array, Array]:
    """Forward and backward seconds under a stack: kernels, and the gap between one and the next."""
    f = (
        work.gemm_f * how.compute
        + work.expert_f * how.expert
        + work.attention_f * how.attention
        + work.vector_f * how.vector
        + work.scan_f * how.scan
    )
    b = (
        work.gemm_b * how.compute
        + work.expert_b * how.expert
        + work.attention_b * how.attention
        + work.vector_b * how.vector
        + work.scan_b * how.scan
    )
    return times * (f + work.calls_f * how.launch_s), times * (b + work.calls_b * how.launch_s)


def _layer_seconds(parts: Parts, plan: PlanTable | Plan, how: Software) -> tuple[Array, Array, Array]:
    """Forward, backward and recomputed seconds of a layer.

    Selective recomputation repeats the attention scores where attention is not fused; else norms, activations and the
    expansion of latent attention.
    """
    f, b = _seconds(parts.layer, how)
    code = np.asarray(plan.recompute)
    selective = np.where(
        parts.fused > 0,
        parts.layer.vector_f * how.vector + parts.expand * how.compute,
        parts.layer.attention_f * how.attention,
    )
    again = np.where(code == RECOMPUTE.index("full"), f, np.where(code == RECOMPUTE.index("selective"), selective, 0.0))
    return f, b, again * np.asarray(plan.recompute_share, float)


def _exposed(
    parts: Parts, plan: PlanTable | Plan, how: Software
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    """Tensor, context and expert traffic that computation does not hide, forward and backward; all-to-all hides nothing."""
    ring = np.asarray(plan.context) == CONTEXT_KINDS.index("ring")
    t, c, e = 1 - how.tensor_hidden, 1 - how.context_hidden * ring, 1 - how.expert_hidden
    return (
        (parts.tensor_f * t, parts.context_f * c, parts.dispatch_f * e),
        (parts.tensor_b * t, parts.context_b * c, parts.dispatch_b * e),
    )


def _recomputed_traffic(parts: Parts, plan: PlanTable | Plan, exposed_f: tuple[Array, Array, Array]) -> Array:
    """Full recomputation repeats the forward traffic too."""
    full = (np.asarray(plan.recompute) == RECOMPUTE.index("full")) * np.asarray(plan.recompute_share, float)
    return np.asarray(full * (exposed_f[0] + exposed_f[1] + exposed_f[2]))


def _unhidden(comm: Array, cover: Array, hidden: Any) -> Array:
    """What is left of a transfer when the share `hidden` of it may run beside `cover` seconds of computation."""
    return np.asarray(comm * (1 - hidden) + np.maximum(comm * hidden - cover, 0.0))


__all__ = ["SCHEDULES", "Parts", "Software", "StepTime", "parts_of_step", "step_time"]
