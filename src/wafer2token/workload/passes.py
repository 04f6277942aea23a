"""A transformer pass as a list of operators with per-rank shapes, for one or many configurations at once.

Every numeric argument may be an array; arrays broadcast, so one call describes a whole sweep. The list is built
per layer *kind* and carries counts: its length does not grow with depth, batch or the number of configurations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wafer2token.evidence.errors import InputError, Problem
from wafer2token.workload.dtypes import canonical_dtype, dtype_bytes
from wafer2token.workload.ops import Op
from wafer2token.workload.shape import RECURRENT, SPARSE, LayerKind, ModelShape, layers, nextn_kind

PHASES = ("prefill", "decode", "train")


@dataclass(frozen=True, slots=True)
class Pass:
    """How a model is passed through: phase, tokens, split over ranks, number formats. All sizes per model replica.

    ``q_len`` new tokens in each of ``batch`` sequences, attending to ``kv_len`` tokens (new ones included).
    ``tp`` splits attention and dense MLPs, ``ep`` spreads experts, each split ``expert_tp`` ways; ``cp`` splits the
    sequence; ``sp`` keeps activations outside tensor-parallel regions split over ``tp``. ``imbalance`` is the load
    of the busiest expert rank over the mean.
    """

    phase: str
    batch: Any
    q_len: Any
    kv_len: Any
    tokens: Any
    logit_tokens: Any
    tp: Any
    ep: Any
    expert_tp: Any
    cp: Any
    sp: bool
    imbalance: Any
    weight_dtype: str
    act_dtype: str
    kv_dtype: str
    expert_dtype: str
    head_dtype: str

    @property
    def inner_dtype(self) -> str:
        """Format of attention and element-wise work: 16 bits also where matrix products run in 8."""
        return self.act_dtype if dtype_bytes(self.act_dtype) >= 2 else "bf16"

    @property
    def outside_tokens(self) -> Any:
        """Tokens whose norms and residuals one rank handles."""
        return self.tokens / self.tp if self.sp else self.tokens


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
    forward = _attention_block(shape, kind, call) + _mlp_block(shape, kind, call)
    label = kind.name
    for op in forward:
        op.count = op.count * count
        op.layer = label
    return forward + [g for op in reversed(forward) for g in _backward(op)] if call.phase == "train" else forward


def embedding_operators(shape: ModelShape, call: Pass) -> list[Op]:
    """Lookup of the input embedding, split over the vocabulary under tensor parallelism."""
    size = dtype_bytes(call.inner_dtype)
    lookup = _memory("embedding", call, 2 * call.tokens * shape.hidden_size * size, family="embedding")
    out = [lookup, *_reduce("embedding_all_reduce", shape, call)]
    if call.phase == "train":
        out += _backward(lookup)
    for op in out:
        op.layer = "embedding"
    return out


def head_operators(shape: ModelShape, call: Pass) -> list[Op]:
    """Final norm and output head on the tokens whose logits are wanted; the loss when training."""
    size = dtype_bytes(call.inner_dtype)
    width = _share(shape.vocab_size, call.tp)
    few = replace(call, tokens=call.logit_tokens, act_dtype=call.head_dtype)
    out = [
        _memory("final_norm", call, 2 * call.logit_tokens * shape.hidden_size * size),
        _gemm("lm_head", few, call.logit_tokens, width, shape.hidden_size, call.head_dtype),
        _memory("softmax", call, 2 * call.logit_tokens * width * 4, ops=2),
    ]
    if call.phase == "train":
        out += [g for op in reversed(out) for g in _backward(op)]
        out += [replace(op, direction="backward") for op in _reduce("head_all_reduce", shape, call)]
    for op in out:
        op.layer = "head"
    return out


def nextn_operators(shape: ModelShape, call: Pass) -> list[Op]:
    """Multi-token-prediction layers: join of two states, one layer, and the shared head again."""
    n = shape.num_nextn_predict_layers
    h = shape.hidden_size
    size = dtype_bytes(call.inner_dtype)
    join = [
        _memory("mtp_norms", call, 6 * call.tokens * h * size, ops=3),
        _gemm("mtp_join", call, call.tokens, h, 2 * h, call.weight_dtype),
    ]
    if call.phase == "train":
        join += [g for op in reversed(join) for g in _backward(op)]
    out = join + layer_operators(shape, nextn_kind(shape), call) + head_operators(shape, call)
    for op in out:
        op.layer, op.count = "mtp", op.count * n
    return out


# ---- attention ------------------------------------------------------------------------------------------------


def _attention_block(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    size = dtype_bytes(call.inner_dtype)
    extra = 2 * call.outside_tokens * shape.hidden_size * size * (shape.norms_per_layer > 2)
    norm = _memory("input_norm", call, 4 * call.outside_tokens * shape.hidden_size * size + extra)
    if kind.attention in RECURRENT:
        inner = _linear_attention(shape, call)
    elif shape.kv_lora_rank:
        inner = _latent_attention(shape, kind, call)
    else:
        inner = _grouped_attention(shape, kind, call)
    return [norm, *_gather("attention_all_gather", shape, call), *inner, *_reduce("attention_all_reduce", shape, call)]


def _grouped_attention(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    t, h, d = call.tokens, shape.hidden_size, shape.head_dim
    heads = _share(shape.num_attention_heads, call.tp)
    kv = _share(shape.num_key_value_heads, call.tp)
    q_width = heads * d * (2 if shape.attn_output_gate else 1)
    size, kv_size = dtype_bytes(call.inner_dtype), dtype_bytes(call.kv_dtype)
    normed = shape.qk_norm or shape.qk_norm_full
    prepare = 2 * t * (heads + kv) * d * size * (2 if normed else 1)
    write = 2 * t * kv * d * (size + kv_size) * (call.phase != "train")
    out = [
        _gemm("qkv_proj", call, t, q_width + 2 * kv * d, h, call.weight_dtype),
        _memory("rope", call, prepare + write, ops=3 if normed else 2),
        *_ring(shape, call, 2 * kv * d),
        _attention("attention", call, heads, kv, d, d, kind.window, kind.index_topk),
    ]
    if shape.attn_output_gate:
        out.append(_memory("output_gate", call, 3 * t * heads * d * size))
    return [*out, _gemm("o_proj", call, t, h, heads * d, call.weight_dtype)]


def _latent_attention(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    t, h = call.tokens, shape.hidden_size
    heads = _share(shape.num_attention_heads, call.tp)
    q_rank, kv_rank, rope = shape.q_lora_rank, shape.kv_lora_rank, shape.qk_rope_head_dim
    size, kv_size = dtype_bytes(call.inner_dtype), dtype_bytes(call.kv_dtype)
    q_width = heads * shape.qk_head_dim
    down = _gemm("qkv_down_proj", call, t, q_rank + kv_rank + rope, h, call.weight_dtype, replicated=True)
    latent = 2 * t * (q_rank + kv_rank + rope) * size + t * (kv_rank + rope) * (kv_size + size)
    out = [
        down,
        _memory("latent_norms", call, latent, ops=3),
        _gemm("q_up_proj", call, t, q_width, q_rank or h, call.weight_dtype),
        _memory("rope", call, 2 * t * heads * rope * size),
    ]
    if kind.index_topk:
        out += _index(shape, call)
    absorbed = call.phase == "decode" or bool(kind.index_topk and call.phase != "train")
    inner = _absorbed if absorbed else _expanded
    out += inner(shape, kind, call, heads)
    return [*out, _gemm("o_proj", call, t, h, heads * shape.v_head_dim, call.weight_dtype)]


def _absorbed(shape: ModelShape, kind: LayerKind, call: Pass, heads: Any) -> list[Op]:
    """Latent attention on the latents themselves: the up-projections move to the query and output side."""
    rank = shape.kv_lora_rank
    width = rank + shape.qk_rope_head_dim
    return [
        _batched("q_absorb", call, heads, call.tokens, rank, shape.qk_nope_head_dim),
        _attention("attention", call, heads, 1, width, rank, kind.window, kind.index_topk, family="mla_decode"),
        _batched("v_absorb", call, heads, call.tokens, shape.v_head_dim, rank),
    ]


def _expanded(shape: ModelShape, kind: LayerKind, call: Pass, heads: Any) -> list[Op]:
    """Latent attention with keys and values of every head written out, as in prefill and training."""
    nope, v = shape.qk_nope_head_dim, shape.v_head_dim
    kept = call.tokens + (call.batch * (call.kv_len - call.q_len)) / call.cp
    topk = 0 if call.phase == "train" else kind.index_topk
    return [
        _gemm("kv_up_proj", call, kept, heads * (nope + v), shape.kv_lora_rank, call.weight_dtype),
        *_ring(shape, call, heads * (shape.qk_head_dim + v)),
        _attention("attention", call, heads, heads, shape.qk_head_dim, v, kind.window, topk),
    ]


def _index(shape: ModelShape, call: Pass) -> list[Op]:
    """Sparse index in front of latent attention (DeepSeek-V3.2 report, arXiv:2512.02556): scores, then top-k."""
    t, heads, d = call.tokens, shape.index_n_heads, shape.index_head_dim
    scores = call.batch * call.q_len * call.kv_len * 4 / call.cp
    index = Op(
        "index_scores",
        "attention_index",
        {"batch": call.batch, "q_len": call.q_len / call.cp, "kv_len": call.kv_len, "heads": heads, "qk_dim": d},
        dtype=call.act_dtype,
        kv_dtype="fp8" if dtype_bytes(call.act_dtype) < 2 else call.kv_dtype,
        replicated=True,
    )
    weight = call.weight_dtype
    return [
        _gemm("index_q", call, t, heads * d, shape.q_lora_rank or shape.hidden_size, weight, replicated=True),
        _gemm("index_k", call, t, d + heads, shape.hidden_size, weight, replicated=True),
        index,
        _memory("index_topk", call, 2 * scores, ops=2),
    ]


def _linear_attention(shape: ModelShape, call: Pass) -> list[Op]:
    t, h = call.tokens, shape.hidden_size
    keys = _share(shape.linear_num_key_heads, call.tp)
    values = _share(shape.linear_num_value_heads, call.tp)
    k_width, v_width = keys * shape.linear_key_head_dim, values * shape.linear_value_head_dim
    size = dtype_bytes(call.inner_dtype)
    scan = Op(
        "delta_rule",
        "linear_attention",
        {
            "batch": call.batch,
            "q_len": call.q_len / call.cp,
            "heads": values,
            "qk_dim": shape.linear_key_head_dim,
            "v_dim": shape.linear_value_head_dim,
        },
        dtype=call.inner_dtype,
    )
    return [
        _gemm("qkvz_proj", call, t, 2 * k_width + 2 * v_width + 2 * values, h, call.weight_dtype),
        _memory("short_convolution", call, 2 * t * (2 * k_width + v_width) * size, ops=2),
        scan,
        _memory("gated_norm", call, 3 * t * v_width * size),
        _gemm("o_proj", call, t, h, v_width, call.weight_dtype),
    ]


def _attention(
    name: str, call: Pass, heads: Any, kv_heads: Any, qk_dim: Any, v_dim: Any, window: int, topk: int,
    family: str = "",
) -> Op:  # fmt: skip
    args = {
        "batch": call.batch,
        "q_len": call.q_len,
        "kv_len": call.kv_len,
        "heads": heads,
        "kv_heads": kv_heads,
        "qk_dim": qk_dim,
        "v_dim": v_dim,
        "window": window,
        "topk": topk,
        "causal": True,
        "cp": call.cp,
    }
    family = family or ("attention_decode" if call.phase == "decode" else "attention_prefill")
    kv_dtype = call.inner_dtype if call.phase == "train" else call.kv_dtype
    return Op(name, family, args, dtype=call.inner_dtype, kv_dtype=kv_dtype)


# ---- MLP and experts ------------------------------------------------------------------------------------------


def _mlp_block(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    size = dtype_bytes(call.inner_dtype)
    norms = shape.norms_per_layer - 1
    norm = _memory("mlp_norm", call, 4 * call.outside_tokens * shape.hidden_size * size * (norms > 0))
    head = [norm] if norms else []
    if kind.mlp == SPARSE:
        return [*head, *_expert_block(shape, kind, call)]
    dense = _dense(shape, call, "mlp", kind.intermediate_size)
    return [*head, *_gather("mlp_all_gather", shape, call), *dense, *_reduce("mlp_all_reduce", shape, call)]


def _dense(shape: ModelShape, call: Pass, name: str, intermediate: int) -> list[Op]:
    t, h = call.tokens, shape.hidden_size
    width = _share(intermediate, call.tp)
    gates = 2 if shape.mlp_gated else 1
    size = dtype_bytes(call.inner_dtype)
    return [
        _gemm(f"{name}_up", call, t, gates * width, h, call.weight_dtype),
        _memory(f"{name}_activation", call, (gates + 1) * t * width * size),
        _gemm(f"{name}_down", call, t, h, width, call.weight_dtype),
    ]


def _expert_block(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    """Router, dispatch, grouped products over the experts of this rank, combine, shared expert.

    The expert ranks (ep x expert_tp) serve ep x expert_tp / tp replicas of the attention side.
    """
    h, experts, k = shape.hidden_size, shape.n_routed_experts, shape.num_experts_per_tok
    t = call.tokens
    own = t / call.tp if call.sp else t
    replicas = call.ep * call.expert_tp / call.tp
    routed = t * k * replicas / call.ep * call.imbalance
    size = dtype_bytes(call.inner_dtype)
    gates = 2 if shape.mlp_gated else 1
    width = _share(kind.intermediate_size, call.expert_tp)
    per_expert, busy = _busy_experts(experts, k, t * replicas, call.ep, routed)
    args = {"tokens_per_expert": per_expert, "experts": busy, "experts_held": experts / call.ep}
    router = _gemm("router", call, own, experts, h, "fp32", replicated=not call.sp)
    router.dtype = "fp32"
    out = [router, _memory("route", call, own * experts * 4 + 2 * routed * h * size, ops=4)]
    out += _exchange("dispatch", shape, call, call.act_dtype)
    reduced, gathered = _expert_closing(shape, call)
    inner = shape.expert_hidden_size
    up = {**args, "n": gates * width, "k": inner}
    down = {**args, "n": inner, "k": width}
    shared = shape.shared_expert_intermediate_size
    out += [
        Op("experts_up", "grouped_gemm", up, dtype=call.act_dtype, weight_dtype=call.expert_dtype),
        _memory("experts_activation", call, (gates + 1) * routed * width * size),
        Op("experts_down", "grouped_gemm", down, dtype=call.act_dtype, weight_dtype=call.expert_dtype),
        *_exchange("combine", shape, call, call.inner_dtype),
    ]
    if shared:
        out += _dense(shape, call, "shared_expert", shared)
    out.append(_memory("weighted_sum", call, (k + 1) * own * h * size))
    return [
        *_gather("mlp_all_gather", shape, call, reduced),
        *out,
        *_reduce("mlp_all_reduce", shape, call, reduced),
        *gathered,
    ]


def _expert_closing(shape: ModelShape, call: Pass) -> tuple[Any, list[Op]]:
    """(share of the usual tensor-parallel sum that is needed, gathering of tokens scattered for the exchange).

    Experts reached by all-to-all return whole rows; the sum over ``tp`` remains for shared experts, for experts
    split like dense layers, and where the expert ranks are the tensor-parallel ranks of one replica.
    """
    scattered = _exchanged(call)
    if shape.shared_expert_intermediate_size:
        return 1, []
    if call.sp or not _split(call.tp):
        return 1 - scattered, []
    op = _collective(
        "token_all_gather", "all_gather", scattered * _message(shape, call), call.tp, "tp", call.inner_dtype
    )
    return 1 - scattered, [op] if np.any(scattered) else []


def _busy_experts(experts: int, k: int, tokens: Any, ep: Any, routed: Any) -> tuple[Any, Any]:
    """(tokens per busy expert, expected busy experts on a rank) for tokens routed independently and evenly."""
    held = np.maximum(experts / ep, 1)
    busy = held * -np.expm1(tokens * np.log1p(-min(k / experts, 1 - 1e-12)))
    busy = np.maximum(busy, np.minimum(1.0, routed))
    return routed / np.maximum(busy, 1e-12), busy


# ---- small pieces ---------------------------------------------------------------------------------------------


def _share(count: int, ways: Any) -> Any:
    """What one of ``ways`` ranks holds of ``count``, rounded up."""
    return -(-count // ways)


def _gemm(name: str, call: Pass, m: Any, n: Any, k: Any, weight_dtype: str, replicated: bool = False) -> Op:
    return Op(
        name, "gemm", {"m": m, "n": n, "k": k}, dtype=call.act_dtype, weight_dtype=weight_dtype, replicated=replicated
    )


def _batched(name: str, call: Pass, groups: Any, m: Any, n: Any, k: Any) -> Op:
    args = {"groups": groups, "m": m, "n": n, "k": k}
    return Op(name, "batched_gemm", args, dtype=call.inner_dtype, weight_dtype=call.inner_dtype)


def _memory(name: str, call: Pass, bytes_: Any, ops: int = 1, family: str = "memory") -> Op:
    return Op(name, family, {"bytes": bytes_, "ops": ops}, dtype=call.inner_dtype)


def _split(ways: Any) -> bool:
    return bool(np.any(np.asarray(ways) > 1)) if np.ndim(ways) else bool(ways > 1)


def _collective(name: str, op: str, bytes_: Any, ranks: Any, group: str, dtype: str) -> Op:
    return Op(name, "collective", {"op": op, "bytes": bytes_, "ranks": ranks, "group": group}, dtype=dtype)


def _message(shape: ModelShape, call: Pass) -> Any:
    return call.tokens * shape.hidden_size * dtype_bytes(call.inner_dtype)


def _reduce(name: str, shape: ModelShape, call: Pass, part: Any = 1) -> list[Op]:
    """Sum over the tensor-parallel ranks at the end of a block: all-reduce, or reduce-scatter with ``sp``."""
    if not (_split(call.tp) and np.any(part)):
        return []
    op = "reduce_scatter" if call.sp else "all_reduce"
    return [_collective(name, op, part * _message(shape, call), call.tp, "tp", call.inner_dtype)]


def _gather(name: str, shape: ModelShape, call: Pass, part: Any = 1) -> list[Op]:
    """All-gather of the split activations at the start of a block (``sp`` only)."""
    if not (call.sp and _split(call.tp) and np.any(part)):
        return []
    return [_collective(name, "all_gather", part * _message(shape, call), call.tp, "tp", call.inner_dtype)]


def _ring(shape: ModelShape, call: Pass, width: Any) -> list[Op]:
    """Keys and values of the other context-parallel ranks."""
    if not _split(call.cp):
        return []
    bytes_ = call.batch * call.kv_len * width * dtype_bytes(call.inner_dtype)
    return [_collective("context_all_gather", "all_gather", bytes_, call.cp, "cp", call.inner_dtype)]


def _exchanged(call: Pass) -> Any:
    """1 where tokens travel to experts by all-to-all, 0 where every expert rank holds all tokens already."""
    several = (np.asarray(call.ep) > 1) & ((call.ep * call.expert_tp > np.asarray(call.tp)) | call.sp)
    return several.astype(float) if np.ndim(several) else float(several)


def _exchange(name: str, shape: ModelShape, call: Pass, dtype: str) -> list[Op]:
    """All-to-all of an expert layer, from the point of view of one rank's own tokens."""
    scattered = _exchanged(call)
    if not np.any(scattered):
        return []
    args = {
        "tokens": scattered * call.tokens / call.tp,
        "hidden_size": shape.hidden_size,
        "top_k": shape.num_experts_per_tok,
        "ep": call.ep,
        "bytes_per_element": dtype_bytes(dtype),
        "imbalance": call.imbalance,
        "group": "ep",
    }
    return [Op(name, name, args, dtype=dtype)]


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
