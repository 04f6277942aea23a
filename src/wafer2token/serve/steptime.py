"""How long one engine step takes: operators of the model, timed on the chip and the fabric of a plan."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wafer2token.chip import Accelerator, host_overhead, op_time
from wafer2token.fabric import Fabric, collective_time, combine_time, dispatch_time
from wafer2token.workload import (
    COMMUNICATION,
    ModelShape,
    Op,
    head_operators,
    layer_kinds,
    layer_operators,
    make_pass,
    nextn_operators,
    operators,
)

from .overhead import Overhead
from .plan import Plan

F = NDArray[np.float64]
_WIDER = {
    "fp32": "tf32", "tf32": "bf16", "fp16": "bf16", "fp4": "fp8", "nvfp4": "fp8", "mxfp4": "fp8", "mxfp8": "fp8",
    "hif8": "fp8", "fp8": "int8", "int8": "fp16", "bf16": "fp16", "int4": "int8",
}  # fmt: skip
_EIGHT = ("fp8", "int8")
ATTENTION = frozenset({"attention_prefill", "attention_decode", "mla_decode", "attention_index"})
EXPERTS = frozenset({"experts_up", "experts_down", "experts_activation"})


@dataclass(frozen=True)
class StepTime:
    """Duration of a step and its parts [s], all of one shape.

    ``total`` = max(device, host) + step overhead; ``device`` = compute, attention and communication, of which
    ``hidden`` runs beside other work.
    """

    total: F
    compute: F
    attention: F
    experts: F
    communication: F
    hidden: F
    host: F

    @property
    def device(self) -> F:
        """Time the accelerators are busy or communicate."""
        return self.compute + self.attention + self.experts + self.communication - self.hidden

    def at(self, index: int) -> StepTime:
        """The times at one index of the last axis."""
        return StepTime(*(np.asarray(getattr(self, f.name))[..., index] for f in fields(self)))

    def bound_by(self) -> str:
        """The largest part, by its mean."""
        parts = {
            "compute": self.compute, "attention": self.attention, "experts": self.experts,
            "communication": self.communication - self.hidden, "host": self.total - self.device,
        }  # fmt: skip
        return max(parts, key=lambda name: float(np.mean(parts[name])))


@dataclass(frozen=True)
class Machine:
    """What a step runs on: accelerator and fabric per rank, and the host's share."""

    acc: Accelerator
    fab: Fabric
    overhead: Overhead


def decode_step_time(shape: ModelShape, machine: Machine, plan: Plan, batch: ArrayLike, kv_len: ArrayLike) -> StepTime:
    """One decode step of an instance.

    Args:
        batch: sequences of the whole instance (they are spread over ``dp`` and, in time, over ``pp``).
        kv_len: tokens of context per sequence. Both broadcast.

    Returns:
        Times [samples?, ...] of one forward pass over all layers, drafts verified and made included.
    """
    own = np.maximum(np.asarray(batch, float) / (plan.dp * plan.pp), 1.0)
    kv = np.asarray(kv_len, float)
    kv = np.broadcast_to(kv, np.broadcast_shapes(own.shape, kv.shape))
    q = 1 + plan.drafts
    ops = _operators(shape, plan, "decode", own, q, kv + q, own * q)
    steps = _timed(machine, plan, ops, own * q, own.shape)
    if plan.drafts:
        steps = _with_drafts(shape, machine, plan, own, kv, steps)
    return _total(machine, plan, steps, np.asarray(batch, float), "decode")


def prefill_step_time(
    shape: ModelShape, machine: Machine, plan: Plan, prompts: ArrayLike, q_len: ArrayLike, past: ArrayLike = 0.0
) -> StepTime:
    """One prefill step over ``prompts`` sequences of ``q_len`` new tokens each after ``past`` cached ones.

    The prompts are spread over ``dp``; fewer prompts than that leave ranks idle.
    """
    q, before = np.asarray(q_len, float), np.asarray(past, float)
    own = np.maximum(np.asarray(prompts, float) / (plan.dp * plan.pp), 1.0)
    ops = _operators(shape, plan, "prefill", own, q, q + before, own * q)
    share = np.minimum(np.asarray(prompts, float) / (plan.dp * plan.pp), 1.0)
    steps = _timed(machine, plan, ops, own * q, np.broadcast_shapes(own.shape, q.shape, before.shape), share)
    return _total(machine, plan, steps, np.asarray(prompts, float), "prefill")


def _operators(shape: ModelShape, plan: Plan, phase: str, batch: Any, q: Any, kv: Any, tokens: Any, mtp: bool = False) -> list[Op]:
    return operators(
        shape, phase, tokens, batch, q, kv, plan.tp, plan.ep, weight_dtype=plan.weights, act_dtype=plan.activations,
        kv_dtype=plan.kv, expert_tp=plan.expert_tp, expert_dtype=plan.experts,
        imbalance=plan.imbalance_at(shape, np.asarray(tokens) * plan.dp, phase), mtp=mtp,
    )  # fmt: skip


def _timed(machine: Machine, plan: Plan, ops: list[Op], tokens: Any, shape: Any, share: Any = 1.0) -> dict[str, F]:
    """Seconds by part; ``share`` scales the experts where only part of the ranks bring tokens."""
    parts: dict[str, Any] = dict.fromkeys(("compute", "attention", "experts", "communication"), 0.0)
    count = 0.0
    for op in ops:
        if op.family in COMMUNICATION:
            seconds = op.count * engine_seconds(machine, plan, op, tokens)
            parts["communication"] = parts["communication"] + seconds
            continue
        part = part_of(op)
        seconds = op.count * engine_seconds(machine, plan, op, tokens)
        parts[part] = parts[part] + (seconds * share if part == "experts" else seconds)
        count += float(np.max(op.count)) * float(np.max(op.args.get("ops", 1)))
    out = {name: _shaped(value, shape) for name, value in parts.items()}
    if plan.pp > 1:
        message = np.asarray(tokens) * _hidden_bytes(ops, plan)
        hop = collective_time(machine.fab, "p2p", message, 2)
        out["communication"] = out["communication"] + plan.pp * hop
    out["launches"] = np.asarray(count)
    return out


def part_of(op: Op) -> str:
    """The part of a step that an operator belongs to."""
    if op.family in COMMUNICATION:
        return "communication"
    return "attention" if op.family in ATTENTION else "experts" if op.name in EXPERTS else "compute"


def bulk(tokens: Any) -> F:
    """How far products of a step with ``tokens`` new tokens per rank are bound by arithmetic: 0 up to 256, 1 from 2,048."""
    return np.asarray(np.clip(np.log2(np.maximum(np.asarray(tokens, float), 1.0) / 256.0) / 3.0, 0.0, 1.0))


def short(message: Any) -> F:
    """How far an all-reduce of ``message`` bytes is bound by latency: 1 up to 2 MiB, 0 from 64 MiB."""
    return np.asarray(np.clip(1.0 - np.log2(np.maximum(np.asarray(message, float), 1.0) / 2.0**21) / 5.0, 0.0, 1.0))


def engine_seconds(machine: Machine, plan: Plan, op: Op, tokens: Any) -> Any:
    """Seconds of one operator of a step with ``tokens`` new tokens per rank, in this engine.

    The kernel between its neighbours, times the engine's factor on the operator's part and on the phase of the request.
    """
    part, over = part_of(op), machine.overhead
    if part == "communication":
        seconds = np.asarray(in_graph(machine, plan, communication_time(machine.fab, op, plan)))
        if op.family != "collective" or op.args["op"] != "all_reduce":
            return seconds
        return seconds * _lead(over.communication, seconds.ndim) ** short(op.args["bytes"])
    seconds = np.asarray(kernel_seconds(machine, plan, op))
    own, prompts = (_lead(value, seconds.ndim) for value in (getattr(over, part), over.prefill))
    if part == "attention":
        return seconds * (prompts if op.family == "attention_prefill" else own)
    return seconds * own * prompts ** bulk(tokens)


def _hidden_bytes(ops: list[Op], plan: Plan) -> float:
    embedding = next(op for op in ops if op.family == "embedding")
    return float(np.max(embedding.args["bytes"])) / 2.0 / float(np.max(embedding.count))


def _shaped(value: Any, shape: Any) -> F:
    array = np.asarray(value, float)
    return np.broadcast_to(array, np.broadcast_shapes(array.shape, shape)).astype(float)


def kernel_seconds(machine: Machine, plan: Plan, op: Op) -> Any:
    """Seconds of one kernel of a step."""
    return in_graph(machine, plan, device_time(machine.acc, op), op.args.get("ops", 1))


def in_graph(machine: Machine, plan: Plan, seconds: Any, kernels: Any = 1) -> Any:
    """What is left of kernels measured alone between their neighbours of a captured graph: t^2 / (t + hidden).

    A long kernel loses the fixed time that launch, prologue and tail take alone; a short one shrinks in proportion.
    """
    if not plan.graph:
        return seconds
    alone = np.asarray(seconds, float)
    hidden = _lead(machine.overhead.hidden_s, alone.ndim) * kernels
    return alone * alone / np.maximum(alone + hidden, 1e-30)


def device_time(acc: Accelerator, op: Op) -> Any:
    """Seconds of one kernel, computed in the nearest format that the chip has (weights stay as they are stored).

    Engines run the small products that configurations keep in 32 bits (routers) in 16, and attention over a cache of
    8 bits in 8: both of its bounds then halve, where the measured kernels speak of 16 bits only.
    """
    if op.dtype == "fp32" and op.family == "gemm":
        op = replace(op, dtype="bf16", weight_dtype="bf16")
    if op.family == "attention_decode" and op.kv_dtype in _EIGHT and op.kv_dtype in acc.peaks:
        op = replace(op, dtype=op.kv_dtype)
    dtype = op.dtype
    while dtype not in acc.peaks and dtype in _WIDER:
        dtype = _WIDER[dtype]
    return op_time(acc, op if dtype == op.dtype else replace(op, dtype=dtype), True)


def communication_time(fab: Fabric, op: Op, plan: Plan) -> Any:
    """Seconds of one collective or expert exchange of an operator list."""
    a = op.args
    if op.family == "collective":
        return collective_time(fab, a["op"], a["bytes"], a["ranks"])
    exchange = dispatch_time if op.family == "dispatch" else combine_time
    return exchange(fab, a["tokens"], a["hidden_size"], a["top_k"], a["ep"], a["bytes_per_element"], imbalance=a["imbalance"])


def _with_drafts(shape: ModelShape, machine: Machine, plan: Plan, own: F, kv: F, steps: dict[str, F]) -> dict[str, F]:
    """Add the making of the draft tokens: one pass of the drafting layer per token."""
    call = make_pass(
        "decode", own, own, 1, kv, plan.tp, plan.ep, weight_dtype=plan.weights, act_dtype=plan.activations,
        kv_dtype=plan.kv, expert_tp=plan.expert_tp, expert_dtype=plan.experts, imbalance=plan.imbalance_at(shape, own * plan.dp, "decode"),
    )  # fmt: skip
    ops = nextn_operators(shape, call) if shape.num_nextn_predict_layers else _draft_operators(shape, call)
    extra = _timed(machine, plan, ops, own, own.shape)
    per_layer = max(shape.num_nextn_predict_layers, 1)
    return {name: steps[name] + plan.drafts * extra[name] / per_layer for name in steps}


def _draft_operators(shape: ModelShape, call: Any) -> list[Op]:
    """A draft head of one attention layer and one output head (EAGLE), for models without layers of their own."""
    kinds = [k for k in layer_kinds(shape) if k.attends]
    dense = next((k for k in kinds if k.mlp == "dense"), kinds[0])
    return layer_operators(shape, dense, call) + head_operators(shape, call)


def _total(machine: Machine, plan: Plan, parts: dict[str, F], batch: F, phase: str) -> StepTime:
    """Put the parts together: overlap, host, step overhead."""
    over = machine.overhead
    device = _lead(over.device, parts["compute"].ndim)
    compute, attention, experts = (device * parts[k] for k in ("compute", "attention", "experts"))
    communication = device * parts["communication"]
    share = over.prefill_overlap if phase == "prefill" else over.decode_overlap
    busy = compute + attention + experts
    hidden = plan.overlap * _lead(share, busy.ndim) * np.minimum(communication, busy)
    host = host_floor(machine, plan, parts["launches"])
    added = over.step_s + (over.prefill_s if phase == "prefill" else 0.0)
    total = np.maximum(busy + communication - hidden, host) + _lead(added, busy.ndim)
    total = total + _lead(over.sequence_s, busy.ndim) * batch / plan.dp
    return StepTime(total, compute, attention, experts, communication, hidden, np.broadcast_to(host, total.shape))


def host_floor(machine: Machine, plan: Plan, launches: Any) -> F:
    """The host's time beside the device: every operator in eager mode, one replay with captured graphs [s]."""
    if plan.graph:
        return np.asarray(host_overhead(machine.acc, "graph", 1))
    eager = host_overhead(machine.acc, "eager", launches)
    return np.asarray(_lead(machine.overhead.eager, np.ndim(eager)) * eager)


def _lead(value: Any, ndim: int) -> Any:
    """A float as it is; samples [s] so that they broadcast against [s, ...] of ``ndim`` axes."""
    if np.ndim(value) == 0:
        return value
    array = np.asarray(value)
    return array.reshape(array.shape + (1,) * max(ndim - 1, 0))
