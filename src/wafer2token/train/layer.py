"""The work of one transformer layer on one rank for one micro-batch, priced kernel by kernel.

Backward of a matrix product is two products of the same size (input and weight gradient); backward of attention is
priced by the chip room (five products for the forward's two, Dao 2023, arXiv 2307.08691, section 3.1).
All counts are per rank after tensor, context and expert parallelism; arrays run over plans.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from wafer2token import chip as kernels
from wafer2token.catalog import get
from wafer2token.evidence.errors import EvidenceError
from wafer2token.train.plan import Plan, PlanTable
from wafer2token.workload import LayerKind, ModelShape, make_pass, mixer_operators, of_layer

Array = np.ndarray
GEMM_DTYPES = {
    "fp8": ("fp8", "mxfp8"),
    "mxfp8": ("mxfp8", "fp8"),
    "nvfp4": ("nvfp4", "fp4", "mxfp4"),
    "fp4": ("fp4", "nvfp4", "mxfp4"),
    "fp16": ("fp16", "bf16"),
    "tf32": ("tf32", "bf16"),
    "fp32": ("tf32", "bf16"),
}
BY_OPERATORS = ("linear", "shared", "none")
"""Kinds of attention that are priced from the workload room's operators: no kernel of theirs was measured in training."""
NARROW = ("fp8", "mxfp8", "fp4", "nvfp4", "mxfp4")


@dataclass(frozen=True)
class Work:
    """Seconds of one rank for one micro-batch, forward (f) and backward (b), by kind of kernel; `calls` are launches."""

    gemm_f: Array
    gemm_b: Array
    expert_f: Array
    expert_b: Array
    attention_f: Array
    attention_b: Array
    vector_f: Array
    vector_b: Array
    calls_f: Array
    calls_b: Array
    scan_f: Array
    scan_b: Array

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def scaled(self, by: Array | float) -> Work:
        """Every part times `by`."""
        return Work(*(getattr(self, f.name) * by for f in fields(self)))

    def take(self, rows: Array) -> Work:
        """The parts at the given rows."""
        return Work(*(np.asarray(getattr(self, f.name))[rows] for f in fields(self)))

    @property
    def forward(self) -> Array:
        """Seconds of all kernels, forward."""
        return np.asarray(self.gemm_f + self.expert_f + self.attention_f + self.vector_f + self.scan_f)

    @property
    def backward(self) -> Array:
        """Seconds of all kernels, backward without recomputation."""
        return np.asarray(self.gemm_b + self.expert_b + self.attention_b + self.vector_b + self.scan_b)


def nothing(like: Array) -> Work:
    """No work, shaped like an array."""
    zero = np.zeros_like(np.asarray(like, float))
    return Work(*(zero for _ in fields(Work)))


def gemm_dtype(acc: Any, precision: str) -> str:
    """Number format of the matrix products under a training precision on a chip; attention stays in 16 bits."""
    wanted = GEMM_DTYPES.get(precision, ("bf16", "fp16"))
    for name in (*wanted, "bf16", "fp16"):
        if name in acc.peaks:
            return name
    raise EvidenceError(f"{acc.id} has no dense peak for {precision}, bf16 or fp16")


def _gemm(acc: Any, m: Array, n: Array, k: Array, dtype: str, frozen: bool = False) -> tuple[Array, Array]:
    """Forward and backward seconds of one linear layer [m, k] x [k, n]; frozen weights have no gradient of their own."""
    forward = kernels.matmul_time(acc, m, n, k, dtype)
    backward = kernels.matmul_time(acc, m, k, n, dtype)
    return forward, backward if frozen else backward + kernels.matmul_time(acc, n, k, m, dtype)


def linears(shape: ModelShape, kind: LayerKind, tp: Array) -> list[tuple[Array, Array]]:
    """(n, k) of the dense linear layers of one rank: attention projections, dense MLP, shared experts."""
    h, heads = shape.hidden_size, shape.num_attention_heads
    if kind.attention == "mla":
        rope, nope, v = shape.qk_rope_head_dim, shape.qk_nope_head_dim, shape.v_head_dim
        q = (
            [(shape.q_lora_rank, h), (heads * (nope + rope) / tp, shape.q_lora_rank)]
            if shape.q_lora_rank
            else [(heads * (nope + rope) / tp, h)]
        )
        out = [*q, (shape.kv_lora_rank + rope, h), (heads * (nope + v) / tp, shape.kv_lora_rank), (h, heads * v / tp)]
    elif kind.attention in BY_OPERATORS:
        out = []
    else:
        d, v, kv_heads = shape.head_dim, shape.value_head_dim, np.maximum(shape.num_key_value_heads / tp, 1.0)
        gates = heads * (d if shape.attn_output_gate else int(shape.head_gate)) / tp
        keys = kv_heads * (d if shape.value_is_key else d + v)
        rank = shape.q_lora_rank
        queries = [(rank, h), (heads * d / tp, rank)] if rank else []
        out = [*queries, ((0.0 if rank else heads * d / tp) + gates + keys, h), (h, heads * v / tp)]
    ups = 2 if shape.mlp_gated else 1
    if kind.mlp == "sparse" and shape.moe_latent_size:
        out += [(shape.moe_latent_size, h), (h, shape.moe_latent_size)]
    width = beside_width(shape, kind)
    if width:
        out += [(ups * width / tp, h), (h, width / tp)]
    return [(np.asarray(n, float), np.asarray(k, float)) for n, k in out]


def expansion_seconds(shape: ModelShape, kind: LayerKind, acc: Any, plan: Plan | PlanTable, seq_len: int) -> Array:
    """Forward seconds of expanding latents into queries, keys and values: what selective recomputation repeats."""
    tp, cp = np.asarray(plan.tp, float), np.asarray(plan.cp, float)
    tokens = np.asarray(plan.micro_batch, float) * seq_len / cp
    if kind.attention != "mla":
        return np.zeros_like(tokens * tp)
    dtype, heads = gemm_dtype(acc, plan.precision), shape.num_attention_heads
    keys = kernels.matmul_time(
        acc, tokens, heads * (shape.qk_nope_head_dim + shape.v_head_dim) / tp, shape.kv_lora_rank, dtype
    )
    if not shape.q_lora_rank:
        return np.asarray(keys)
    return np.asarray(keys + kernels.matmul_time(acc, tokens, heads * shape.qk_head_dim / tp, shape.q_lora_rank, dtype))


def beside_width(shape: ModelShape, kind: LayerKind) -> int:
    """Width of the MLP that every token passes: the dense one or the shared experts, 0 where a layer has none."""
    return {"dense": kind.intermediate_size, "sparse": shared_width(shape)}.get(kind.mlp, 0)


def shared_width(shape: ModelShape) -> int:
    """Width of the shared experts taken together."""
    return shape.shared_expert_intermediate_size or shape.n_shared_experts * shape.moe_intermediate_size


def layer_work(
    shape: ModelShape,
    kind: LayerKind,
    acc: Any,
    plan: Plan | PlanTable,
    seq_len: int,
    fused_attention: bool = True,
    frozen: bool = False,
    document: float = 0.0,
) -> Work:
    """Seconds of one layer of `kind` for one micro-batch on one rank.

    Args:
        seq_len: tokens per sequence; a rank holds micro_batch * seq_len / cp of them.
        frozen: whether the weights are (low-rank fine-tuning; the adapters' own products are left out).
        document: mean tokens of the documents that a packed sequence keeps apart in attention; 0 for one document.
        fused_attention: whether scores stay on chip (flash attention) or go through memory.
    """
    shape = of_layer(shape, kind)
    tp, cp = np.asarray(plan.tp, float), np.asarray(plan.cp, float)
    tokens = np.asarray(plan.micro_batch, float) * seq_len / cp
    dtype, wide = gemm_dtype(acc, plan.precision), gemm_dtype(acc, "bf16")
    gemm_f, gemm_b = np.zeros_like(tokens), np.zeros_like(tokens)
    parts = linears(shape, kind, tp)
    for n, k in parts:
        f, b = _gemm(acc, tokens, n, k, dtype, frozen)
        gemm_f, gemm_b = gemm_f + f, gemm_b + b
    expert_f, expert_b, routed_bytes = _experts(shape, kind, acc, plan, tokens, dtype)
    expert_b = expert_b / 2 if frozen else expert_b
    attention_f, attention_b, score_bytes = _attention(
        shape, kind, acc, plan, seq_len, fused_attention, wide, min(document, seq_len)
    )
    stream = vector_bytes(shape, kind, plan, tokens) + routed_bytes + score_bytes
    casts = cast_bytes(parts, tokens) if dtype in NARROW else np.zeros_like(tokens)
    vector_f = kernels.memory_time(acc, stream + casts)
    vector_b = kernels.memory_time(acc, 2 * stream + 2 * casts)
    calls = 14.0 + 2 * len(parts) + (16.0 if kind.mlp == "sparse" else 0.0) + (0.0 if fused_attention else 6.0)
    ones = np.ones_like(tokens)
    work = replace(
        nothing(tokens),
        gemm_f=gemm_f,
        gemm_b=gemm_b,
        expert_f=expert_f,
        expert_b=expert_b,
        attention_f=attention_f,
        attention_b=attention_b,
        vector_f=vector_f,
        vector_b=vector_b,
        calls_f=calls * ones,
        calls_b=2 * calls * ones,
    )
    return work + _mixer(shape, kind, acc, plan, seq_len, dtype) if kind.attention in BY_OPERATORS else work


def _mixer(shape: ModelShape, kind: LayerKind, acc: Any, plan: Plan | PlanTable, seq_len: int, dtype: str) -> Work:
    """Attention side of recurrent and compressed layers, operator by operator.

    No kernel of theirs was measured; state updates take the multiple of their roofline that the planner's card gives.
    """
    tp, cp, batch = (np.asarray(getattr(plan, name), float) for name in ("tp", "cp", "micro_batch"))
    call = make_pass("train", None, batch, seq_len, seq_len, tp, cp=cp, weight_dtype=dtype, act_dtype=dtype)
    seconds = dict.fromkeys(
        [f"{part}_{side}" for part in ("gemm", "attention", "vector", "scan") for side in "fb"], 0.0 * (tp * cp * batch)
    )
    launches = {"f": 0.0, "b": 0.0}
    parts = {"gemm": "gemm", "batched_gemm": "gemm", "memory": "vector", "linear_attention": "scan"}
    for op in mixer_operators(shape, kind, call):
        side = "b" if op.direction == "backward" else "f"
        name = f"{parts.get(op.family, 'attention')}_{side}"
        slow = float(get("training", "planner").recurrent_kernels) if op.family == "linear_attention" else 1.0
        seconds[name] = seconds[name] + slow * kernels.op_time(acc, op) * op.count
        launches[side] += float(op.args.get("ops", 1)) * op.count
    none = nothing(tp * cp * batch)
    return replace(none, **seconds, calls_f=none.calls_f + launches["f"], calls_b=none.calls_b + launches["b"])


def _experts(
    shape: ModelShape, kind: LayerKind, acc: Any, plan: Plan | PlanTable, tokens: Array, dtype: str
) -> tuple[Array, Array, Array]:
    """Grouped products of the routed experts and the bytes that permuting tokens moves, forward."""
    zero = np.zeros_like(tokens)
    if kind.mlp != "sparse":
        return zero, zero, zero
    h, width, top_k = shape.expert_input_size, kind.intermediate_size, shape.num_experts_per_tok
    ep, etp, tp = (np.asarray(getattr(plan, name), float) for name in ("ep", "etp", "tp"))
    held = tokens / np.where(np.asarray(plan.sequence_parallel), tp, 1) * etp
    local = np.maximum(shape.n_routed_experts / ep, 1.0)
    each = held * top_k / local
    ups = 2 if shape.mlp_gated else 1
    f = kernels.grouped_matmul_time(acc, each, local, ups * width / etp, h, dtype) + kernels.grouped_matmul_time(
        acc, each, local, h, width / etp, dtype
    )
    routed = held * top_k
    moved = routed * (6.0 * h + 3.0 * width / etp) * 2.0 + held * shape.n_routed_experts * 8.0
    return f, 2 * f, moved


def _attention(
    shape: ModelShape,
    kind: LayerKind,
    acc: Any,
    plan: Plan | PlanTable,
    seq_len: int,
    fused: bool,
    wide: str,
    document: float,
) -> tuple[Array, Array, Array]:
    """Core attention seconds, and the score bytes that go through memory where attention is not fused."""
    if kind.attention in BY_OPERATORS:
        zero = np.zeros_like(np.asarray(plan.micro_batch, float) * np.asarray(plan.tp))
        return zero, zero, zero
    tp, cp, batch = (np.asarray(getattr(plan, name), float) for name in ("tp", "cp", "micro_batch"))
    heads = shape.num_attention_heads / tp
    kv_heads = np.maximum(shape.num_key_value_heads / tp, 1.0) if kind.attention != "mla" else heads
    qk, v = shape.qk_head_dim, shape.value_head_dim
    if not fused:
        m, pairs = seq_len / cp, batch * heads
        f = kernels.matmul_time(acc, m, seq_len, qk, wide, groups=pairs) + kernels.matmul_time(
            acc, m, v, seq_len, wide, groups=pairs
        )
        return f, 2 * f, 12.0 * pairs * m * seq_len
    f, b = (
        kernels.attention_prefill_time(
            acc,
            batch * seq_len / (document or seq_len),
            document or seq_len,
            document or seq_len,
            heads,
            kv_heads,
            qk,
            v,
            causal=True,
            window=kind.window or None,
            dtype=wide,
            backward=back,
        )
        / cp
        for back in (False, True)
    )
    return f, b, np.zeros_like(np.asarray(f))


def vector_bytes(shape: ModelShape, kind: LayerKind, plan: Plan | PlanTable, tokens: Array) -> Array:
    """Bytes moved forward by norms, residual sums, rotary embedding and activation, bf16.

    Per token: per block (attention, MLP) a norm (read, write) and a residual sum (two reads, one write) of the hidden size, split over the
    tensor ranks under sequence parallelism; rotary read and write of queries and keys; activation reads its inputs and
    writes its output.
    """
    h, tp = shape.hidden_size, np.asarray(plan.tp, float)
    spread = np.where(np.asarray(plan.sequence_parallel), tp, 1.0)
    width = beside_width(shape, kind)
    queries = (shape.num_attention_heads + shape.num_key_value_heads) * shape.qk_head_dim / tp
    queries = queries if kind.attention not in BY_OPERATORS else 0.0 * queries
    reads = 3.0 if shape.mlp_gated else 2.0
    blocks = (kind.attention != "none") + (kind.mlp != "none")
    return tokens * 2.0 * (5.0 * blocks * h / spread + 2.0 * queries + reads * width / tp)


def cast_bytes(parts: list[tuple[Array, Array]], tokens: Array) -> Array:
    """Bytes moved to quantise the inputs of the linear layers: read bf16, write fp8 twice (row- and column-wise)."""
    total: Array = np.zeros_like(tokens)
    for _, k in parts:
        total = total + tokens * k * 4.0
    return total


def head_work(shape: ModelShape, acc: Any, plan: Plan | PlanTable, seq_len: int, frozen: bool = False) -> Work:
    """Output projection and cross entropy on the last stage: one product in bf16 and three passes over fp32 logits."""
    tp, cp = np.asarray(plan.tp, float), np.asarray(plan.cp, float)
    tokens = np.asarray(plan.micro_batch, float) * seq_len / cp
    width, h = np.asarray(shape.vocab_size / tp), np.asarray(float(shape.hidden_size))
    f, b = _gemm(acc, tokens, width, h, gemm_dtype(acc, "bf16"), frozen)
    logits = tokens * shape.vocab_size / tp
    work = nothing(tokens)
    return replace(
        work,
        gemm_f=f,
        gemm_b=b,
        vector_f=kernels.memory_time(acc, 10.0 * logits),
        vector_b=kernels.memory_time(acc, 6.0 * logits),
        calls_f=8.0 + work.calls_f,
        calls_b=12.0 + work.calls_b,
    )
