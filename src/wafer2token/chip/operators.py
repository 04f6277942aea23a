"""Operators of a workload timed on an accelerator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wafer2token.chip.formats import computed_in
from wafer2token.chip.kernels import (
    PASSES,
    attention_decode_time,
    attention_index_time,
    attention_prefill_time,
    grouped_matmul_time,
    linear_attention_time,
    matmul_time,
    memory_time,
)
from wafer2token.chip.machine import Accelerator
from wafer2token.evidence.errors import InputError, unknown

Array = npt.NDArray[np.float64]


class Operator(Protocol):
    """What is read of a workload's operator: its family and arguments (see the workload room), and its formats."""

    @property
    def family(self) -> str: ...
    @property
    def args(self) -> Mapping[str, Any]: ...


def op_time(acc: Accelerator, op: Operator, graph: bool = True) -> Array:
    """Time of one call of an operator on one rank [s]; arrays in its arguments broadcast.

    Collectives and expert exchange take no time here: they belong to the fabric.

    Args:
        acc: the accelerator.
        op: ``family``, ``args`` and, where present, ``dtype``, ``weight_dtype``, ``kv_dtype`` and ``direction``.
        graph: replayed from a captured graph; False adds the host's launch of each kernel.

    Raises:
        InputError: a family that this room does not know, or a data type that the chip lacks.
    """
    if op.family in _NO_DEVICE_TIME:
        return np.zeros(())
    if op.family not in _TIMED:
        raise InputError(unknown("operator family", op.family, sorted({*_TIMED, *_NO_DEVICE_TIME})))
    return _TIMED[op.family](acc, op, graph)


def _product(acc: Accelerator, op: Any, graph: bool) -> Array:
    a = op.args
    return matmul_time(
        acc, _least_one(a["m"]), _least_one(a["n"]), _least_one(a["k"]), computed_in(_dtype(op)), a.get("groups", 1),
        getattr(op, "weight_dtype", None), graph,
    )  # fmt: skip


def _grouped(acc: Accelerator, op: Any, graph: bool) -> Array:
    a = op.args
    return grouped_matmul_time(
        acc, a["tokens_per_expert"], a["experts"], _least_one(a["n"]), _least_one(a["k"]), computed_in(_dtype(op)),
        getattr(op, "weight_dtype", None), graph,
    )  # fmt: skip


def _prefill(acc: Accelerator, op: Any, graph: bool) -> Array:
    a = op.args
    return attention_prefill_time(
        acc, a["batch"], _least_one(a["q_len"]), a["kv_len"], _least_one(a["heads"] / np.asarray(a.get("cp", 1))),
        _least_one(a["kv_heads"]), a["qk_dim"], a["v_dim"], a.get("causal", True), _seen(a), _dtype(op), _cache(op), graph,
        backward=getattr(op, "direction", "forward") == "backward",
    )  # fmt: skip


def _decode(acc: Accelerator, op: Any, graph: bool) -> Array:
    a = op.args
    return attention_decode_time(
        acc, a["batch"], _least_one(a["kv_len"]), _least_one(a["heads"]), _least_one(a["kv_heads"]), a["qk_dim"],
        a["v_dim"], _cache(op), op.family == "mla_decode", _seen(a), _dtype(op), _least_one(a.get("q_len", 1)), graph,
    )  # fmt: skip


def _index(acc: Accelerator, op: Any, graph: bool) -> Array:
    a = op.args
    return attention_index_time(
        acc, a["batch"], _least_one(a["q_len"]), a["kv_len"], a["heads"], a["qk_dim"], computed_in(_dtype(op)), _cache(op),
        graph, a.get("ratio", 1),
    )  # fmt: skip


def _linear(acc: Accelerator, op: Any, graph: bool) -> Array:
    """Recurrent states: gated delta rules as measured, others by their operations; backward makes the states again."""
    a = op.args
    time = linear_attention_time(
        acc, a["batch"], _least_one(a["q_len"]), _least_one(a["heads"]), a["qk_dim"], a["v_dim"], _dtype(op), graph,
        a.get("passes", PASSES),
    )  # fmt: skip
    return time * (3.0 if getattr(op, "direction", "forward") == "backward" else 1.0)


def _streaming(acc: Accelerator, op: Any, graph: bool) -> Array:
    return memory_time(acc, op.args["bytes"], op.args.get("ops", 1), graph)


_TIMED: dict[str, Callable[[Accelerator, Any, bool], Array]] = {
    "gemm": _product,
    "batched_gemm": _product,
    "grouped_gemm": _grouped,
    "attention_prefill": _prefill,
    "attention_decode": _decode,
    "mla_decode": _decode,
    "attention_index": _index,
    "linear_attention": _linear,
    "memory": _streaming,
    "embedding": _streaming,
}
_NO_DEVICE_TIME = frozenset({"collective", "dispatch", "combine"})


def _dtype(op: Any) -> str:
    return getattr(op, "dtype", "") or "bf16"


def _cache(op: Any) -> str:
    return getattr(op, "kv_dtype", "") or _dtype(op)


def _least_one(value: Any) -> Any:
    return np.maximum(value, 1.0) if np.ndim(value) else max(float(value), 1.0)


def _seen(args: Mapping[str, Any]) -> Any:
    """Keys that one query sees at most: of a sparse index, else of a sliding window (0 or None: no limit)."""
    limit = args.get("topk") if np.any(args.get("topk", 0)) else args.get("window")
    if limit is None or not np.any(limit):
        return None
    return np.where(np.asarray(limit) > 0, limit, np.inf)
