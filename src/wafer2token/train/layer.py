"""The work of one transformer layer on one rank for one micro-batch, priced kernel by kernel.

Backward of a matrix product is two products of the same size (input and weight gradient); backward of attention is
priced by the chip room (five products for the forward's two, Dao 2023, arXiv 2307.08691, section 3.1).
All counts are per rank after tensor, context and expert parallelism; arrays run over plans.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from wafer2token import chip as kernels
from wafer2token.catalog import get
from wafer2token.evidence.errors import EvidenceError
from wafer2token.train.plan import Plan, PlanTable
from wafer2token.workload import LayerKind, ModelShape

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
    if kind.attention == "mamba":
        keys, width = state_widths(shape)
        out = [((2 * keys + 2 * width + shape.linear_num_value_heads) / tp, h), (h, width / tp)]
    elif kind.attention == "mla":
        rope, nope, v = shape.qk_rope_head_dim, shape.qk_nope_head_dim, shape.v_head_dim
        q = (
            [(shape.q_lora_rank, h), (heads * (nope + rope) / tp, shape.q_lora_rank)]
            if shape.q_lora_rank
            else [(heads * (nope + rope) / tp, h)]
        )
        out = [*q, (shape.kv_lora_rank + rope, h), (heads * (nope + v) / tp, shape.kv_lora_rank), (h, heads * v / tp)]
    else:
        q_width, kv_width = heads * shape.head_dim, shape.num_key_value_heads * shape.head_dim
        out = [(q_width / tp + 2 * np.maximum(kv_width / tp, shape.head_dim), h), (h, q_width / tp)]
    ups = 2 if shape.mlp_gated else 1
    width = kind.intermediate_size if kind.mlp == "dense" else shared_width(shape)
    if width:
        out += [(ups * width / tp, h), (h, width / tp)]
    if kind.mlp == "sparse" and shape.moe_latent_size:
        latent = shape.moe_latent_size + np.zeros_like(tp)
        out += [(latent, h), (h, latent)]
    return [(np.asarray(n, float), np.asarray(k, float)) for n, k in out]


def state_widths(shape: ModelShape) -> tuple[int, int]:
    """Widths of B (as of C) and of x (as of the gate) of a state-space layer."""
    return (
        shape.linear_num_key_heads * shape.linear_key_head_dim,
        shape.linear_num_value_heads * shape.linear_value_head_dim,
    )


def scan_bytes(shape: ModelShape, plan: Plan | PlanTable, tokens: Array) -> Array:
    """Bytes moved forward by a state-space mixer outside its projections: convolution, scan, gate and norm.

    Per token: B, C and x read and written by the convolution and read by the scan, x read and written by scan, gate and norm
    (bf16), and the states at the chunk borders written and read in fp32 (Dao and Gu 2024, arXiv 2405.21060, section 6).
    """
    keys, width = state_widths(shape)
    states = width * shape.linear_key_head_dim / float(get("training", "planner").scan_chunk)
    return np.asarray(tokens / np.asarray(plan.tp, float) * (2.0 * (3 * (2 * keys + width) + 5 * width) + 8.0 * states))


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
    if kind.attention == "linear":
        raise EvidenceError(f"{shape.id}: training of linear attention is not modelled; no kernel was measured")
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
    scan = kernels.memory_time(acc, scan_bytes(shape, plan, tokens)) if kind.attention == "mamba" else 0.0 * tokens
    casts = cast_bytes(parts, tokens) if dtype in NARROW else np.zeros_like(tokens)
    vector_f = kernels.memory_time(acc, stream + casts)
    vector_b = kernels.memory_time(acc, 2 * stream + 2 * casts)
    calls = 14.0 + 2 * len(parts) + (16.0 if kind.mlp == "sparse" else 0.0) + (0.0 if fused_attention else 6.0)
    ones = np.ones_like(tokens)
    return Work(
        gemm_f,
        gemm_b,
        expert_f,
        expert_b,
        attention_f,
        attention_b,
        vector_f,
        vector_b,
        calls * ones,
        2 * calls * ones,
        scan,
        2 * scan,
    )


def _experts(
    shape: ModelShape, kind: LayerKind, acc: Any, plan: Plan | PlanTable, tokens: Array, dtype: str
) -> tuple[Array, Array, Array]:
    """Grouped products of the routed experts and the bytes that permuting tokens moves, forward."""
    zero = np.zeros_like(tokens)
    if kind.mlp != "sparse":
        return zero, zero, zero
    h, width, top_k = shape.expert_hidden_size, kind.intermediate_size, shape.num_experts_per_tok
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
    shape: ModelShape, kind: LayerKind, acc: Any, plan: Plan | PlanTable, seq_len: int, fused: bool, wide: str, document: float
) -> tuple[Array, Array, Array]:
    """Core attention seconds, and the score bytes that go through memory where attention is not fused."""
    tp, cp, batch = (np.asarray(getattr(plan, name), float) for name in ("tp", "cp", "micro_batch"))
    if kind.attention == "mamba":
        none = np.zeros_like(tp * cp * batch)
        return none, none, none
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

    Per token: two norms (read, write) and two residual sums (two reads, one write) of the hidden size, split over the
    tensor ranks under sequence parallelism; rotary read and write of queries and keys; activation reads its inputs and
    writes its output.
    """
    h, tp = shape.hidden_size, np.asarray(plan.tp, float)
    spread = np.where(np.asarray(plan.sequence_parallel), tp, 1.0)
    width = kind.intermediate_size if kind.mlp == "dense" else shared_width(shape)
    queries = (shape.num_attention_heads * shape.qk_head_dim + shape.num_key_value_heads * shape.qk_head_dim) / tp
    reads = 3.0 if shape.mlp_gated else 2.0
    return tokens * 2.0 * (10.0 * h / spread + 2.0 * queries + reads * width / tp)


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
    f, b = _gemm(
        acc, tokens, np.asarray(shape.vocab_size / tp), np.asarray(float(shape.hidden_size)), gemm_dtype(acc, "bf16"), frozen
    )
    logits = tokens * shape.vocab_size / tp
    work = nothing(tokens)
    return Work(
        f,
        b,
        work.expert_f,
        work.expert_b,
        work.attention_f,
        work.attention_b,
        kernels.memory_time(acc, 10.0 * logits),
        kernels.memory_time(acc, 6.0 * logits),
        8.0 + work.calls_f,
        12.0 + work.calls_b,
        work.scan_f,
        work.scan_b,
    )
