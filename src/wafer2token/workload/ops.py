"""One kernel call with its shapes, and what it costs in FLOPs and bytes.

Families and their ``args`` (all may be arrays that broadcast; per rank):

==================  ==========================================================================================
gemm                m n k
batched_gemm        groups m n k                       one product per group (heads)
grouped_gemm        tokens_per_expert experts n k      ``experts``: expected distinct experts that get a token
attention_prefill   batch q_len kv_len heads kv_heads qk_dim v_dim window topk causal cp
attention_decode    as above; ``q_len`` new tokens per sequence (more than 1 with speculation)
mla_decode          as above; kv_heads = 1, qk_dim = kv_lora_rank + qk_rope_head_dim, v_dim = kv_lora_rank
attention_index     batch q_len kv_len ratio heads qk_dim   scores of a sparse index over every ratio-th key, before top-k
linear_attention    batch q_len heads qk_dim v_dim passes chunk   recurrent state; FLOPs per element of it and token
memory              bytes ops                          element-wise, norm, rope, routing: bandwidth and launches
embedding           bytes ops                          gather of rows
collective          op bytes ranks group               all_reduce all_gather reduce_scatter p2p
dispatch, combine   tokens hidden_size top_k ep bytes_per_element group    all-to-all of an expert layer
==================  ==========================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wafer2token.workload.dtypes import dtype_bytes

FAMILIES = (
    "gemm",
    "batched_gemm",
    "grouped_gemm",
    "attention_prefill",
    "attention_decode",
    "mla_decode",
    "attention_index",
    "linear_attention",
    "memory",
    "embedding",
    "collective",
    "dispatch",
    "combine",
)
COMMUNICATION = frozenset({"collective", "dispatch", "combine"})
ATTENTION = frozenset({"attention_prefill", "attention_decode", "mla_decode"})
# FLOPs per token and element of a recurrent state: decay 1, rank-one write 2, read by query 2; a delta rule reads by key first, 2
STATE_PASSES = {"gated_delta": 7, "kda": 7, "mamba2": 5, "lightning": 5}
# tokens between two states that kernels over many tokens write out (flash-linear-attention; chunk_size of Nemotron-H)
STATE_CHUNK = {"gated_delta": 64, "kda": 64, "mamba2": 128, "lightning": 64}


@dataclass(slots=True)
class Op:
    """One kernel or collective, called ``count`` times per pass.

    ``layer`` names the layer kind it belongs to (or ``embedding``, ``head``, ``mtp``), ``direction`` is
    ``forward`` or ``backward``, ``replicated`` says that every tensor-parallel rank does the same work.
    ``dtype`` is the format computed in, ``weight_dtype`` and ``kv_dtype`` those read from memory.
    """

    name: str
    family: str
    args: dict[str, Any]
    count: Any = 1
    dtype: str = "bf16"
    weight_dtype: str = "bf16"
    kv_dtype: str = "bf16"
    layer: str = ""
    direction: str = "forward"
    replicated: bool = False

    @property
    def flops(self) -> Any:
        """Floating-point operations of one call on one rank [FLOP]; a multiply-add counts two."""
        return _flops(self)

    @property
    def bytes(self) -> Any:
        """Bytes that one call must at least move to and from memory on one rank [B]; 0 for communication."""
        return _bytes(self)


def attended_pairs(q_len: Any, kv_len: Any, window: Any = 0, causal: bool = True) -> Any:
    """Query-key pairs of one head of one sequence.

    The ``q_len`` queries are the last tokens of ``kv_len``; each sees itself and what is before it, at most
    ``window`` tokens (0: all). Without ``causal`` every query sees min(kv_len, window). Arrays broadcast.
    """
    limit = np.where(np.asarray(window) > 0, window, kv_len)
    if not causal:
        return q_len * np.minimum(kv_len, limit)
    before = kv_len - q_len
    ramp = np.clip(limit - before, 0, q_len)
    return ramp * before + ramp * (ramp + 1) / 2 + (q_len - ramp) * limit


def _pairs(args: dict[str, Any]) -> Any:
    limit = args.get("window", 0)
    topk = args.get("topk", 0)
    if topk:
        limit = topk
    return args["batch"] * attended_pairs(args["q_len"], args["kv_len"], limit, args.get("causal", True))


def _flops(op: Op) -> Any:
    a = op.args
    backward = op.direction == "backward"
    if op.family == "gemm":
        return 2 * a["m"] * a["n"] * a["k"]
    if op.family == "batched_gemm":
        return 2 * a["groups"] * a["m"] * a["n"] * a["k"]
    if op.family == "grouped_gemm":
        return 2 * a["tokens_per_expert"] * a["experts"] * a["n"] * a["k"]
    if op.family in ATTENTION:
        # backward (arXiv:2307.08691): scores again, then gradients of values, probabilities, queries and keys
        forward = a["qk_dim"] + a["v_dim"]
        width = 3 * a["qk_dim"] + 2 * a["v_dim"] if backward else forward
        return 2 * _pairs(a) * a["heads"] * width / a.get("cp", 1)
    if op.family == "attention_index":
        pairs = a["batch"] * attended_pairs(a["q_len"], a["kv_len"]) / a.get("ratio", 1)
        return 2 * pairs * a["heads"] * a["qk_dim"] * (2 if backward else 1)
    if op.family == "linear_attention":
        # within a chunk of many tokens scores and sums over half of it; backward makes the states again
        inside = np.where(np.asarray(a["q_len"]) > 1, a.get("chunk", 0) * (a["qk_dim"] + a["v_dim"]), 0)
        each = a.get("passes", 7) * a["qk_dim"] * a["v_dim"] + inside
        return a["batch"] * a["q_len"] * a["heads"] * each * (3 if backward else 1)
    return 0


def _bytes(op: Op) -> Any:
    a = op.args
    act = dtype_bytes(op.dtype)
    weight = dtype_bytes(op.weight_dtype)
    if op.family in ("memory", "embedding"):
        return a["bytes"]
    if op.family in ("gemm", "batched_gemm"):
        groups = a.get("groups", 1)
        m, n, k = a["m"], a["n"], a["k"]
        return groups * ((m * k) * act + n * k * weight + m * n * max(act, 2))
    if op.family == "grouped_gemm":
        tokens = a["tokens_per_expert"] * a["experts"]
        return tokens * a["k"] * act + a["experts"] * a["n"] * a["k"] * weight + tokens * a["n"] * max(act, 2)
    if op.family in ATTENTION:
        return _attention_bytes(op) * (2.5 if op.direction == "backward" else 1)
    if op.family == "attention_index":
        keys = a["batch"] * a["kv_len"] / a.get("ratio", 1) * a["qk_dim"] * dtype_bytes(op.kv_dtype)
        return keys + a["batch"] * a["q_len"] * a["heads"] * a["qk_dim"] * act
    if op.family == "linear_attention":
        rows = a["batch"] * a["q_len"] * a["heads"]
        state = a["qk_dim"] * a["v_dim"] * 4
        states = np.maximum(rows / a.get("chunk", 64), a["batch"] * a["heads"])
        moved = rows * 2 * (a["qk_dim"] + a["v_dim"]) * act + 2 * states * state
        return moved * (3 if op.direction == "backward" else 1)
    return 0


def _attention_bytes(op: Op) -> Any:
    a = op.args
    kept = a["kv_len"]
    limit = a.get("topk", 0)
    if limit:
        kept = np.minimum(kept, limit * a["q_len"])
    elif np.any(a.get("window", 0)):
        kept = np.minimum(kept, a["window"] + a["q_len"])
    shared = op.family == "mla_decode"
    width = a["qk_dim"] if shared else a["qk_dim"] + a["v_dim"]
    cache = a["batch"] * kept * a["kv_heads"] * width * dtype_bytes(op.kv_dtype)
    io = a["batch"] * a["q_len"] * a["heads"] * (a["qk_dim"] + a["v_dim"]) * dtype_bytes(op.dtype)
    return cache + io / a.get("cp", 1)
