"""A transformer pass as a list of operators with per-rank shapes, for one or many configurations at once.

Every numeric argument may be an array; arrays broadcast, so one call describes a whole sweep. The list is built
per layer *kind* and carries counts: its length does not grow with depth, batch or the number of configurations.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.workload.attention import attention_block
from wafer2token.workload.dtypes import canonical_dtype, dtype_bytes
from wafer2token.workload.ops import COMMUNICATION, Op
from wafer2token.workload.pieces import (
    Pass,
    collective,
    exchange,
    exchanged,
    gather,
    gemm,
    memory,
    message,
    reduce,
    share,
    split,
)
from wafer2token.workload.shape import NONE, SPARSE, LayerKind, ModelShape, layers, nextn_kind, of_layer

PHASES = ("prefill", "decode", "train")


def operators(
    shape: ModelShape,
    phase: str = "prefill",
    tokens: Any = None,
    batch: Any = 1,
    q_len: Any = None,
    kv_len: Any = None,
    tp: Any = 1,
    ep: Any = 1,
    sp: bool = False,
    cp: Any = 1,
    weight_dtype: str = "bf16",
    act_dtype: str = "bf16",
    kv_dtype: str = "bf16",
    *,
    expert_tp: Any = None,
    expert_dtype: str | None = None,
    head_dtype: str = "bf16",
    imbalance: Any = 1.0,
    logit_tokens: Any = None,
    mtp: bool = False,
) -> list[Op]:
    """All operators of one pass over the whole model on one rank, with counts.

    ``tokens`` [1] defaults to batch x q_len and overrides it for everything but attention (ragged batches);
    ``q_len`` defaults to 1 in decode and to ``kv_len`` otherwise. ``phase="train"`` adds the backward pass
    (``direction="backward"``) of the same layers. ``mtp`` adds the multi-token-prediction layers.
    Raises InputError on an unknown phase or number format.
    """
    call = make_pass(
        phase, tokens, batch, q_len, kv_len, tp, ep, sp, cp, weight_dtype, act_dtype, kv_dtype,
        expert_tp=expert_tp, expert_dtype=expert_dtype, head_dtype=head_dtype, imbalance=imbalance,
        logit_tokens=logit_tokens,
    )  # fmt: skip
    out = embedding_operators(shape, call)
    for kind, count in layers(shape):
        out += layer_operators(shape, kind, call, count)
    out += head_operators(shape, call)
    if mtp and shape.num_nextn_predict_layers:
        out += nextn_operators(shape, call)
    return out


def make_pass(
    phase: str,
    tokens: Any = None,
    batch: Any = 1,
    q_len: Any = None,
    kv_len: Any = None,
    tp: Any = 1,
    ep: Any = 1,
    sp: bool = False,
    cp: Any = 1,
    weight_dtype: str = "bf16",
    act_dtype: str = "bf16",
    kv_dtype: str = "bf16",
    *,
    expert_tp: Any = None,
    expert_dtype: str | None = None,
    head_dtype: str = "bf16",
    imbalance: Any = 1.0,
    logit_tokens: Any = None,
) -> Pass:
    """The pass that ``operators`` describes, with defaults filled in; for planners that build layer by layer."""
    if phase not in PHASES:
        raise InputError(Problem("unknown phase", "phase", phase, ", ".join(PHASES)))
    if q_len is None:
        q_len = 1 if phase == "decode" or kv_len is None else kv_len
    kv_len = q_len if kv_len is None else kv_len
    tokens = batch * q_len if tokens is None else tokens
    if logit_tokens is None:
        logit_tokens = batch if phase == "prefill" else tokens
    if expert_tp is None:
        expert_tp = np.where(np.asarray(ep) > 1, 1, tp) if np.ndim(ep) or np.ndim(tp) else (1 if ep > 1 else tp)
    weight = canonical_dtype(weight_dtype)
    return Pass(
        phase=phase, batch=batch, q_len=q_len, kv_len=kv_len, tokens=tokens / cp, logit_tokens=logit_tokens / cp,
        tp=tp, ep=ep, expert_tp=expert_tp, cp=cp, sp=sp, imbalance=imbalance,
        weight_dtype=weight, act_dtype=canonical_dtype(act_dtype), kv_dtype=canonical_dtype(kv_dtype),
        expert_dtype=canonical_dtype(expert_dtype or weight), head_dtype=canonical_dtype(head_dtype),
    )  # fmt: skip


def layer_operators(shape: ModelShape, kind: LayerKind, call: Pass, count: Any = 1) -> list[Op]:
    """Operators of one layer of a kind, each with ``count``; with the backward pass when training."""
    shape = of_layer(shape, kind)
    forward = attention_block(shape, kind, call) + _mlp_block(shape, kind, call) + _hyper_connections(shape, call)
    label = kind.name
    for op in forward:
        op.count = op.count * count
        op.layer = label
    return forward + [g for op in reversed(forward) for g in _backward(op)] if call.phase == "train" else forward


def mixer_operators(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    """What ``layer_operators`` has on the attention side of one layer and around its residual streams, without its norm and
    without communication."""
    own = of_layer(shape, kind)
    block = [
        op for op in attention_block(own, kind, call) if op.name != "input_norm" and op.family not in COMMUNICATION
    ]
    forward = block + _hyper_connections(own, call)
    return forward + [g for op in reversed(forward) for g in _backward(op)] if call.phase == "train" else forward


def embedding_operators(shape: ModelShape, call: Pass) -> list[Op]:
    """Lookup of the input embedding, split over the vocabulary under tensor parallelism."""
    size = dtype_bytes(call.inner_dtype)
    lookup = memory("embedding", call, 2 * call.tokens * shape.hidden_size * size, family="embedding")
    out = [lookup, *reduce("embedding_all_reduce", shape, call)]
    if call.phase == "train":
        out += _backward(lookup)
    for op in out:
        op.layer = "embedding"
    return out


def head_operators(shape: ModelShape, call: Pass) -> list[Op]:
    """Final norm and output head on the tokens whose logits are wanted; the loss when training."""
    size = dtype_bytes(call.inner_dtype)
    width = share(shape.vocab_size, call.tp)
    few = replace(call, tokens=call.logit_tokens, act_dtype=call.head_dtype)
    out = [
        memory("final_norm", call, 2 * call.logit_tokens * shape.hidden_size * size),
        gemm("lm_head", few, call.logit_tokens, width, shape.hidden_size, call.head_dtype),
        memory("softmax", call, 2 * call.logit_tokens * width * 4, ops=2),
    ]
    if call.phase == "train":
        out += [g for op in reversed(out) for g in _backward(op)]
        out += [replace(op, direction="backward") for op in reduce("head_all_reduce", shape, call)]
    for op in out:
        op.layer = "head"
    return out


def nextn_operators(shape: ModelShape, call: Pass) -> list[Op]:
    """Multi-token-prediction layers: join of two states, one layer, and the shared head again."""
    n = shape.num_nextn_predict_layers
    h = shape.hidden_size
    size = dtype_bytes(call.inner_dtype)
    join = [
        memory("mtp_norms", call, 6 * call.tokens * h * size, ops=3),
        gemm("mtp_join", call, call.tokens, h, 2 * h, call.weight_dtype),
    ]
    if call.phase == "train":
        join += [g for op in reversed(join) for g in _backward(op)]
    out = join + layer_operators(shape, nextn_kind(shape), call) + head_operators(shape, call)
    for op in out:
        op.layer, op.count = "mtp", op.count * n
    return out


# ---- MLP and experts ------------------------------------------------------------------------------------------


def _hyper_connections(shape: ModelShape, call: Pass) -> list[Op]:
    """Several residual streams around both blocks: mixing coefficients from all streams, one read, all written."""
    streams, t = shape.hc_mult, call.outside_tokens
    if not streams:
        return []
    size = dtype_bytes(call.inner_dtype)
    width = streams * shape.hidden_size
    moved = 2 * t * (3 * width + 2 * shape.hidden_size) * size
    mix = gemm("stream_coefficients", call, t, streams * (2 + streams), width, call.inner_dtype, replicated=not call.sp)
    mix.dtype = call.inner_dtype
    mix.count = 2
    return [mix, memory("stream_mix", call, moved, ops=4)]


def _mlp_block(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    size = dtype_bytes(call.inner_dtype)
    if kind.mlp == NONE:
        return []
    norms = shape.norms_per_layer - (kind.attention != NONE)
    norm = memory("mlp_norm", call, 4 * call.outside_tokens * shape.hidden_size * size * (norms > 0))
    head = [norm] if norms else []
    if kind.mlp == SPARSE:
        return [*head, *_expert_block(shape, kind, call)]
    dense = _dense(shape, call, "mlp", kind.intermediate_size)
    return [*head, *gather("mlp_all_gather", shape, call), *dense, *reduce("mlp_all_reduce", shape, call)]


def _dense(shape: ModelShape, call: Pass, name: str, intermediate: int) -> list[Op]:
    t, h = call.tokens, shape.hidden_size
    width = share(intermediate, call.tp)
    gates = 2 if shape.mlp_gated else 1
    size = dtype_bytes(call.inner_dtype)
    return [
        gemm(f"{name}_up", call, t, gates * width, h, call.weight_dtype),
        memory(f"{name}_activation", call, (gates + 1) * t * width * size),
        gemm(f"{name}_down", call, t, h, width, call.weight_dtype),
    ]


def _expert_block(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    """Router, dispatch, grouped products over the experts of this rank, combine, shared expert.

    The expert ranks (ep x expert_tp) serve ep x expert_tp / tp replicas of the attention side.
    """
    h, experts, k = shape.hidden_size, shape.n_routed_experts, shape.num_experts_per_tok
    inner = shape.expert_input_size
    t = call.tokens
    own = t / call.tp if call.sp else t
    replicas = call.ep * call.expert_tp / call.tp
    routed = t * k * replicas / call.ep * call.imbalance
    size = dtype_bytes(call.inner_dtype)
    gates = 2 if shape.mlp_gated else 1
    width = share(kind.intermediate_size, call.expert_tp)
    per_expert, busy = _busy_experts(experts, k, t * replicas, call.ep, routed)
    args = {"tokens_per_expert": per_expert, "experts": busy, "experts_held": experts / call.ep}
    router = gemm("router", call, own, experts, h, "fp32", replicated=not call.sp)
    router.dtype = "fp32"
    out = [router, memory("route", call, own * experts * 4 + 2 * routed * inner * size, ops=4)]
    if shape.moe_latent_size:
        out.append(gemm("latent_down", call, own, inner, h, call.weight_dtype, replicated=not call.sp))
    out += exchange("dispatch", shape, call, call.act_dtype)
    reduced, gathered = _expert_closing(shape, call)
    up = {**args, "n": gates * width, "k": inner}
    down = {**args, "n": inner, "k": width}
    shared = shape.shared_expert_intermediate_size
    out += [
        Op("experts_up", "grouped_gemm", up, dtype=call.act_dtype, weight_dtype=call.expert_dtype),
        memory("experts_activation", call, (gates + 1) * routed * width * size),
        Op("experts_down", "grouped_gemm", down, dtype=call.act_dtype, weight_dtype=call.expert_dtype),
        *exchange("combine", shape, call, call.inner_dtype),
    ]
    if shared:
        out += _dense(shape, call, "shared_expert", shared)
    out.append(memory("weighted_sum", call, (k + 1) * own * inner * size))
    if shape.moe_latent_size:
        out.append(gemm("latent_up", call, own, h, inner, call.weight_dtype, replicated=not call.sp))
    return [
        *gather("mlp_all_gather", shape, call, reduced),
        *out,
        *reduce("mlp_all_reduce", shape, call, reduced),
        *gathered,
    ]


def _expert_closing(shape: ModelShape, call: Pass) -> tuple[Any, list[Op]]:
    """(share of the usual tensor-parallel sum that is needed, gathering of tokens scattered for the exchange).

    Experts reached by all-to-all return whole rows; the sum over ``tp`` remains for shared experts, for experts
    split like dense layers, and where the expert ranks are the tensor-parallel ranks of one replica.
    """
    scattered = exchanged(call)
    if shape.shared_expert_intermediate_size:
        return 1, []
    if call.sp or not split(call.tp):
        return 1 - scattered, []
    op = collective("token_all_gather", "all_gather", scattered * message(shape, call), call.tp, "tp", call.inner_dtype)
    return 1 - scattered, [op] if np.any(scattered) else []


def _busy_experts(experts: int, k: int, tokens: Any, ep: Any, routed: Any) -> tuple[Any, Any]:
    """(tokens per busy expert, expected busy experts on a rank) for tokens routed independently and evenly."""
    held = np.maximum(experts / ep, 1)
    busy = held * -np.expm1(tokens * np.log1p(-min(k / experts, 1 - 1e-12)))
    busy = np.maximum(busy, np.minimum(1.0, routed))
    return routed / np.maximum(busy, 1e-12), busy


# ---- backward -------------------------------------------------------------------------------------------------

_MIRROR = {"all_gather": "reduce_scatter", "reduce_scatter": "all_gather"}


def _backward(op: Op) -> list[Op]:
    """The backward pass of one forward operator: gradients of inputs and of weights."""
    a = op.args

    def grad(suffix: str, **args: Any) -> Op:
        return replace(op, name=f"{op.name}_{suffix}", args={**a, **args}, direction="backward")

    if op.family == "gemm":
        m, n, k = a["m"], a["n"], a["k"]
        return [grad("dgrad", n=k, k=n), grad("wgrad", m=n, n=k, k=m)]
    if op.family == "grouped_gemm":
        return [grad("dgrad", n=a["k"], k=a["n"]), grad("wgrad")]
    if op.family in ("memory", "embedding"):
        return [grad("grad", bytes=2 * a["bytes"])]
    if op.family == "collective":
        return [grad("grad", op=_MIRROR.get(a["op"], a["op"]))]
    if op.family in ("dispatch", "combine"):
        return [replace(grad("grad"), family="combine" if op.family == "dispatch" else "dispatch")]
    return [grad("grad")]
