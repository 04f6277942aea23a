"""Operators of the attention side of a layer: grouped, latent, shared and compressed, recurrent."""

from __future__ import annotations

from typing import Any

from wafer2token.workload.dtypes import dtype_bytes
from wafer2token.workload.ops import STATE_CHUNK, STATE_PASSES, Op, attended_pairs
from wafer2token.workload.pieces import Pass, batched, gather, gemm, memory, reduce, ring, share
from wafer2token.workload.shape import NONE, LayerKind, ModelShape


def attention_block(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    if kind.attention == NONE:
        return []
    size = dtype_bytes(call.inner_dtype)
    extra = 2 * call.outside_tokens * shape.hidden_size * size * (shape.norms_per_layer > 2)
    norm = memory("input_norm", call, 4 * call.outside_tokens * shape.hidden_size * size + extra)
    if kind.attention == "linear":
        inner = _linear_attention(shape, call)
    elif shape.kv_lora_rank:
        inner = _latent_attention(shape, kind, call)
    elif shape.o_groups:
        inner = _shared_attention(shape, kind, call)
    else:
        inner = _grouped_attention(shape, kind, call)
    return [norm, *gather("attention_all_gather", shape, call), *inner, *reduce("attention_all_reduce", shape, call)]


def _grouped_attention(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    t, h, d, v = call.tokens, shape.hidden_size, shape.head_dim, shape.value_head_dim
    heads = share(shape.num_attention_heads, call.tp)
    kv = share(shape.num_key_value_heads, call.tp)
    q_width = heads * d * (2 if shape.attn_output_gate else 1)
    size, kv_size = dtype_bytes(call.inner_dtype), dtype_bytes(call.kv_dtype)
    normed = shape.qk_norm or shape.qk_norm_full
    prepare = 2 * t * (heads + kv) * d * size * (2 if normed else 1)
    write = t * kv * (d + v) * (size + kv_size) * (call.phase != "train")
    kv_width = kv * (d if shape.value_is_key else d + v)
    gates = heads if shape.head_gate else 0
    rank = shape.q_lora_rank
    first = [gemm("qkv_proj", call, t, (0 if rank else q_width) + kv_width + gates, h, call.weight_dtype)]
    if rank:
        first.append(gemm("q_down_proj", call, t, rank, h, call.weight_dtype, replicated=True))
        first.append(gemm("q_up_proj", call, t, q_width, rank, call.weight_dtype))
    out = [
        *first,
        memory("rope", call, prepare + write, ops=3 if normed else 2),
        *ring(shape, call, kv * (d + v)),
        *(_index(shape, call) if kind.index_topk else ()),
        _attention("attention", call, heads, kv, d, v, kind.window, kind.index_topk),
    ]
    if shape.attn_output_gate or shape.head_gate:
        out.append(memory("output_gate", call, (3 if shape.attn_output_gate else 2) * t * heads * v * size))
    return [*out, gemm("o_proj", call, t, h, heads * v, call.weight_dtype)]


def _latent_attention(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    t, h = call.tokens, shape.hidden_size
    heads = share(shape.num_attention_heads, call.tp)
    q_rank, kv_rank, rope = shape.q_lora_rank, shape.kv_lora_rank, shape.qk_rope_head_dim
    size, kv_size = dtype_bytes(call.inner_dtype), dtype_bytes(call.kv_dtype)
    q_width = heads * shape.qk_head_dim
    down = gemm("qkv_down_proj", call, t, q_rank + kv_rank + rope, h, call.weight_dtype, replicated=True)
    latent = 2 * t * (q_rank + kv_rank + rope) * size + t * (kv_rank + rope) * (kv_size + size)
    out = [
        down,
        memory("latent_norms", call, latent, ops=3),
        gemm("q_up_proj", call, t, q_width, q_rank or h, call.weight_dtype),
        memory("rope", call, 2 * t * heads * rope * size),
    ]
    if kind.index_topk:
        out += _index(shape, call)
    absorbed = call.phase == "decode" or bool(kind.index_topk and call.phase != "train")
    inner = _absorbed if absorbed else _expanded
    out += inner(shape, kind, call, heads)
    width = heads * shape.v_head_dim
    if shape.latent_output_gate:
        out += [
            gemm("gate_proj", call, t, width, h, call.weight_dtype),
            memory("output_gate", call, 3 * t * width * size),
        ]
    return [*out, gemm("o_proj", call, t, h, width, call.weight_dtype)]


def _shared_attention(shape: ModelShape, kind: LayerKind, call: Pass) -> list[Op]:
    """DeepSeek-V4: one head is key and value; a window of single tokens beside entries that each stand for several.

    Entries of ``compress_ratio`` tokens are all attended to, or those that a sparse index selects. Queries attend to as many
    keys as they see on average; latent kernels read each key once for scores and sums.
    """
    t, h, d, ratio = call.tokens, shape.hidden_size, shape.head_dim, shape.compress_ratio
    heads, groups = share(shape.num_attention_heads, call.tp), share(shape.o_groups, call.tp)
    size, kv_size = dtype_bytes(call.inner_dtype), dtype_bytes(call.kv_dtype)
    weight = call.weight_dtype
    out = [
        gemm("qkv_down_proj", call, t, shape.q_lora_rank + d, h, weight, replicated=True),
        memory("latent_norms", call, 2 * t * (shape.q_lora_rank + d) * size + t * d * (size + kv_size), ops=3),
        gemm("q_up_proj", call, t, heads * d, shape.q_lora_rank, weight),
        memory("rope", call, 4 * t * heads * d * size, ops=2),
        *ring(shape, call, d),
    ]
    seen = attended_pairs(call.q_len, call.kv_len, shape.sliding_window) / call.q_len
    if ratio > 1:
        out += _compress(shape, call, (2 if kind.index_topk else 1) * d, d)
        seen = seen + attended_pairs(call.q_len, call.kv_len, kind.index_topk * ratio) / ratio / call.q_len
    if kind.index_topk and ratio > 1:
        out += _compress(shape, call, 2 * shape.index_head_dim, shape.index_head_dim) + _index(shape, call)
    family = "attention_prefill" if call.phase == "train" else "mla_decode"
    core = _attention("attention", call, heads, 1, d, d, 0, 0, family=family)
    core.args |= {"kv_len": seen, "causal": False}
    return [
        *out,
        core,
        memory("inverse_rope", call, 2 * t * heads * d * size),
        batched("o_down_proj", call, groups, t, shape.o_lora_rank, heads * d / groups),
        gemm("o_proj", call, t, h, groups * shape.o_lora_rank, weight),
    ]


def _compress(shape: ModelShape, call: Pass, width: int, kept: int) -> list[Op]:
    """Keys pooled along the sequence: a series and its weights per token, a weighted sum per entry."""
    size = dtype_bytes(call.inner_dtype)
    moved = call.tokens * (4 * width + kept / shape.compress_ratio) * size
    return [
        gemm("compressor", call, call.tokens, 2 * width, shape.hidden_size, call.weight_dtype, replicated=True),
        memory("compress", call, moved, ops=2),
    ]


def _absorbed(shape: ModelShape, kind: LayerKind, call: Pass, heads: Any) -> list[Op]:
    """Latent attention on the latents themselves: the up-projections move to the query and output side."""
    rank = shape.kv_lora_rank
    width = rank + shape.qk_rope_head_dim
    return [
        batched("q_absorb", call, heads, call.tokens, rank, shape.qk_nope_head_dim),
        _attention("attention", call, heads, 1, width, rank, kind.window, kind.index_topk, family="mla_decode"),
        batched("v_absorb", call, heads, call.tokens, shape.v_head_dim, rank),
    ]


def _expanded(shape: ModelShape, kind: LayerKind, call: Pass, heads: Any) -> list[Op]:
    """Latent attention with keys and values of every head written out, as in prefill and training."""
    nope, v = shape.qk_nope_head_dim, shape.v_head_dim
    kept = call.tokens + (call.batch * (call.kv_len - call.q_len)) / call.cp
    topk = 0 if call.phase == "train" else kind.index_topk
    return [
        gemm("kv_up_proj", call, kept, heads * (nope + v), shape.kv_lora_rank, call.weight_dtype),
        *ring(shape, call, heads * (shape.qk_head_dim + v)),
        _attention("attention", call, heads, heads, shape.qk_head_dim, v, kind.window, topk),
    ]


def _index(shape: ModelShape, call: Pass) -> list[Op]:
    """Sparse index in front of attention (DeepSeek-V3.2 report, arXiv:2512.02556): scores, then top-k.

    Nothing where a layer takes over the choice of another one.
    """
    t, heads, d = call.tokens, shape.index_n_heads, shape.index_head_dim
    if not heads:
        return []
    ratio = max(shape.compress_ratio, 1)
    scores = call.batch * call.q_len * call.kv_len / ratio * 4 / call.cp
    index = Op(
        "index_scores",
        "attention_index",
        {
            "batch": call.batch,
            "q_len": call.q_len / call.cp,
            "kv_len": call.kv_len,
            "ratio": ratio,
            "heads": heads,
            "qk_dim": d,
        },
        dtype=call.act_dtype,
        kv_dtype="fp8" if dtype_bytes(call.act_dtype) < 2 else call.kv_dtype,
        replicated=True,
    )
    weight = call.weight_dtype
    key = 0 if shape.o_groups else d
    return [
        gemm("index_q", call, t, heads * d, shape.q_lora_rank or shape.hidden_size, weight, replicated=True),
        gemm("index_k", call, t, key + heads, shape.hidden_size, weight, replicated=True),
        index,
        memory("index_topk", call, 2 * scores, ops=2),
    ]


def _linear_attention(shape: ModelShape, call: Pass) -> list[Op]:
    """Recurrent layers (see ``counts``): projections, short convolution, state update, gated norm."""
    t, h = call.tokens, shape.hidden_size
    keys = share(shape.linear_num_key_heads, call.tp)
    values = share(shape.linear_num_value_heads, call.tp)
    k_width, v_width = keys * shape.linear_key_head_dim, values * shape.linear_value_head_dim
    size = dtype_bytes(call.inner_dtype)
    scalars = values if shape.linear_rule == "mamba2" else 2 * values
    gates: list[Op] = []
    width = 2 * k_width + 2 * v_width + scalars
    if shape.linear_rule == "kda":
        low = shape.linear_key_head_dim
        through = 0 if shape.attn_output_gate else v_width
        width = 2 * k_width + v_width + values + (v_width if shape.attn_output_gate else 0)
        gates = [
            gemm("gates_down", call, t, low * (2 if through else 1), h, call.weight_dtype, replicated=True),
            gemm("gates_up", call, t, k_width + through, low, call.weight_dtype),
        ]
    scan = Op(
        "state_update",
        "linear_attention",
        {
            "batch": call.batch,
            "q_len": call.q_len / call.cp,
            "heads": values,
            "qk_dim": shape.linear_key_head_dim,
            "v_dim": shape.linear_value_head_dim,
            "passes": STATE_PASSES[shape.linear_rule],
            "chunk": STATE_CHUNK[shape.linear_rule],
        },
        dtype=call.inner_dtype,
    )
    return [
        gemm("qkvz_proj", call, t, width, h, call.weight_dtype),
        *gates,
        memory("short_convolution", call, 2 * t * (2 * k_width + v_width) * size, ops=2),
        scan,
        memory("gated_norm", call, 3 * t * v_width * size),
        gemm("o_proj", call, t, h, v_width, call.weight_dtype),
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
