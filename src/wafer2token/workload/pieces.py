"""The pass that operators belong to, and the small operators that blocks are built of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wafer2token.workload.dtypes import dtype_bytes
from wafer2token.workload.ops import Op
from wafer2token.workload.shape import ModelShape


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


def share(count: int, ways: Any) -> Any:
    """What one of ``ways`` ranks holds of ``count``, rounded up."""
    return -(-count // ways)


def gemm(name: str, call: Pass, m: Any, n: Any, k: Any, weight_dtype: str, replicated: bool = False) -> Op:
    return Op(
        name, "gemm", {"m": m, "n": n, "k": k}, dtype=call.act_dtype, weight_dtype=weight_dtype, replicated=replicated
    )


def batched(name: str, call: Pass, groups: Any, m: Any, n: Any, k: Any) -> Op:
    args = {"groups": groups, "m": m, "n": n, "k": k}
    return Op(name, "batched_gemm", args, dtype=call.inner_dtype, weight_dtype=call.inner_dtype)


def memory(name: str, call: Pass, bytes_: Any, ops: int = 1, family: str = "memory") -> Op:
    return Op(name, family, {"bytes": bytes_, "ops": ops}, dtype=call.inner_dtype)


def split(ways: Any) -> bool:
    return bool(np.any(np.asarray(ways) > 1)) if np.ndim(ways) else bool(ways > 1)


def collective(name: str, op: str, bytes_: Any, ranks: Any, group: str, dtype: str) -> Op:
    return Op(name, "collective", {"op": op, "bytes": bytes_, "ranks": ranks, "group": group}, dtype=dtype)


def message(shape: ModelShape, call: Pass) -> Any:
    return call.tokens * shape.hidden_size * dtype_bytes(call.inner_dtype)


def reduce(name: str, shape: ModelShape, call: Pass, part: Any = 1) -> list[Op]:
    """Sum over the tensor-parallel ranks at the end of a block: all-reduce, or reduce-scatter with ``sp``."""
    if not (split(call.tp) and np.any(part)):
        return []
    op = "reduce_scatter" if call.sp else "all_reduce"
    return [collective(name, op, part * message(shape, call), call.tp, "tp", call.inner_dtype)]


def gather(name: str, shape: ModelShape, call: Pass, part: Any = 1) -> list[Op]:
    """All-gather of the split activations at the start of a block (``sp`` only)."""
    if not (call.sp and split(call.tp) and np.any(part)):
        return []
    return [collective(name, "all_gather", part * message(shape, call), call.tp, "tp", call.inner_dtype)]


def ring(shape: ModelShape, call: Pass, width: Any) -> list[Op]:
    """Keys and values of the other context-parallel ranks."""
    if not split(call.cp):
        return []
    bytes_ = call.batch * call.kv_len * width * dtype_bytes(call.inner_dtype)
    return [collective("context_all_gather", "all_gather", bytes_, call.cp, "cp", call.inner_dtype)]


def exchanged(call: Pass) -> Any:
    """1 where tokens travel to experts by all-to-all, 0 where every expert rank holds all tokens already."""
    several = (np.asarray(call.ep) > 1) & ((call.ep * call.expert_tp > np.asarray(call.tp)) | call.sp)
    return several.astype(float) if np.ndim(several) else float(several)


def exchange(name: str, shape: ModelShape, call: Pass, dtype: str) -> list[Op]:
    """All-to-all of an expert layer, from the point of view of one rank's own tokens."""
    scattered = exchanged(call)
    if not np.any(scattered):
        return []
    args = {
        "tokens": scattered * call.tokens / call.tp,
        "hidden_size": shape.expert_input_size,
        "top_k": shape.num_experts_per_tok,
        "ep": call.ep,
        "bytes_per_element": dtype_bytes(dtype),
        "imbalance": call.imbalance,
        "group": "ep",
    }
    return [Op(name, name, args, dtype=dtype)]
